// NAL units behind their lengths, as MP4 and Matroska have them.
#pragma once

#include <cstddef>
#include <span>

#include "daedalus/v4l2/formats.h"

namespace daedalus::tools {

/// Bytes of each length, by a container's record for H.264 or HEVC (`extradata`); 0 for what is no such record: Annex B, and
/// other codecs.
[[nodiscard]] size_t lengthBytes(v4l2::Codec codec, std::span<const std::byte> extradata);

/// False if a unit is empty or longer than its packet. FFmpeg's decoders drop such a packet whole, its Annex B filter cuts it.
[[nodiscard]] bool hasWholeUnits(std::span<const std::byte> packet, size_t lengthBytes);

}  // namespace daedalus::tools
