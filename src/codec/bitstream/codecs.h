// The functions by which the rows of codec_traits.cpp tell codecs apart, beside those that read headers (stream_header.h) and
// find units (syntax.h). Each is in its codec's file.
#pragma once

#include <cstddef>
#include <cstdint>

#include "stream_header.h"

namespace daedalus::codec::bitstream {

[[nodiscard]] bool h264StartsAfresh(Bytes unit);
[[nodiscard]] bool hevcStartsAfresh(Bytes unit);
[[nodiscard]] bool vp8StartsAfresh(Bytes unit);
[[nodiscard]] bool av1StartsAfresh(Bytes unit);

[[nodiscard]] bool h264StartsAnew(const StreamHeader& before, const StreamHeader& now, bool frameThreads);
[[nodiscard]] bool mpeg2StartsAnew(const StreamHeader& before, const StreamHeader& now, bool frameThreads);
[[nodiscard]] bool mpeg4StartsAnew(const StreamHeader& before, const StreamHeader& now, bool frameThreads);

/// A VP9 superframe holds several.
[[nodiscard]] size_t vp9PicturesIn(Bytes packet);

}  // namespace daedalus::codec::bitstream
