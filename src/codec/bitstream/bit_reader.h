// Reading headers bit by bit. Reads past the end give zeros and are remembered: check ok() once at the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace daedalus::codec::bitstream {

using Bytes = std::span<const uint8_t>;

/// Big-endian bits and Exp-Golomb codes.
class BitReader {
public:
    explicit BitReader(Bytes bytes) : bytes_(bytes) {}

    /// The next `count` bits, at most 32.
    uint32_t bits(unsigned count) {
        uint32_t value = 0;
        for (unsigned i = 0; i < count; ++i) value = value << 1 | nextBit();
        return value;
    }
    bool flag() { return nextBit() != 0; }
    void skip(unsigned count) { position_ += count; }
    /// ue(v)
    uint32_t ue() {
        unsigned zeros = 0;
        while (zeros < 32 && ok() && nextBit() == 0) ++zeros;
        if (zeros == 32) {
            invalid_ = true;
            return 0;
        }
        return (uint32_t{1} << zeros) - 1 + bits(zeros);
    }
    /// se(v)
    int32_t se() {
        const uint32_t code = ue();
        return code & 1 ? static_cast<int32_t>(code / 2 + 1) : -static_cast<int32_t>(code / 2);
    }
    /// False once something was read that is not there, or a code was too long.
    [[nodiscard]] bool ok() const { return !invalid_ && position_ <= bytes_.size() * 8; }
    [[nodiscard]] size_t position() const { return position_; }

private:
    uint32_t nextBit() {
        const size_t index = position_ / 8;
        const uint32_t bit = index < bytes_.size() ? bytes_[index] >> (7 - position_ % 8) & 1U : 0U;
        ++position_;
        return bit;
    }

    Bytes bytes_;
    size_t position_ = 0;
    bool invalid_ = false;
};

/// The payload of a NAL unit without its emulation prevention bytes, at most `limit` bytes of it.
[[nodiscard]] inline std::vector<uint8_t> unescape(Bytes unit, size_t limit) {
    std::vector<uint8_t> payload;
    payload.reserve(unit.size() < limit ? unit.size() : limit);
    unsigned zeros = 0;
    for (const uint8_t byte : unit) {
        if (payload.size() >= limit) break;
        if (zeros >= 2 && byte == 3) {
            zeros = 0;
            continue;
        }
        zeros = byte == 0 ? zeros + 1 : 0;
        payload.push_back(byte);
    }
    return payload;
}

}  // namespace daedalus::codec::bitstream
