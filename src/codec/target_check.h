// What every copyTo() checks before it writes.
#pragma once

#include "daedalus/codec/decoder.h"

namespace daedalus::codec {

/// True if `target` can take a frame of `format`: same coded size, chroma and depth, and every line inside its spans.
[[nodiscard]] bool targetFits(const CaptureTarget& target, const StreamFormat& format);

/// FNV-1a, 64 bit.
class Digest {
public:
    void add(std::span<const std::byte> bytes) {
        for (const std::byte byte : bytes) value_ = (value_ ^ static_cast<uint64_t>(byte)) * 0x100000001B3;
    }
    [[nodiscard]] uint64_t value() const { return value_; }

private:
    uint64_t value_ = 0xCBF29CE484222325;
};

}  // namespace daedalus::codec
