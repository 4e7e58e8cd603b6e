// The units of an AV1 temporal unit (low-overhead format).
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "bit_reader.h"

namespace daedalus::codec::bitstream {

enum ObuType : uint8_t { kSequenceHeader = 1, kFrameHeader = 3, kMetadata = 5, kFrame = 6 };

struct Obu {
    unsigned type = 0;
    Bytes payload;
};

/// Takes the first OBU off `unit`; nothing if there is none, or none that is whole.
[[nodiscard]] inline std::optional<Obu> takeObu(Bytes& unit) {
    if (unit.empty()) return std::nullopt;
    const uint8_t first = unit[0];
    size_t head = first & 4 ? 2 : 1;
    size_t size = unit.size() - std::min(head, unit.size());
    if (first & 2) {
        size = 0;
        for (unsigned shift = 0; shift < 56; shift += 7) {
            if (head >= unit.size()) return std::nullopt;
            const uint8_t byte = unit[head++];
            size |= static_cast<size_t>(byte & 0x7F) << shift;
            if (!(byte & 0x80)) break;
        }
    }
    if (head > unit.size() || size > unit.size() - head) return std::nullopt;
    const Obu obu{first >> 3 & 15U, unit.subspan(head, size)};
    unit = unit.subspan(head + size);
    return obu;
}

}  // namespace daedalus::codec::bitstream
