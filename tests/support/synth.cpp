#include "synth.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavutil/log.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
}

#include <cstdlib>
#include <cstring>

#include "av_owned.h"

/// LeakSanitizer asks for this by name. The encoders that make the streams leak by themselves.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libx265\nleak:libSvtAv1Enc\nleak:libaom\n"; }

namespace daedalus::test {
namespace {

const AVCodec* encoderOf(v4l2::Codec codec) {
    switch (codec) {
        case v4l2::Codec::H264:
            return avcodec_find_encoder_by_name("libx264");
        case v4l2::Codec::Hevc:
            return avcodec_find_encoder_by_name("libx265");
        case v4l2::Codec::Vp8:
            return avcodec_find_encoder_by_name("libvpx");
        case v4l2::Codec::Vp9:
            return avcodec_find_encoder_by_name("libvpx-vp9");
        case v4l2::Codec::Av1: {
            const AVCodec* found = avcodec_find_encoder_by_name("libaom-av1");
            return found ? found : avcodec_find_encoder_by_name("libsvtav1");
        }
        case v4l2::Codec::Mpeg2:
            return avcodec_find_encoder_by_name("mpeg2video");
        case v4l2::Codec::Mpeg1:
            return avcodec_find_encoder_by_name("mpeg1video");
        case v4l2::Codec::Mpeg4:
        case v4l2::Codec::Xvid:
            return avcodec_find_encoder_by_name("mpeg4");
        case v4l2::Codec::H263:
            return avcodec_find_encoder_by_name("h263p");
        case v4l2::Codec::Flv1:
            return avcodec_find_encoder_by_name("flv");
        case v4l2::Codec::Mjpeg:
            return avcodec_find_encoder_by_name("mjpeg");
        case v4l2::Codec::Vc1G:
        case v4l2::Codec::Vc1L:
            return nullptr;
    }
    return nullptr;
}

AVPixelFormat pixelFormat(v4l2::Codec codec, const SynthOptions& options) {
    const bool deep = options.bitDepth > 8;
    if (codec == v4l2::Codec::Mjpeg && !deep) {
        switch (options.chroma) {
            case v4l2::Chroma::Yuv422:
                return AV_PIX_FMT_YUVJ422P;
            case v4l2::Chroma::Yuv444:
                return AV_PIX_FMT_YUVJ444P;
            case v4l2::Chroma::Yuv420:
                return AV_PIX_FMT_YUVJ420P;
            default:
                return AV_PIX_FMT_NONE;
        }
    }
    switch (options.chroma) {
        case v4l2::Chroma::Mono:
            return deep ? AV_PIX_FMT_GRAY10 : AV_PIX_FMT_GRAY8;
        case v4l2::Chroma::Yuv422:
            return deep ? AV_PIX_FMT_YUV422P10 : AV_PIX_FMT_YUV422P;
        case v4l2::Chroma::Yuv444:
            return deep ? AV_PIX_FMT_YUV444P10 : AV_PIX_FMT_YUV444P;
        default:
            return deep ? AV_PIX_FMT_YUV420P10 : AV_PIX_FMT_YUV420P;
    }
}

void option(AVCodecContext* context, const char* name, const std::string& value) {
    // Not every encoder, nor every version of one, knows every option.
    static_cast<void>(av_opt_set(context, name, value.c_str(), AV_OPT_SEARCH_CHILDREN));
}

void setColours(AVCodecContext* context) {
    context->color_primaries = AVCOL_PRI_BT2020;
    context->color_trc = AVCOL_TRC_SMPTE2084;
    context->colorspace = AVCOL_SPC_BT2020_NCL;
    context->color_range = AVCOL_RANGE_JPEG;
}

/// kSynthDisplay and kSynthLight in the words that x264 and x265 share.
std::string displayParameter() {
    const auto& [x, y, whiteX, whiteY, maxLuminance, minLuminance] = kSynthDisplay;
    const auto pair = [](const char* name, uint32_t one, uint32_t other) {
        return name + ("(" + std::to_string(one)) + "," + std::to_string(other) + ")";
    };
    return pair("G", x[0], y[0]) + pair("B", x[1], y[1]) + pair("R", x[2], y[2]) + pair("WP", whiteX, whiteY) +
           pair("L", maxLuminance, minLuminance);
}

std::string lightParameter() { return std::to_string(kSynthLight.max) + "," + std::to_string(kSynthLight.maxOfAverages); }

void setUp(AVCodecContext* context, v4l2::Codec codec, const SynthOptions& options) {
    const std::string gop = std::to_string(options.gop);
    const std::string bframes = std::to_string(options.bframes);
    context->gop_size = static_cast<int>(options.gop);
    context->thread_count = 1;
    switch (codec) {
        case v4l2::Codec::H264:
            context->max_b_frames = static_cast<int>(options.bframes);
            option(context, "preset", "veryfast");
            option(context, "x264-params",
                   "scenecut=0:threads=1:lookahead-threads=1:keyint=" + gop + ":min-keyint=" + gop + ":bframes=" + bframes +
                       ":b-adapt=0:slices=" + std::to_string(options.slices) +
                       (!options.interlaced   ? ""
                        : options.bottomFirst ? ":bff=1"
                                              : ":tff=1") +
                       (options.hdr10 ? ":mastering-display=" + displayParameter() + ":cll=" + lightParameter() : ""));
            break;
        case v4l2::Codec::Hevc:
            option(context, "preset", "ultrafast");
            option(context, "x265-params",
                   "log-level=none:scenecut=0:open-gop=0:pools=1:frame-threads=1:keyint=" + gop + ":min-keyint=" + gop +
                       ":bframes=" + bframes + ":b-adapt=0" +
                       (options.hdr10 ? ":master-display=" + displayParameter() + ":max-cll=" + lightParameter() : ""));
            break;
        case v4l2::Codec::Vp8:
        case v4l2::Codec::Vp9:
            context->bit_rate = 400'000;
            option(context, "deadline", "realtime");
            option(context, "cpu-used", "8");
            break;
        case v4l2::Codec::Av1:
            context->bit_rate = 400'000;
            option(context, "usage", "realtime");
            option(context, "cpu-used", "8");
            option(context, "lag-in-frames", "0");
            option(context, "preset", "12");
            break;
        case v4l2::Codec::Mpeg2:
            context->bit_rate = 1'000'000;
            context->max_b_frames = static_cast<int>(options.bframes);
            context->slices = static_cast<int>(options.slices);
            if (options.interlaced) context->flags |= AV_CODEC_FLAG_INTERLACED_DCT | AV_CODEC_FLAG_INTERLACED_ME;
            break;
        case v4l2::Codec::Mpeg1:
            context->bit_rate = 1'000'000;
            context->max_b_frames = static_cast<int>(options.bframes);
            context->slices = static_cast<int>(options.slices);
            break;
        case v4l2::Codec::Mpeg4:
            context->bit_rate = 600'000;
            context->max_b_frames = static_cast<int>(options.bframes);
            if (options.interlaced) context->flags |= AV_CODEC_FLAG_INTERLACED_DCT | AV_CODEC_FLAG_INTERLACED_ME;
            break;
        case v4l2::Codec::Xvid:
            // Without the encoder's name in the stream, the format's name decides how it is decoded.
            context->bit_rate = 600'000;
            context->max_b_frames = static_cast<int>(options.bframes);
            context->flags |= AV_CODEC_FLAG_BITEXACT;
            break;
        case v4l2::Codec::H263:
        case v4l2::Codec::Flv1:
            context->bit_rate = 600'000;
            break;
        case v4l2::Codec::Mjpeg:
            context->bit_rate = 4'000'000;
            context->color_range = AVCOL_RANGE_JPEG;
            break;
        case v4l2::Codec::Vc1G:
        case v4l2::Codec::Vc1L:
            break;
    }
}

template <class Sample>
void paint(AVFrame* frame, unsigned number, uint32_t seed, int shift) {
    const AVPixFmtDescriptor* description = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame->format));
    for (int plane = 0; plane < description->nb_components; ++plane) {
        const int width = plane ? AV_CEIL_RSHIFT(frame->width, description->log2_chroma_w) : frame->width;
        const int height = plane ? AV_CEIL_RSHIFT(frame->height, description->log2_chroma_h) : frame->height;
        for (int y = 0; y < height; ++y) {
            auto* line = reinterpret_cast<Sample*>(frame->data[plane] + static_cast<ptrdiff_t>(frame->linesize[plane]) * y);
            for (int x = 0; x < width; ++x) {
                // A slope that moves, and a coarse checker that moves against it.
                const unsigned slope = static_cast<unsigned>(x) * 2 + static_cast<unsigned>(y) + number * 5 + seed * 37;
                const unsigned checker =
                    ((static_cast<unsigned>(x) + number * 3) / 9 ^ (static_cast<unsigned>(y) + seed) / 7) & 1;
                const unsigned level = 16 + (slope * (plane + 1U) % 160) + checker * 40;
                line[x] = static_cast<Sample>(level << shift);
            }
        }
    }
}

