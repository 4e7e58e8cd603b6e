#include "open_context.h"

extern "C" {
#include <libavutil/error.h>
#include <libavutil/mem.h>
}

#include <algorithm>
#include <utility>

namespace daedalus::codec::ffmpeg {
namespace {

/// libavcodec's own limit is 16 pictures of reordering, and one picture a thread.
constexpr unsigned kMostThreads = 64;

int threadType(v4l2::Codec codec, ThreadType wanted) {
    // libavcodec's slice threads decode HEVC pictures of several slices with wavefronts wrongly.
    if (codec == v4l2::Codec::Hevc) return wanted == ThreadType::Slice ? 0 : FF_THREAD_FRAME;
    // Its frame threads do not wait for all that interlaced MPEG-4 pictures refer to, and it has no slice threads for it.
    if (codec == v4l2::Codec::Mpeg4 || codec == v4l2::Codec::Xvid) return FF_THREAD_SLICE;
    switch (wanted) {
        case ThreadType::Frame:
            return FF_THREAD_FRAME;
        case ThreadType::Slice:
            return FF_THREAD_SLICE;
        case ThreadType::Auto:
            break;
    }
    // Measured: whichever is faster on one stream.
    return codec == v4l2::Codec::H264 || codec == v4l2::Codec::Vp8 ? FF_THREAD_FRAME : FF_THREAD_SLICE;
}

bool mpeg2StartsAnew(const StreamFormat& before, const StreamFormat& now) {
    const auto aspect = [](const StreamFormat& format) { return std::pair(format.pixelAspectNum, format.pixelAspectDen); };
    const bool fieldRows = before.interlaced != now.interlaced && (now.visible.height + 15) / 16 % 2 != 0;
    return before.visible != now.visible || aspect(before) != aspect(now) || fieldRows;
}

/// Gives the headers to libavcodec as a container would. False: no memory.
bool setUp(AVCodecContext& context, v4l2::Codec codec, const bitstream::StreamHeader& header) {
    // It refuses fewer bytes, and ignores zeros.
    constexpr size_t kLeast = 16;
    const std::vector<uint8_t>& setup = header.setup;
    const size_t size = codec == v4l2::Codec::Vc1G ? std::max(setup.size(), kLeast) : setup.size();
    context.extradata = static_cast<uint8_t*>(av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE));
    if (!context.extradata) return false;
    std::ranges::copy(setup, context.extradata);
    context.extradata_size = static_cast<int>(size);
    context.width = context.coded_width = static_cast<int>(header.format.visible.width);
    context.height = context.coded_height = static_cast<int>(header.format.visible.height);
    return true;
}

}  // namespace

bool startsAnew(const AVCodecContext& context, v4l2::Codec codec, const bitstream::StreamHeader& before,
                const bitstream::StreamHeader& now) {
    switch (codec) {
        case v4l2::Codec::H264:
            // Frame threads that get a packet without a picture (FrameThreads) right behind a change of size lose pictures.
            if ((context.active_thread_type & FF_THREAD_FRAME) && !before.format.sameSetup(now.format)) return true;
            return before.filmGrain != now.filmGrain;
        case v4l2::Codec::Mpeg2:
        case v4l2::Codec::Mpeg1:
            return mpeg2StartsAnew(before.format, now.format);
        case v4l2::Codec::Mpeg4:
        case v4l2::Codec::Xvid:
            return before.format.visible != now.format.visible;
        default:
            return before.setup != now.setup || before.filmGrain != now.filmGrain;
    }
}

bool needsKeyFrame(v4l2::Codec codec) {
    switch (codec) {
        case v4l2::Codec::Mpeg1:
        case v4l2::Codec::Mpeg2:
        case v4l2::Codec::Mpeg4:
        case v4l2::Codec::Xvid:
        case v4l2::Codec::H263:
        case v4l2::Codec::Flv1:
            return true;
        default:
            return false;
    }
}

bool needsSetup(v4l2::Codec codec) { return codec == v4l2::Codec::Vc1G || codec == v4l2::Codec::Vc1L; }

void raiseReorderDepth(AVCodecContext& context, v4l2::Codec codec, const bitstream::StreamHeader& header) {
    if (codec != v4l2::Codec::H264) return;
    context.has_b_frames = std::max(context.has_b_frames, static_cast<int>(header.reorderDepth));
}

Result<ContextPtr> openContext(v4l2::Codec codec, const AVCodec* decoder, const DecoderOptions& options,
                               const std::optional<bitstream::StreamHeader>& header, PictureMemory* pictures) {
    ContextPtr context(avcodec_alloc_context3(decoder));
    if (!context) return fail(ENOMEM);
    context->flags |= AV_CODEC_FLAG_UNALIGNED;
    // What is decoded without the key frame that it needs is shown, as damaged.
    context->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
    if (codec == v4l2::Codec::Mpeg1 || codec == v4l2::Codec::Mpeg2) context->flags2 |= AV_CODEC_FLAG2_SHOW_ALL;
    context->apply_cropping = 0;
    context->max_pixels = static_cast<int64_t>(options.maxPixels);
    // libdav1d's pictures are not ours to count: what its headers need was taken, and it gets no larger ones.
    if (codec == v4l2::Codec::Av1)
        context->max_pixels = static_cast<int64_t>(std::min(options.maxPixels, header ? header->maxPixels : 1));
    if (pictures) pictures->count(*context);
    context->thread_count = static_cast<int>(std::clamp(options.threads, 1U, kMostThreads));
    // A frame thread of libavcodec's may put film grain on a picture that another one has not decoded to its end.
    const bool grain = header && header->filmGrain;
    context->thread_type = threadType(codec, grain ? ThreadType::Slice : options.threadType);
    if (codec == v4l2::Codec::Av1 && options.threadType != ThreadType::Frame) context->flags |= AV_CODEC_FLAG_LOW_DELAY;
    if (codec == v4l2::Codec::Xvid) context->codec_tag = MKTAG('X', 'V', 'I', 'D');
    if (needsSetup(codec) && !setUp(*context, codec, *header)) return fail(ENOMEM);
    if (header) raiseReorderDepth(*context, codec, *header);
    const int error = avcodec_open2(context.get(), decoder, nullptr);
    if (error >= 0) return context;
    if (error == AVERROR(ENOMEM)) return fail(ENOMEM);
    if (needsSetup(codec)) return ContextPtr();
    return fail(EIO);
}

}  // namespace daedalus::codec::ffmpeg
