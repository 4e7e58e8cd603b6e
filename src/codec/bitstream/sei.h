// The messages of SEI units, which H.264 and HEVC frame alike, and one of them: film grain.
#pragma once

#include <cstdint>

#include "bit_reader.h"

namespace daedalus::codec::bitstream {

/// Gives `take` the type and the bytes of each message of an SEI unit (unescaped, from behind its NAL unit header); one that is
/// cut short, and what is behind it, is left out.
template <class Take>
void forEachSei(Bytes payload, const Take& take) {
    // A byte sequence in which 255 means that more follows.
    const auto readFf = [](BitReader& in) {
        uint32_t value = 0;
        uint32_t byte = 0;
        do {
            byte = in.bits(8);
            value += byte;
        } while (byte == 0xFF && in.ok());
        return value;
    };
    // The last byte holds the stop bit.
    while (payload.size() > 2) {
        BitReader in(payload);
        const uint32_t type = readFf(in);
        const uint32_t size = readFf(in);
        const size_t head = in.position() / 8;
        if (!in.ok() || size > payload.size() - head) return;
        take(type, payload.subspan(head, size));
        payload = payload.subspan(head + size);
    }
}

/// Whether a stream's pictures get film grain, from the first picture on at which a decoder can be made for it.
class FilmGrain {
public:
    /// A message before the next picture.
    void sei(uint32_t type, Bytes message) {
        constexpr uint32_t kFilmGrain = 19;
        constexpr uint8_t kCancelFlag = 0x80;
        if (type == kFilmGrain && !message.empty() && !(message[0] & kCancelFlag)) asked_ = true;
    }
    /// A parameter set before the next picture.
    void parameterSet() { parameterSets_ = true; }
    /// A picture begins. `newSequence`: it refers to none before it.
    void picture(bool newSequence) {
        if (first_ || (newSequence && parameterSets_)) inForce_ = asked_;
        first_ = parameterSets_ = false;
    }
    [[nodiscard]] bool inForce() const { return inForce_; }

private:
    bool asked_ = false;
    bool inForce_ = false;
    bool parameterSets_ = false;
    bool first_ = true;
};

}  // namespace daedalus::codec::bitstream
