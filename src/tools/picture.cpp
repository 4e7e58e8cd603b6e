#include "picture.h"

#include <cstring>

namespace daedalus::tools {
namespace {

/// Where the visible part of one colour plane lies. Computed from the driver's own strides, which need not be ours.
struct Component {
    std::span<const std::byte> plane;
    uint64_t offset;    ///< of the first visible byte
    uint64_t stride;    ///< bytes
    uint64_t rowBytes;  ///< visible bytes per line
    uint64_t rows;
    bool interleaved;  ///< Cb and Cr in turn
};

Component componentOf(const Picture& picture, unsigned index) {
    const v4l2::RawFormat& format = *picture.format;
    const bool chroma = index > 0;
    const bool halfAcross = format.chroma == v4l2::Chroma::Yuv420 || format.chroma == v4l2::Chroma::Yuv422;
    const unsigned shiftX = chroma && halfAcross ? 1 : 0;
    const unsigned shiftY = chroma && format.chroma == v4l2::Chroma::Yuv420 ? 1 : 0;
    const bool interleaved = chroma && format.colorPlanes == 2;
    const uint64_t lumaStride = picture.bytesPerLine[0];

    Component component{};
    component.interleaved = interleaved;
    const uint64_t derived = (lumaStride >> shiftX) << (interleaved ? 1 : 0);
    const bool ownPlane = format.memoryPlanes > 1;
    component.stride = !chroma                                        ? lumaStride
                       : ownPlane && picture.bytesPerLine[index] != 0 ? picture.bytesPerLine[index]
                                                                      : derived;
    component.plane = picture.planes[ownPlane ? index : 0];
    if (!ownPlane && chroma) {
        const uint64_t chromaLines = (uint64_t{picture.codedHeight} + shiftY) >> shiftY;
        component.offset = lumaStride * picture.codedHeight + (index - 1) * component.stride * chromaLines;
    }
    const uint64_t sampleBytes = uint64_t{format.sampleBytes} << (interleaved ? 1 : 0);
    const auto left = static_cast<uint64_t>(picture.visible.left) >> shiftX;
    const auto top = static_cast<uint64_t>(picture.visible.top) >> shiftY;
    component.offset += top * component.stride + left * sampleBytes;
    component.rowBytes = ((uint64_t{picture.visible.width} + shiftX) >> shiftX) * sampleBytes;
    component.rows = (uint64_t{picture.visible.height} + shiftY) >> shiftY;
    return component;
}

bool within(const Component& component) {
    if (component.rows == 0 || component.rowBytes == 0) return false;
    return component.offset + (component.rows - 1) * component.stride + component.rowBytes <= component.plane.size();
}

/// Appends every `step`-th sample of the component, from the `first` on.
template <class Sample>
void appendSamples(const Component& component, unsigned first, unsigned step, unsigned shift, std::vector<std::byte>& out) {
    const size_t perRow = component.rowBytes / sizeof(Sample) / step;
    size_t at = out.size();
    out.resize(at + component.rows * perRow * sizeof(Sample));
    for (uint64_t row = 0; row < component.rows; ++row) {
        const std::byte* source = component.plane.data() + component.offset + row * component.stride;
        for (size_t i = 0; i < perRow; ++i) {
            Sample sample;
            std::memcpy(&sample, source + (i * step + first) * sizeof(Sample), sizeof sample);
            sample = static_cast<Sample>(sample >> shift);
            std::memcpy(out.data() + at, &sample, sizeof sample);
            at += sizeof sample;
        }
    }
}

void appendRows(const Component& component, std::vector<std::byte>& out) {
    for (uint64_t row = 0; row < component.rows; ++row) {
        const auto line = component.plane.subspan(component.offset + row * component.stride, component.rowBytes);
        out.insert(out.end(), line.begin(), line.end());
    }
}

}  // namespace

bool packVisible(const Picture& picture, Order order, std::vector<std::byte>& out) {
    out.clear();
    if (picture.visible.left < 0 || picture.visible.top < 0) return false;
    const bool wide = picture.format->sampleBytes == 2;
    // Formats of 16-bit words with two colour planes (P010, P012) have their samples in the high bits.
    const unsigned shift = wide && picture.format->colorPlanes == 2 ? 16U - picture.format->bitDepth : 0;
    for (unsigned index = 0; index < picture.format->colorPlanes; ++index) {
        const Component component = componentOf(picture, index);
        if (!within(component)) return false;
        if (order == Order::Capture || (!component.interleaved && shift == 0)) {
            appendRows(component, out);
            continue;
        }
        const unsigned step = component.interleaved ? 2 : 1;
        for (unsigned first = 0; first < step; ++first) {
            if (wide) {
                appendSamples<uint16_t>(component, first, step, shift, out);
            } else {
                appendSamples<uint8_t>(component, first, step, shift, out);
            }
        }
    }
    return true;
}

}  // namespace daedalus::tools