void setFieldOrder(AVFrame* frame, bool bottomFirst) {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 29, 100)
    frame->flags |= AV_FRAME_FLAG_INTERLACED | (bottomFirst ? 0 : AV_FRAME_FLAG_TOP_FIELD_FIRST);
#else
    frame->interlaced_frame = 1;
    frame->top_field_first = !bottomFirst;
#endif
}

AccessUnit unitOf(const AVPacket* packet) {
    AccessUnit unit;
    unit.bytes.resize(static_cast<size_t>(packet->size));
    std::memcpy(unit.bytes.data(), packet->data, unit.bytes.size());
    unit.key = packet->flags & AV_PKT_FLAG_KEY;
    return unit;
}

/// Rewrites the cropping fields of the parameter sets; null if nothing is to be cropped.
Owned<AVBSFContext> cropFilter(v4l2::Codec codec, const AVCodecContext* encoder, const SynthCrop& crop) {
    if (!(crop.left || crop.top || crop.right || crop.bottom)) return nullptr;
    const AVBitStreamFilter* filter = av_bsf_get_by_name(codec == v4l2::Codec::H264 ? "h264_metadata" : "hevc_metadata");
    AVBSFContext* context = nullptr;
    if (!filter || av_bsf_alloc(filter, &context) < 0) return nullptr;
    Owned<AVBSFContext> owned(context);
    if (avcodec_parameters_from_context(context->par_in, encoder) < 0) return nullptr;
    av_opt_set_int(context->priv_data, "crop_left", crop.left, 0);
    av_opt_set_int(context->priv_data, "crop_top", crop.top, 0);
    av_opt_set_int(context->priv_data, "crop_right", crop.right, 0);
    av_opt_set_int(context->priv_data, "crop_bottom", crop.bottom, 0);
    if (av_bsf_init(context) < 0) return nullptr;
    return owned;
}

}  // namespace

