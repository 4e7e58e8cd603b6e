#include "frame_threads.h"

#include <algorithm>
#include <array>
#include <span>

namespace daedalus::codec::ffmpeg {
namespace {

/// Empty for codecs that libavcodec has no frame threads for, or (libdav1d) that have threads of their own.
std::span<const uint8_t> fillerOf(v4l2::Codec codec) {
    // Access unit delimiters.
    static constexpr uint8_t kH264[] = {0, 0, 1, 9, 0xF0};
    static constexpr uint8_t kHevc[] = {0, 0, 1, 35 << 1, 1, 0x50};
    // An inter frame that is neither shown nor kept, and leaves the probabilities: the 3 bytes say so and that a header of 40
    // bytes follows, which is zeros.
    static constexpr std::array<uint8_t, 3 + 40 + 8> kVp8 = {0x01, 40 >> 3, 0};
    // Shows an older frame, which is dropped by its pts.
    static constexpr uint8_t kVp9[] = {0x88};
    switch (codec) {
        case v4l2::Codec::H264:
            return kH264;
        case v4l2::Codec::Hevc:
            return kHevc;
        case v4l2::Codec::Vp8:
            return kVp8;
        case v4l2::Codec::Vp9:
            return kVp9;
        default:
            return {};
    }
}

/// VP9 packets may hold several frames, which libavcodec takes apart before they reach the threads.
size_t framesIn(v4l2::Codec codec, const AVPacket& packet) {
    constexpr uint8_t kMarkerMask = 0xE0;
    constexpr uint8_t kMarker = 0xC0;
    if (codec != v4l2::Codec::Vp9 || packet.size == 0) return 1;
    const uint8_t last = packet.data[packet.size - 1];
    if ((last & kMarkerMask) != kMarker) return 1;
    const size_t frames = (last & 7U) + 1;
    const size_t index = 2 + frames * ((last >> 3 & 3U) + 1);
    const auto size = static_cast<size_t>(packet.size);
    return size >= index && packet.data[size - index] == last ? frames : 1;
}

}  // namespace

std::optional<int64_t> FrameThreads::sent(const AVCodecContext& context, const AVPacket& packet) {
    const bool threads = (context.active_thread_type & FF_THREAD_FRAME) != 0;
    const auto most = threads ? static_cast<size_t>(std::max(context.thread_count, 1)) - 1 : 0;
    held_.insert(held_.end(), framesIn(codec_, packet), packet.pts);
    std::optional<int64_t> out;
    while (held_.size() > most) {
        out = held_.front();
        held_.pop_front();
    }
    return out;
}

bool FrameThreads::canPush() const {
    return !fillerOf(codec_).empty() && std::ranges::any_of(held_, [](int64_t pts) { return pts != kFiller; });
}

PacketPtr FrameThreads::filler() const {
    const auto bytes = fillerOf(codec_);
    PacketPtr packet(av_packet_alloc());
    if (!packet || av_new_packet(packet.get(), static_cast<int>(bytes.size())) < 0) return nullptr;
    std::ranges::copy(bytes, packet->data);
    packet->pts = kFiller;
    return packet;
}

}  // namespace daedalus::codec::ffmpeg
