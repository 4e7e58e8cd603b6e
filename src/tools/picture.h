// A decoded picture in the planes of a CAPTURE buffer, and its visible samples without what lies around them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "daedalus/v4l2/formats.h"

namespace daedalus::tools {

/// Points into a dequeued buffer.
struct Picture {
    const v4l2::RawFormat* format = nullptr;
    v4l2::Rect visible;
    uint32_t codedHeight = 0;
    std::array<uint32_t, 3> bytesPerLine{};
    std::array<std::span<const std::byte>, 3> planes;
};

enum class Order : uint8_t {
    Capture,  ///< as the CAPTURE format has them
    Native,   ///< as FFmpeg decodes them: plane after plane, samples of more than 8 bits in the low bits of 16
};

/// Puts the visible samples into `out`, line after line without padding. False if they do not lie within the planes.
[[nodiscard]] bool packVisible(const Picture& picture, Order order, std::vector<std::byte>& out);

}  // namespace daedalus::tools