std::vector<std::byte> SynthStream::bytes() const {
    std::vector<std::byte> all;
    for (const AccessUnit& unit : units) all.insert(all.end(), unit.bytes.begin(), unit.bytes.end());
    return all;
}

std::optional<SynthStream> synth(v4l2::Codec codec, uint32_t width, uint32_t height, unsigned frames,
                                 const SynthOptions& options) {
    // The encoders greet on stderr; a test's output is for the test.
    av_log_set_level(AV_LOG_ERROR);
    ::setenv("SVT_LOG", "0", 0);
    const AVCodec* encoder = encoderOf(codec);
    if (!encoder) return std::nullopt;
    const Owned<AVCodecContext> context(avcodec_alloc_context3(encoder));
    context->width = static_cast<int>(width);
    context->height = static_cast<int>(height);
    context->pix_fmt = pixelFormat(codec, options);
    context->time_base = {1, 25};
    context->framerate = {25, 1};
    setUp(context.get(), codec, options);
    if (options.wideColours) setColours(context.get());
    context->sample_aspect_ratio = {static_cast<int>(options.aspectNum), static_cast<int>(options.aspectDen)};
    if (avcodec_open2(context.get(), encoder, nullptr) < 0) return std::nullopt;
    const bool cropped = options.crop.left || options.crop.top || options.crop.right || options.crop.bottom;
    const Owned<AVBSFContext> filter = cropFilter(codec, context.get(), options.crop);
    if (cropped && !filter) return std::nullopt;

    SynthStream stream;
    stream.codec = codec;
    const Owned<AVPacket> packet(av_packet_alloc());
    const auto collect = [&] {
        while (avcodec_receive_packet(context.get(), packet.get()) >= 0) {
            if (filter) {
                if (av_bsf_send_packet(filter.get(), packet.get()) < 0) continue;
                if (av_bsf_receive_packet(filter.get(), packet.get()) < 0) continue;
            }
            stream.units.push_back(unitOf(packet.get()));
            av_packet_unref(packet.get());
        }
    };
    for (unsigned number = 0; number < frames; ++number) {
        const Owned<AVFrame> frame(av_frame_alloc());
        frame->width = context->width;
        frame->height = context->height;
        frame->format = context->pix_fmt;
        frame->pts = number;
        if (options.interlaced) setFieldOrder(frame.get(), options.bottomFirst);
        frame->color_range = context->color_range;
        if (av_frame_get_buffer(frame.get(), 0) < 0) return std::nullopt;
        if (options.bitDepth > 8)
            paint<uint16_t>(frame.get(), number, options.seed, options.bitDepth - 8);
        else
            paint<uint8_t>(frame.get(), number, options.seed, 0);
        if (avcodec_send_frame(context.get(), frame.get()) < 0) return std::nullopt;
        collect();
    }
    static_cast<void>(avcodec_send_frame(context.get(), nullptr));
    collect();

    const std::vector<ReferenceFrame> decoded = referenceFrames(codec, stream.units);
    for (const ReferenceFrame& frame : decoded) stream.frameMd5.push_back(frame.md5);
    if (!decoded.empty()) {
        stream.width = decoded.front().width;
        stream.height = decoded.front().height;
    }
    return stream;
}

SynthStream join(const SynthStream& first, const SynthStream& second) {
    SynthStream both = first;
    both.units.insert(both.units.end(), second.units.begin(), second.units.end());
    both.frameMd5 = referenceMd5(first.codec, both.units);
    return both;
}

}  // namespace daedalus::test
