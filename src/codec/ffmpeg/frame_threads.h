// What libavcodec's frame threads hold back, and how it comes out without more of the stream.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "../codec_traits.h"
#include "av.h"

namespace daedalus::codec::ffmpeg {

/// With N frame threads, libavcodec answers to each packet with the outcome of the one that was sent N-1 packets before, in
/// order. This keeps the account, so that an outcome's packet is known; and it knows the codec's filler. N-1 of them bring out
/// what is held, and decoding goes on behind them as if they had never been. (An end of the stream would bring it out too, but
/// would forget all references.) Owned by one decoder.
class FrameThreads {
public:
    static constexpr int64_t kFiller = -1;

    explicit FrameThreads(const CodecTraits& traits) : traits_(traits) {}

    /// The packet is sent. Gives the pts of the one whose outcome comes with it; nothing while the threads fill.
    [[nodiscard]] std::optional<int64_t> sent(const AVCodecContext& context, const AVPacket& packet);
    /// True if some that are no fillers are held, and there is a filler for it.
    [[nodiscard]] bool canPush() const;
    /// A filler, to be sent with AVCodecContext::skip_frame at AVDISCARD_ALL; null: no memory.
    [[nodiscard]] PacketPtr filler() const;
    /// libavcodec was flushed.
    void clear() { held_.clear(); }

private:
    const CodecTraits& traits_;
    std::deque<int64_t> held_;
};

}  // namespace daedalus::codec::ffmpeg
