// libavcodec's pictures and what it keeps beside them, counted.
#pragma once

#include <memory>

#include "av.h"
#include "daedalus/memory/budget.h"
#include "daedalus/v4l2/formats.h"

namespace daedalus::codec::ffmpeg {

/// Each picture that a decoder allocates takes its bytes from a budget for as long as libavcodec has the memory, in use or in
/// its pool for the next one; with the first picture of a size come the tables for that size. Pictures may outlive this.
class PictureMemory {
public:
    PictureMemory(v4l2::Codec codec, std::shared_ptr<memory::Budget> budget);
    ~PictureMemory();
    PictureMemory(const PictureMemory&) = delete;
    PictureMemory& operator=(const PictureMemory&) = delete;

    /// Before avcodec_open2(): from then on pictures that the budget does not have fail with ENOMEM, before anything is decoded
    /// into them. The context must not outlive this object, nor another one be counted while it lives.
    void count(AVCodecContext& context);
    /// What libavcodec then calls for each picture, for who has a get_buffer2() of his own. Any thread of libavcodec's.
    [[nodiscard]] int allocate(AVCodecContext& context, ::AVFrame& frame, int flags);
    /// The context is gone, and its pool with it.
    void forget();

private:
    struct State;
    struct Picture;
    static int getBuffer(AVCodecContext* context, ::AVFrame* frame, int flags);
    [[nodiscard]] bool charge(const AVCodecContext& context, ::AVFrame& frame);

    std::shared_ptr<State> state_;
};

}  // namespace daedalus::codec::ffmpeg
