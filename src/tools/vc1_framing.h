// What VC-1's frames need around them to be a stream of their own: containers leave it away.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace daedalus::tools {

/// The sequence layer of Annex L (simple and main profile) for a container's `structC` and frame size (pixels); empty if
/// `structC` is too short to be one.
[[nodiscard]] std::vector<std::byte> vc1SequenceLayer(std::span<const std::byte> structC, uint32_t width, uint32_t height);
/// A frame of these profiles in its frame layer; empty if the frame is too long for one.
[[nodiscard]] std::vector<std::byte> vc1FrameLayer(std::span<const std::byte> frame, bool isKey);
/// A frame of the advanced profile with the start code of Annex G in front; empty if it begins with one.
[[nodiscard]] std::vector<std::byte> vc1WithStartCode(std::span<const std::byte> frame);

}  // namespace daedalus::tools
