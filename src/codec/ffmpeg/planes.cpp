#include "planes.h"

#include <libyuv.h>

#include <algorithm>
#include <cstring>

namespace daedalus::codec::ffmpeg {
namespace {

/// Lines of a CAPTURE buffer that take a plane's lines one by one.
struct TargetLines {
    std::byte* first;
    int stride;  ///< bytes
    int lines;
};

class Writer {
public:
    Writer(const SourcePicture& picture, const CaptureTarget& target) : picture_(picture), target_(target) {}

    void write() const {
        const v4l2::RawFormat& format = *target_.format;
        const bool deep = picture_.sampling.bitDepth > 8;
        const bool sameWidth = deep == (format.sampleBytes == 2);
        const bool rgbBytes = format.chroma == v4l2::Chroma::Rgb && !deep && format.channels[0].step == 3;
        if (sameWidth && rgbBytes) return mergeRgb();
        if (!sameWidth || format.channels[0].step > 1) return scatter();
        for (size_t channel = 0; channel < (format.colorPlanes == 2 ? 1U : format.channels.size()); ++channel) {
            const SourcePlane& plane = picture_.planes[channel];
            for (int turn = 0; turn < turns(channel); ++turn) copy(plane, linesFor(channel, turn));
        }
        if (format.colorPlanes == 2)
            for (int turn = 0; turn < turns(1); ++turn) mergeChroma(linesFor(1, turn));
    }

private:
    /// How often each line of a channel is given: 4:4:0 comes as 4:4:4.
    [[nodiscard]] int turns(size_t channel) const {
        return channel > 0 && picture_.sampling.chroma == v4l2::Chroma::Yuv440 ? 2 : 1;
    }

    /// The lines of a channel's component that are filled in one turn.
    [[nodiscard]] TargetLines linesFor(size_t channel, int turn) const {
        const v4l2::ComponentLayout& component = target_.layout.component[target_.format->channels[channel].component];
        const int every = turns(channel);
        const auto stride = static_cast<int>(component.stride);
        std::byte* first = target_.planes[component.memoryPlane].data() + component.offset;
        const int room = (static_cast<int>(component.height) - turn + every - 1) / every;
        return {first + ptrdiff_t{turn} * stride, stride * every, std::min(room, picture_.planes[channel].lines)};
    }

    void copy(const SourcePlane& plane, const TargetLines& lines) const {
        const v4l2::RawFormat& format = *target_.format;
        if (format.bits == v4l2::Bits::High) {
            libyuv::ConvertToMSBPlane_16(reinterpret_cast<const uint16_t*>(plane.data), plane.stride / 2,
                                         reinterpret_cast<uint16_t*>(lines.first), lines.stride / 2, plane.width, lines.lines,
                                         picture_.sampling.bitDepth);
        } else {
            libyuv::CopyPlane(plane.data, plane.stride, reinterpret_cast<uint8_t*>(lines.first), lines.stride,
                              plane.width * format.sampleBytes, lines.lines);
        }
    }

    void mergeChroma(const TargetLines& lines) const {
        const SourcePlane& cb = picture_.planes[1];
        const SourcePlane& cr = picture_.planes[2];
        if (target_.format->bits == v4l2::Bits::High) {
            libyuv::MergeUVPlane_16(reinterpret_cast<const uint16_t*>(cb.data), cb.stride / 2,
                                    reinterpret_cast<const uint16_t*>(cr.data), cr.stride / 2,
                                    reinterpret_cast<uint16_t*>(lines.first), lines.stride / 2, cb.width, lines.lines,
                                    picture_.sampling.bitDepth);
        } else {
            libyuv::MergeUVPlane(cb.data, cb.stride, cr.data, cr.stride, reinterpret_cast<uint8_t*>(lines.first), lines.stride,
                                 cb.width, lines.lines);
        }
    }

    void mergeRgb() const {
        std::array<const SourcePlane*, 3> inOrder{};
        for (size_t channel = 0; channel < inOrder.size(); ++channel)
            inOrder[target_.format->channels[channel].first] = &picture_.planes[channel];
        const TargetLines lines = linesFor(0, 0);
        libyuv::MergeRGBPlane(inOrder[0]->data, inOrder[0]->stride, inOrder[1]->data, inOrder[1]->stride, inOrder[2]->data,
                              inOrder[2]->stride, reinterpret_cast<uint8_t*>(lines.first), lines.stride, inOrder[0]->width,
                              lines.lines);
    }

    /// Whole pixels, and fewer bits than the picture has.
    void scatter() const {
        const v4l2::RawFormat& format = *target_.format;
        if (format.channels[0].step > format.channels.size()) fillLines();
        for (size_t channel = 0; channel < format.channels.size(); ++channel) {
            for (int turn = 0; turn < turns(channel); ++turn) {
                const TargetLines lines = linesFor(channel, turn);
                if (picture_.sampling.bitDepth <= 8) {
                    scatterChannel<uint8_t, uint8_t>(channel, lines);
                } else if (format.sampleBytes == 1) {
                    scatterChannel<uint16_t, uint8_t>(channel, lines);
                } else {
                    scatterChannel<uint16_t, uint16_t>(channel, lines);
                }
            }
        }
    }

    /// Padding reads as opaque where somebody takes it for alpha.
    void fillLines() const {
        const TargetLines lines = linesFor(0, 0);
        const size_t bytes = target_.layout.component[0].width;
        for (int y = 0; y < lines.lines; ++y) std::memset(lines.first + ptrdiff_t{y} * lines.stride, 0xFF, bytes);
    }

    template <class From, class To>
    void scatterChannel(size_t index, const TargetLines& lines) const {
        const v4l2::RawFormat& format = *target_.format;
        const v4l2::Channel& channel = format.channels[index];
        const SourcePlane& plane = picture_.planes[index];
        const unsigned depth = picture_.sampling.bitDepth;
        const unsigned lost = depth > 8 * sizeof(To) ? depth - format.bitDepth : 0;
        const unsigned raised = format.bits == v4l2::Bits::High ? 8 * sizeof(To) - depth : 0;
        for (int y = 0; y < lines.lines; ++y) {
            const auto* from = reinterpret_cast<const From*>(plane.data + ptrdiff_t{y} * plane.stride);
            auto* to = reinterpret_cast<To*>(lines.first + ptrdiff_t{y} * lines.stride) + channel.first;
            for (int x = 0; x < plane.width; ++x, to += channel.step)
                *to = static_cast<To>(unsigned{from[x]} >> lost << raised);
        }
    }

    const SourcePicture& picture_;
    const CaptureTarget& target_;
};

}  // namespace

void writePlanes(const SourcePicture& picture, const CaptureTarget& target) { Writer(picture, target).write(); }

}  // namespace daedalus::codec::ffmpeg
