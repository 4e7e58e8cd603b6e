#include "open_context.h"

extern "C" {
#include <libavutil/error.h>
#include <libavutil/mem.h>
}

#include <algorithm>

namespace daedalus::codec::ffmpeg {
namespace {

/// libavcodec's own limit is 16 pictures of reordering, and one picture a thread.
constexpr unsigned kMostThreads = 64;

int threadType(Threading threading, ThreadType wanted) {
    switch (threading) {
        case Threading::FramesOnly:
            return wanted == ThreadType::Slice ? 0 : FF_THREAD_FRAME;
        case Threading::SlicesOnly:
            return FF_THREAD_SLICE;
        case Threading::FramesFaster:
            return wanted == ThreadType::Slice ? FF_THREAD_SLICE : FF_THREAD_FRAME;
        case Threading::SlicesFaster:
            break;
    }
    return wanted == ThreadType::Frame ? FF_THREAD_FRAME : FF_THREAD_SLICE;
}

/// Gives the headers to libavcodec as a container would. False: no memory.
bool setUp(AVCodecContext& context, size_t least, const bitstream::StreamHeader& header) {
    const std::vector<uint8_t>& setup = header.setup;
    const size_t size = std::max(setup.size(), least);
    context.extradata = static_cast<uint8_t*>(av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE));
    if (!context.extradata) return false;
    std::ranges::copy(setup, context.extradata);
    context.extradata_size = static_cast<int>(size);
    context.width = context.coded_width = static_cast<int>(header.format.visible.width);
    context.height = context.coded_height = static_cast<int>(header.format.visible.height);
    return true;
}

}  // namespace

void raiseReorderDepth(AVCodecContext& context, const CodecTraits& traits, const bitstream::StreamHeader& header) {
    if (!traits.learnsReordering) return;
    context.has_b_frames = std::max(context.has_b_frames, static_cast<int>(header.reorderDepth));
}

Result<ContextPtr> openContext(const CodecTraits& traits, const AVCodec* decoder, const DecoderOptions& options,
                               const std::optional<bitstream::StreamHeader>& header, PictureMemory* pictures) {
    ContextPtr context(avcodec_alloc_context3(decoder));
    if (!context) return fail(ENOMEM);
    context->flags |= AV_CODEC_FLAG_UNALIGNED;
    // What is decoded without the key frame that it needs is shown, as damaged.
    context->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
    if (traits.showsAll) context->flags2 |= AV_CODEC_FLAG2_SHOW_ALL;
    context->apply_cropping = 0;
    context->max_pixels = static_cast<int64_t>(options.maxPixels);
    // libdav1d's pictures are not ours to count: what its headers need was taken, and it gets no larger ones.
    if (traits.allocatesPictures)
        context->max_pixels = static_cast<int64_t>(std::min(options.maxPixels, header ? header->maxPixels : 1));
    if (pictures) pictures->count(*context);
    context->thread_count = static_cast<int>(std::clamp(options.threads, 1U, kMostThreads));
    // A frame thread of libavcodec's may put film grain on a picture that another one has not decoded to its end.
    const bool grain = header && header->filmGrain;
    context->thread_type = threadType(traits.threading, grain ? ThreadType::Slice : options.threadType);
    if (traits.toldNotToDelay && options.threadType != ThreadType::Frame) context->flags |= AV_CODEC_FLAG_LOW_DELAY;
    if (traits.tag != 0) context->codec_tag = traits.tag;
    if (traits.leastSetup && !setUp(*context, *traits.leastSetup, *header)) return fail(ENOMEM);
    if (header) raiseReorderDepth(*context, traits, *header);
    const int error = avcodec_open2(context.get(), decoder, nullptr);
    if (error >= 0) return context;
    if (error == AVERROR(ENOMEM)) return fail(ENOMEM);
    if (traits.leastSetup) return ContextPtr();
    return fail(EIO);
}

}  // namespace daedalus::codec::ffmpeg
