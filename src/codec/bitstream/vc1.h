// The layers that Annex L of SMPTE 421M puts around the frames of VC-1's simple and main profiles.
#pragma once

#include <optional>

#include "stream_header.h"

namespace daedalus::codec::bitstream {

/// The sequence layer at the start of `rest`, cut off it; nothing if there is none, or its size is not allowed.
[[nodiscard]] std::optional<StreamHeader> takeVc1SequenceLayer(Bytes& rest);
/// The next frame, cut off `rest` with the frame layer before it. What has no frame layer is one frame to its end.
[[nodiscard]] Bytes takeVc1Frame(Bytes& rest);

}  // namespace daedalus::codec::bitstream
