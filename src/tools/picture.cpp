#include "picture.h"

#include <cstring>

namespace daedalus::tools {
namespace {

/// A rectangle of one colour plane. Computed from the driver's own strides, which need not be ours.
struct Component {
    std::span<const std::byte> plane;
    uint64_t offset;  ///< of the first visible sample's pixel, in bytes
    uint64_t stride;  ///< bytes
    uint64_t columns;
    uint64_t rows;
    uint64_t rowBytes;  ///< visible bytes per line
};

/// Half-open ranges of chroma that belong to a luma range.
uint64_t firstOf(int32_t luma, unsigned shift) { return static_cast<uint64_t>(luma) >> shift; }
uint64_t countOf(uint32_t luma, unsigned shift) { return (uint64_t{luma} + (1U << shift) - 1) >> shift; }

Component componentOf(const Picture& picture, unsigned index) {
    const v4l2::RawFormat& format = *picture.format;
    const bool chroma = index > 0;
    const v4l2::ChromaShift shift = chroma ? v4l2::shiftOf(format.chroma) : v4l2::ChromaShift{};
    const unsigned interleaved = chroma && format.colorPlanes == 2 ? 2 : 1;
    const uint64_t lumaStride = picture.bytesPerLine[0];

    Component component{};
    const uint64_t derived = (lumaStride >> shift.across) * interleaved;
    const bool ownPlane = format.memoryPlanes > 1;
    component.stride = !chroma                                        ? lumaStride
                       : ownPlane && picture.bytesPerLine[index] != 0 ? picture.bytesPerLine[index]
                                                                      : derived;
    component.plane = picture.planes[ownPlane ? index : 0];
    if (!ownPlane && chroma)
        component.offset =
            lumaStride * picture.codedHeight + (index - 1) * component.stride * countOf(picture.codedHeight, shift.down);
    const uint64_t pixelBytes = uint64_t{format.sampleBytes} * (chroma ? interleaved : format.channels[0].step);
    // Whole pixels share chroma with their neighbour: both are there.
    const bool pairs = format.colorPlanes == 1 && v4l2::shiftOf(format.chroma).across == 1;
    const unsigned across = pairs ? 1 : shift.across;
    component.offset += firstOf(picture.visible.top, shift.down) * component.stride;
    component.offset += (firstOf(picture.visible.left, across) << (pairs ? 1 : 0)) * pixelBytes;
    component.columns = countOf(picture.visible.width, across) << (pairs ? 1 : 0);
    component.rowBytes = component.columns * pixelBytes;
    component.rows = countOf(picture.visible.height, shift.down);
    return component;
}

bool within(const Component& component) {
    if (component.rows == 0 || component.rowBytes == 0) return false;
    return component.offset + (component.rows - 1) * component.stride + component.rowBytes <= component.plane.size();
}

void appendRows(const Component& component, std::vector<std::byte>& out) {
    for (uint64_t row = 0; row < component.rows; ++row) {
        const auto line = component.plane.subspan(component.offset + row * component.stride, component.rowBytes);
        out.insert(out.end(), line.begin(), line.end());
    }
}

/// The samples of one channel within its component.
struct Samples {
    uint64_t columns;
    uint64_t rows;
    uint64_t rowStep;  ///< lines from one to the next that counts
    unsigned shift;    ///< zeros below the value
};

template <class Sample>
void appendSamples(const Component& component, const v4l2::Channel& channel, const Samples& samples,
                   std::vector<std::byte>& out) {
    size_t at = out.size();
    out.resize(at + samples.rows * samples.columns * sizeof(Sample));
    for (uint64_t row = 0; row < samples.rows; ++row) {
        const std::byte* source = component.plane.data() + component.offset + row * samples.rowStep * component.stride;
        for (uint64_t i = 0; i < samples.columns; ++i) {
            Sample sample;
            std::memcpy(&sample, source + (i * channel.step + channel.first) * sizeof(Sample), sizeof sample);
            sample = static_cast<Sample>(sample >> samples.shift);
            std::memcpy(out.data() + at, &sample, sizeof sample);
            at += sizeof sample;
        }
    }
}

/// What a channel is in the decoder's own frame.
Samples nativeSamples(const Picture& picture, unsigned index) {
    const v4l2::RawFormat& format = *picture.format;
    // What the node does not tell, or tells of something else, is what the format says.
    const bool told = picture.stream.bitDepth != 0 && v4l2::carrierOf(picture.stream.chroma) == format.chroma;
    const v4l2::Chroma chroma = told ? picture.stream.chroma : format.chroma;
    const unsigned depth = told ? picture.stream.bitDepth : format.bitDepth;
    const v4l2::ChromaShift shift = index > 0 ? v4l2::shiftOf(chroma) : v4l2::ChromaShift{};
    const v4l2::ChromaShift carried = index > 0 ? v4l2::shiftOf(format.chroma) : v4l2::ChromaShift{};
    const unsigned bits = format.sampleBytes * 8U;
    return {countOf(picture.visible.width, shift.across), countOf(picture.visible.height, shift.down),
            uint64_t{1} << (shift.down - carried.down), format.bits == v4l2::Bits::High && depth < bits ? bits - depth : 0};
}

/// False if a channel's samples do not lie in what componentOf() checked.
bool appendNative(const Picture& picture, const Component& component, unsigned index, std::vector<std::byte>& out) {
    const v4l2::RawFormat& format = *picture.format;
    const Samples samples = nativeSamples(picture, index);
    const v4l2::Channel& channel = format.channels[index];
    const uint64_t lineSamples = component.rowBytes / format.sampleBytes;
    if ((samples.columns - 1) * channel.step + channel.first >= lineSamples ||
        (samples.rows - 1) * samples.rowStep >= component.rows)
        return false;
    // The bytes are the frame's own.
    if (samples.shift == 0 && channel.step == 1 && samples.rowStep == 1) {
        appendRows(component, out);
    } else if (format.sampleBytes == 2) {
        appendSamples<uint16_t>(component, channel, samples, out);
    } else {
        appendSamples<uint8_t>(component, channel, samples, out);
    }
    return true;
}

}  // namespace

bool packVisible(const Picture& picture, Order order, std::vector<std::byte>& out) {
    out.clear();
    if (picture.visible.left < 0 || picture.visible.top < 0) return false;
    const v4l2::RawFormat& format = *picture.format;
    if (order == Order::Capture) {
        for (unsigned index = 0; index < format.colorPlanes; ++index) {
            const Component component = componentOf(picture, index);
            if (!within(component)) return false;
            appendRows(component, out);
        }
        return true;
    }
    constexpr unsigned kYuv[] = {0, 1, 2};
    constexpr unsigned kGbr[] = {1, 2, 0};
    for (const unsigned index : std::span(format.chroma == v4l2::Chroma::Rgb ? kGbr : kYuv).first(format.channels.size())) {
        const Component component = componentOf(picture, format.channels[index].component);
        if (!within(component) || !appendNative(picture, component, index, out)) return false;
    }
    return true;
}

}  // namespace daedalus::tools
