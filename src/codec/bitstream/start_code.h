// Where the units of a byte stream begin: 00 00 01.
#pragma once

#include <cstdint>
#include <cstring>

#include "bit_reader.h"

namespace daedalus::codec::bitstream {

inline constexpr size_t kNoStartCode = SIZE_MAX;

/// Position of the next 00 00 01 at or after `from`, or kNoStartCode.
[[nodiscard]] inline size_t findStartCode(Bytes bytes, size_t from) {
    size_t one = from + 2;
    while (one < bytes.size()) {
        const void* hit = std::memchr(bytes.data() + one, 1, bytes.size() - one);
        if (!hit) return kNoStartCode;
        one = static_cast<size_t>(static_cast<const uint8_t*>(hit) - bytes.data());
        if (bytes[one - 1] == 0 && bytes[one - 2] == 0) return one - 2;
        ++one;
    }
    return kNoStartCode;
}

}  // namespace daedalus::codec::bitstream
