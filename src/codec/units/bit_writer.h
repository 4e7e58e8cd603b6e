// Writing headers bit by bit.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace daedalus::codec::units {

/// Big-endian bits and Exp-Golomb codes.
class BitWriter {
public:
    /// The low `count` bits of `value`, at most 32.
    void bits(uint32_t value, unsigned count) {
        for (unsigned i = count; i-- > 0;) put(value >> i & 1U);
    }
    void flag(bool value) { put(value ? 1 : 0); }
    /// ue(v)
    void ue(uint32_t value) {
        const uint64_t code = uint64_t{value} + 1;
        const auto length = static_cast<unsigned>(std::bit_width(code));
        for (unsigned i = 1; i < length; ++i) put(0);
        for (unsigned i = length; i-- > 0;) put(static_cast<uint32_t>(code >> i & 1U));
    }
    /// se(v)
    void se(int32_t value) {
        const auto wide = int64_t{value};
        ue(static_cast<uint32_t>(wide > 0 ? 2 * wide - 1 : -2 * wide));
    }
    /// Zeros up to the next byte.
    void align() {
        while (used_ != 0) put(0);
    }
    /// A one, then zeros up to the next byte.
    void trail() {
        put(1);
        align();
    }
    [[nodiscard]] const std::vector<uint8_t>& bytes() const { return bytes_; }

private:
    void put(uint32_t bit) {
        if (used_ == 0) bytes_.push_back(0);
        bytes_.back() = static_cast<uint8_t>(bytes_.back() | bit << (7 - used_));
        used_ = (used_ + 1) % 8;
    }

    std::vector<uint8_t> bytes_;
    unsigned used_ = 0;
};

}  // namespace daedalus::codec::units
