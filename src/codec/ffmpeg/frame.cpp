#include "frame.h"

extern "C" {
#include <libavutil/pixdesc.h>
}

#include "../bitstream/colorimetry.h"
#include "../bitstream/stream_header.h"
#include "../target_check.h"
#include "planes.h"

namespace daedalus::codec::ffmpeg {
namespace {

bool isKey(const AVFrame& frame) {
    return isMarkedKey(frame) || frame.pict_type == AV_PICTURE_TYPE_I || frame.pict_type == AV_PICTURE_TYPE_SI;
}

/// Of formats of three planes: by the shifts of the second and the third one.
v4l2::Chroma chromaOf(int shiftAcross, int shiftDown) {
    for (const auto chroma :
         {v4l2::Chroma::Yuv420, v4l2::Chroma::Yuv422, v4l2::Chroma::Yuv444, v4l2::Chroma::Yuv440, v4l2::Chroma::Yuv411}) {
        const v4l2::ChromaShift shift = v4l2::shiftOf(chroma);
        if (static_cast<int>(shift.across) == shiftAcross && static_cast<int>(shift.down) == shiftDown) return chroma;
    }
    return v4l2::Chroma::Other;
}

v4l2::Chroma chromaOf(const AVPixFmtDescriptor& description) {
    constexpr uint64_t kStrange = AV_PIX_FMT_FLAG_ALPHA | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BE | AV_PIX_FMT_FLAG_FLOAT;
    const AVComponentDescriptor& luma = description.comp[0];
    const int sampleBytes = luma.depth > 8 ? 2 : 1;
    if ((description.flags & kStrange) || luma.shift != 0 || luma.step != sampleBytes) return v4l2::Chroma::Other;
    if (description.nb_components == 1) return v4l2::Chroma::Mono;
    if (description.nb_components != 3 || !(description.flags & AV_PIX_FMT_FLAG_PLANAR)) return v4l2::Chroma::Other;
    // G, B, R.
    if (description.flags & AV_PIX_FMT_FLAG_RGB) return luma.plane == 2 ? v4l2::Chroma::Rgb : v4l2::Chroma::Other;
    // Two of three components in one plane would be NV12 and its like, which decoders in software do not give.
    if (description.comp[1].plane != 1 || description.comp[2].plane != 2) return v4l2::Chroma::Other;
    return chromaOf(description.log2_chroma_w, description.log2_chroma_h);
}

bitstream::Range rangeOf(const AVFrame& frame) {
    switch (frame.color_range) {
        case AVCOL_RANGE_JPEG:
            return bitstream::Range::Full;
        case AVCOL_RANGE_MPEG:
            return bitstream::Range::Limited;
        default:
            return bitstream::Range::Unknown;
    }
}

class AvFrame final : public Frame {
public:
    AvFrame(FramePtr frame, const StreamFormat& format, uint64_t tag)
        : frame_(std::move(frame)),
          description_(av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame_->format))),
          format_(format),
          tag_(tag) {}

    const StreamFormat& format() const override { return format_; }
    uint64_t tag() const override { return tag_; }

    PictureType pictureType() const override {
        if (isKey(*frame_)) return PictureType::Key;
        switch (frame_->pict_type) {
            case AV_PICTURE_TYPE_P:
            case AV_PICTURE_TYPE_S:
            case AV_PICTURE_TYPE_SP:
                return PictureType::P;
            case AV_PICTURE_TYPE_B:
            case AV_PICTURE_TYPE_BI:
                return PictureType::B;
            default:
                return PictureType::Unknown;
        }
    }

    bool damaged() const override { return (frame_->flags & AV_FRAME_FLAG_CORRUPT) || frame_->decode_error_flags; }
    const char* pixelFormatName() const override { return description_->name; }

    Result<> copyTo(const CaptureTarget& target) const override {
        if (!targetFits(target, format_)) return fail(EINVAL);
        SourcePicture picture{{}, format_.sampling()};
        for (int i = 0; i < description_->nb_components; ++i) {
            const int plane = description_->comp[i].plane;
            if (!frame_->data[plane] || frame_->linesize[plane] < lineSamples(plane) * sampleBytes()) return fail(EINVAL);
            picture.planes[static_cast<size_t>(i)] = {frame_->data[plane], frame_->linesize[plane], lineSamples(plane),
                                                      lines(plane)};
        }
        writePlanes(picture, target);
        return {};
    }

