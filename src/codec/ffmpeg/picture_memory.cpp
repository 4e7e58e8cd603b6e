#include "picture_memory.h"

extern "C" {
#include <libavutil/error.h>
#include <libavutil/pixdesc.h>
}

#include <algorithm>
#include <iterator>
#include <new>
#include <utility>
#include <vector>

#include "cost.h"
#include "daedalus/base/log.h"
#include "daedalus/base/thread_annotations.h"

namespace daedalus::codec::ffmpeg {

using memory::Budget;

/// What pictures and their decoder share. libavcodec's pool keeps the memory of pictures of one size, that of the last one,
/// until the next of that size; so what they took stays taken.
struct PictureMemory::State {
    State(v4l2::Codec of, std::shared_ptr<Budget> from) : codec(of), budget(std::move(from)) {}

    /// For a picture of so many bytes; empty if the budget does not have them.
    Budget::Share take(uint64_t bytes) {
        MutexLock lock(mutex);
        if (bytes != pooledBytes) pooled.clear();
        pooledBytes = bytes;
        if (pooled.empty()) return Budget::take(budget, bytes);
        Budget::Share share = std::move(pooled.back());
        pooled.pop_back();
        return share;
    }

    void giveBack(Budget::Share share) {
        MutexLock lock(mutex);
        if (share.bytes() != pooledBytes || pooled.size() == pooled.capacity()) return;
        pooled.push_back(std::move(share));
    }

    [[nodiscard]] bool takeTables(uint64_t bytes) {
        MutexLock lock(mutex);
        if (!tables) tables = Budget::take(budget, 0);
        return bytes <= tables.bytes() || tables.resize(bytes);
    }

    void forget() {
        MutexLock lock(mutex);
        pooled.clear();
        pooledBytes = 0;
        tables = {};
    }

    const v4l2::Codec codec;
    const std::shared_ptr<Budget> budget;
    Mutex mutex;
    uint64_t pooledBytes DAEDALUS_GUARDED_BY(mutex) = 0;
    std::vector<Budget::Share> pooled DAEDALUS_GUARDED_BY(mutex);
    Budget::Share tables DAEDALUS_GUARDED_BY(mutex);
};

struct PictureMemory::Picture {
    Picture(std::shared_ptr<State> of, Budget::Share taken) : state(std::move(of)), share(std::move(taken)) {}
    ~Picture() { state->giveBack(std::move(share)); }
    Picture(const Picture&) = delete;
    Picture& operator=(const Picture&) = delete;
    std::shared_ptr<State> state;
    Budget::Share share;
};

namespace {

/// More than any decoder holds at once. Reserved, so that giving back needs no memory.
constexpr size_t kMostPooled = 128;
#if LIBAVCODEC_VERSION_MAJOR < 61
constexpr int kProgressiveJpeg = FF_PROFILE_MJPEG_HUFFMAN_PROGRESSIVE_DCT;
#else
constexpr int kProgressiveJpeg = AV_PROFILE_MJPEG_HUFFMAN_PROGRESSIVE_DCT;
#endif

TableNeeds needsOf(const AVCodecContext& context, const ::AVFrame& frame) {
    const bool frameThreads = (context.active_thread_type & FF_THREAD_FRAME) != 0;
    const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
    const bool keepsAll = context.codec_id == AV_CODEC_ID_MJPEG && context.profile == kProgressiveJpeg;
    return {.width = static_cast<uint64_t>(std::max(frame.width, context.coded_width)),
            .height = static_cast<uint64_t>(std::max(frame.height, context.coded_height)),
            .threads = frameThreads ? static_cast<unsigned>(std::max(context.thread_count, 1)) : 1U,
            .frameThreads = frameThreads,
            .coefficients = keepsAll && format ? format->nb_components : 0U};
}

}  // namespace

PictureMemory::PictureMemory(v4l2::Codec codec, std::shared_ptr<Budget> budget)
    : state_(std::make_shared<State>(codec, std::move(budget))) {
    MutexLock lock(state_->mutex);
    state_->pooled.reserve(kMostPooled);
}

PictureMemory::~PictureMemory() { forget(); }

void PictureMemory::forget() { state_->forget(); }

void PictureMemory::count(AVCodecContext& context) {
    context.opaque = this;
    context.get_buffer2 = getBuffer;
#if LIBAVCODEC_VERSION_MAJOR < 60
    // Else each picture of a frame thread would wait for the thread that sends.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    context.thread_safe_callbacks = 1;
#pragma GCC diagnostic pop
#endif
}

/// Any thread of libavcodec's.
int PictureMemory::getBuffer(AVCodecContext* context, ::AVFrame* frame, int flags) {
    return static_cast<PictureMemory*>(context->opaque)->allocate(*context, *frame, flags);
}

int PictureMemory::allocate(AVCodecContext& context, ::AVFrame& frame, int flags) {
    if (const int error = avcodec_default_get_buffer2(&context, &frame, flags); error < 0) return error;
    // Their pages are not there before something is decoded into them.
    if (charge(context, frame)) return 0;
    av_frame_unref(&frame);
    return AVERROR(ENOMEM);
}

bool PictureMemory::charge(const AVCodecContext& context, ::AVFrame& frame) {
    const TableNeeds needs = needsOf(context, frame);
    uint64_t bytes = bytesBesidePicture(state_->codec, needs.width, needs.height);
    for (const AVBufferRef* buffer : frame.buf)
        if (buffer) bytes += buffer->size;
    const uint64_t tables = bytesOfTables(state_->codec, needs);
    auto share = state_->takeTables(tables) ? state_->take(bytes) : Budget::Share();
    if (!share) {
        log::warn("a picture of {}x{} needs {} MiB, and {} MiB of tables: {}", frame.width, frame.height, bytes >> 20,
                  tables >> 20, state_->budget->shortage(bytes));
        return false;
    }
    // A reference more, of no use but to be dropped with the picture's others.
    const auto place = std::ranges::find(frame.buf, nullptr);
    if (place == std::end(frame.buf)) return false;
    std::unique_ptr<Picture> owner(new (std::nothrow) Picture(state_, std::move(share)));
    if (!owner) return false;
    *place = av_buffer_create(
        reinterpret_cast<uint8_t*>(owner.get()), sizeof *owner,
        [](void*, uint8_t* data) { std::unique_ptr<Picture>(reinterpret_cast<Picture*>(data)); }, nullptr,
        AV_BUFFER_FLAG_READONLY);
    if (!*place) return false;
    static_cast<void>(owner.release());
    return true;
}

}  // namespace daedalus::codec::ffmpeg
