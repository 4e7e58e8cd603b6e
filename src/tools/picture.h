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
    v4l2::Sampling stream;  ///< of the decoder's own frames; a depth of 0 if the node does not tell it
    v4l2::Rect visible;
    uint32_t codedHeight = 0;
    std::array<uint32_t, 3> bytesPerLine{};
    std::array<std::span<const std::byte>, 3> planes;
};

enum class Order : uint8_t {
    Capture,  ///< as the CAPTURE format has them
    /// As FFmpeg decodes them: plane after plane (Y, Cb, Cr or G, B, R), samples of more than 8 bits in the low bits of 16.
    Native,
};

/// Puts the visible samples into `out`, line after line without padding. False if they do not lie within the planes.
[[nodiscard]] bool packVisible(const Picture& picture, Order order, std::vector<std::byte>& out);

}  // namespace daedalus::tools
