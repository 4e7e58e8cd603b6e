#include "history.h"

#include <utility>

namespace daedalus::codec::ffmpeg {

bool History::add(const AVPacket& packet, bool afresh) {
    if (afresh) clear();
    PacketPtr copy(av_packet_clone(&packet));
    if (!copy) return false;
    bytes_ += static_cast<size_t>(copy->size);
    packets_.push_back(std::move(copy));
    const auto tooMuch = [this] { return packets_.size() > kMostPackets || bytes_ > kMostBytes; };
    if (tooMuch()) dropBefore(keyFrame_);
    while (tooMuch()) dropFirst();
    return true;
}

void History::keyFrame(int64_t pts) {
    if (pts <= keyFrame_) return;
    dropBefore(std::exchange(keyFrame_, pts));
}

void History::clear() {
    packets_.clear();
    bytes_ = 0;
    next_ = kNotRewound;
    keyFrame_ = INT64_MIN;
    complete_ = true;
}

void History::rewind() {
    if (complete_ && !packets_.empty()) next_ = 0;
}

const AVPacket* History::next() {
    if (!rewound()) return nullptr;
    const AVPacket* packet = packets_[next_++].get();
    if (next_ == packets_.size()) next_ = kNotRewound;
    return packet;
}

void History::dropBefore(int64_t pts) {
    while (!packets_.empty() && packets_.front()->pts < pts) dropFirst();
    complete_ = complete_ || (!packets_.empty() && packets_.front()->pts == pts);
}

void History::dropFirst() {
    bytes_ -= static_cast<size_t>(packets_.front()->size);
    packets_.pop_front();
    complete_ = false;
}

}  // namespace daedalus::codec::ffmpeg
