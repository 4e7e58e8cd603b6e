#include "frame_threads.h"

#include <algorithm>

namespace daedalus::codec::ffmpeg {

std::optional<int64_t> FrameThreads::sent(const AVCodecContext& context, const AVPacket& packet) {
    const bool threads = (context.active_thread_type & FF_THREAD_FRAME) != 0;
    const auto most = threads ? static_cast<size_t>(std::max(context.thread_count, 1)) - 1 : 0;
    held_.insert(held_.end(), traits_.picturesIn({packet.data, static_cast<size_t>(packet.size)}), packet.pts);
    std::optional<int64_t> out;
    while (held_.size() > most) {
        out = held_.front();
        held_.pop_front();
    }
    return out;
}

bool FrameThreads::canPush() const {
    return !traits_.filler.empty() && std::ranges::any_of(held_, [](int64_t pts) { return pts != kFiller; });
}

PacketPtr FrameThreads::filler() const {
    const auto bytes = traits_.filler;
    PacketPtr packet(av_packet_alloc());
    if (!packet || av_new_packet(packet.get(), static_cast<int>(bytes.size())) < 0) return nullptr;
    std::ranges::copy(bytes, packet->data);
    packet->pts = kFiller;
    return packet;
}

}  // namespace daedalus::codec::ffmpeg
