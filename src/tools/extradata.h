// Parameters of a stream that its container keeps apart.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "daedalus/v4l2/formats.h"

namespace daedalus::tools {

/// The first access unit with `extradata` (as libavformat or its Annex B filter gives it; for VC-1 of Annex L a
/// sequence layer) where a decoder that sees only the
/// stream looks for it; empty if the access unit can go as it is.
[[nodiscard]] std::vector<std::byte> withExtradata(v4l2::Codec codec, std::span<const std::byte> extradata,
                                                   std::span<const std::byte> unit);

}  // namespace daedalus::tools
