#include "picture_memory.h"

extern "C" {
#include <libavutil/error.h>
}

#include <algorithm>
#include <iterator>
#include <new>

namespace daedalus::codec::ffmpeg {
namespace {

using memory::Budget;

/// Any thread of libavcodec's.
int getBuffer(AVCodecContext* context, ::AVFrame* frame, int flags) {
    if (const int error = avcodec_default_get_buffer2(context, frame, flags); error < 0) return error;
    uint64_t bytes = 0;
    for (const AVBufferRef* buffer : frame->buf)
        if (buffer) bytes += buffer->size;
    // A reference more, of no use but to be dropped with the picture's others.
    const auto place = std::ranges::find(frame->buf, nullptr);
    const auto& budget = *static_cast<const std::shared_ptr<Budget>*>(context->opaque);
    auto share = Budget::take(budget, bytes);
    std::unique_ptr<Budget::Share> owner(share ? new (std::nothrow) Budget::Share(std::move(share)) : nullptr);
    if (owner && place != std::end(frame->buf)) {
        *place = av_buffer_create(
            reinterpret_cast<uint8_t*>(owner.get()), sizeof *owner,
            [](void*, uint8_t* data) { std::unique_ptr<Budget::Share>(reinterpret_cast<Budget::Share*>(data)); }, nullptr,
            AV_BUFFER_FLAG_READONLY);
        if (*place) {
            static_cast<void>(owner.release());
            return 0;
        }
    }
    av_frame_unref(frame);
    return AVERROR(ENOMEM);
}

}  // namespace

void countPictures(AVCodecContext& context, const std::shared_ptr<Budget>& budget) {
    context.opaque = const_cast<std::shared_ptr<Budget>*>(&budget);
    context.get_buffer2 = getBuffer;
#if LIBAVCODEC_VERSION_MAJOR < 60
    // Else each picture of a frame thread would wait for the thread that sends.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    context.thread_safe_callbacks = 1;
#pragma GCC diagnostic pop
#endif
}

}  // namespace daedalus::codec::ffmpeg