    uint64_t digest() const override {
        Digest digest;
        for (int plane = 0; plane < description_->nb_components; ++plane) {
            const v4l2::Rect& visible = format_.visible;
            const int acrossShift = plane ? description_->log2_chroma_w : 0;
            const int downShift = plane ? description_->log2_chroma_h : 0;
            const auto left = static_cast<size_t>(visible.left >> acrossShift);
            const int top = visible.top >> downShift;
            const auto right = static_cast<size_t>(AV_CEIL_RSHIFT(visible.left + static_cast<int>(visible.width), acrossShift));
            const int bottom = AV_CEIL_RSHIFT(visible.top + static_cast<int>(visible.height), downShift);
            const auto bytes = static_cast<size_t>(sampleBytes());
            if (!frame_->data[plane] || description_->comp[plane].step != sampleBytes()) break;
            for (int y = top; y < bottom; ++y) {
                const uint8_t* line = frame_->data[plane] + static_cast<ptrdiff_t>(frame_->linesize[plane]) * y;
                digest.add(std::as_bytes(std::span(line + left * bytes, (right - left) * bytes)));
            }
        }
        return digest.value();
    }

private:
    [[nodiscard]] int sampleBytes() const { return description_->comp[0].depth > 8 ? 2 : 1; }
    [[nodiscard]] int lineSamples(int plane) const {
        return plane ? AV_CEIL_RSHIFT(frame_->width, description_->log2_chroma_w) : frame_->width;
    }
    [[nodiscard]] int lines(int plane) const {
        return plane ? AV_CEIL_RSHIFT(frame_->height, description_->log2_chroma_h) : frame_->height;
    }

    FramePtr frame_;
    const AVPixFmtDescriptor* description_;
    StreamFormat format_;
    uint64_t tag_;
};

}  // namespace

std::optional<StreamFormat> formatOf(const AVFrame& frame, const UnitInfo& unit) {
    const AVPixFmtDescriptor* description = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
    if (!description || frame.width <= 0 || frame.height <= 0) return std::nullopt;
    const auto width = static_cast<size_t>(frame.width);
    const auto height = static_cast<size_t>(frame.height);
    if (!bitstream::sizeAllowed(width, height)) return std::nullopt;
    StreamFormat format;
    bitstream::setSize(format, static_cast<uint32_t>(width), static_cast<uint32_t>(height));
    if (frame.crop_left < width && frame.crop_right < width - frame.crop_left && frame.crop_top < height &&
        frame.crop_bottom < height - frame.crop_top)
        format.visible = {static_cast<int32_t>(frame.crop_left), static_cast<int32_t>(frame.crop_top),
                          static_cast<uint32_t>(width - frame.crop_left - frame.crop_right),
                          static_cast<uint32_t>(height - frame.crop_top - frame.crop_bottom)};
    format.chroma = chromaOf(*description);
    format.bitDepth = static_cast<uint8_t>(description->comp[0].depth);
    format.minCaptureBuffers = unit.minCaptureBuffers;
    format.interlaced = unit.interlaced;
    format.bottomFirst = unit.bottomFirst;
    format.conformance = unit.conformance;
    format.hdr10 = unit.hdr10;
    format.colorimetry =
        bitstream::colorimetry(static_cast<unsigned>(frame.color_primaries), static_cast<unsigned>(frame.color_trc),
                               static_cast<unsigned>(frame.colorspace), rangeOf(frame));
    if (frame.sample_aspect_ratio.num > 0 && frame.sample_aspect_ratio.den > 0) {
        format.pixelAspectNum = static_cast<uint32_t>(frame.sample_aspect_ratio.num);
        format.pixelAspectDen = static_cast<uint32_t>(frame.sample_aspect_ratio.den);
    }
    return format;
}

bool isMarkedKey(const AVFrame& frame) {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 29, 100)
    return (frame.flags & AV_FRAME_FLAG_KEY) != 0;
#else
    return frame.key_frame != 0;
#endif
}

FieldOrder fieldOrderOf(const AVFrame& frame) {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 29, 100)
    const bool interlaced = frame.flags & AV_FRAME_FLAG_INTERLACED;
    const bool topFirst = frame.flags & AV_FRAME_FLAG_TOP_FIELD_FIRST;
#else
    const bool interlaced = frame.interlaced_frame;
    const bool topFirst = frame.top_field_first;
#endif
    if (!interlaced) return FieldOrder::Unsaid;
    return topFirst ? FieldOrder::TopFirst : FieldOrder::BottomFirst;
}

std::unique_ptr<Frame> makeFrame(FramePtr frame, const StreamFormat& format, uint64_t tag) {
    return std::make_unique<AvFrame>(std::move(frame), format, tag);
}

}  // namespace daedalus::codec::ffmpeg
