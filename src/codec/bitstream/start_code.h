// Where the units of a byte stream begin: 00 00 01.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>

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

/// The first byte of the first unit behind a start code for which `isPicture` says so; nothing if there is none.
template <class IsPicture>
[[nodiscard]] std::optional<uint8_t> firstPicture(Bytes unit, const IsPicture& isPicture) {
    for (size_t code = findStartCode(unit, 0); code != kNoStartCode; code = findStartCode(unit, code + 3))
        if (code + 3 < unit.size() && isPicture(unit[code + 3])) return unit[code + 3];
    return std::nullopt;
}

}  // namespace daedalus::codec::bitstream
