// What libavcodec has decoded, so that it can be decoded again.
#pragma once

#include <cstdint>
#include <deque>

#include "av.h"

namespace daedalus::codec::ffmpeg {

/// libavcodec gives its last pictures only at an end, and there forgets what later pictures refer to. This keeps the packets
/// that bring it back to where it was: those since the last key frame but one, since pictures behind a key frame may refer to
/// some before it, or since the last one that starts afresh. Bounded: where a stream has no key frame in kMostPackets or
/// kMostBytes, there is no way back. Packets are told apart by their pts, which must rise. Owned by one decoder.
class History {
public:
    static constexpr size_t kMostPackets = 1024;
    static constexpr size_t kMostBytes = size_t{32} << 20;

    /// A packet that is about to be sent. `afresh`: nothing before it is needed from now on. False: no memory.
    [[nodiscard]] bool add(const AVPacket& packet, bool afresh);
    /// The packet of this pts has given a key frame.
    void keyFrame(int64_t pts);
    void clear();

    /// Begins to give the packets again. Does nothing if they do not reach back to a point where decoding can start.
    void rewind();
    /// True from rewind() until next() has given the last packet.
    [[nodiscard]] bool rewound() const { return next_ != kNotRewound; }
    /// The next packet to decode again; null if there is none. Valid until the next call that is not const.
    [[nodiscard]] const AVPacket* next();

private:
    static constexpr size_t kNotRewound = SIZE_MAX;

    void dropBefore(int64_t pts);
    void dropFirst();

    std::deque<PacketPtr> packets_;
    size_t bytes_ = 0;
    size_t next_ = kNotRewound;
    int64_t keyFrame_ = INT64_MIN;  ///< pts of the last one
    bool complete_ = true;          ///< decoding can start with the first packet
};

}  // namespace daedalus::codec::ffmpeg
