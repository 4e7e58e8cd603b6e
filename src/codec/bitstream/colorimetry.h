// H.273 code points to V4L2's enums.
#pragma once

#include "daedalus/v4l2/formats.h"

namespace daedalus::codec::bitstream {

/// What a stream says of its range; most say nothing.
enum class Range : uint8_t { Unknown, Limited, Full };

/// ITU-T H.273 (and AVCOL_*) code points; 2 is "unspecified" and becomes V4L2's DEFAULT, as does what V4L2 cannot say.
[[nodiscard]] v4l2::Colorimetry colorimetry(unsigned primaries, unsigned transfer, unsigned matrix, Range range);

/// What JFIF says of every JPEG image: sRGB, BT.601's matrix, full range.
[[nodiscard]] v4l2::Colorimetry jpegColorimetry();

}  // namespace daedalus::codec::bitstream
