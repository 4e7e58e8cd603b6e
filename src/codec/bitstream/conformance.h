// From the numbers by which streams name profiles and levels to the menu items by which V4L2 does.
#pragma once

#include <cstdint>

#include "daedalus/v4l2/stream_facts.h"

namespace daedalus::codec::bitstream {

/// The first three bytes of a sequence parameter set.
[[nodiscard]] v4l2::Conformance h264Conformance(unsigned profileIdc, unsigned constraints, unsigned levelIdc);
[[nodiscard]] v4l2::Conformance hevcConformance(unsigned profileIdc, bool highTier, unsigned levelIdc);
/// profile_and_level_indication of a sequence extension.
[[nodiscard]] v4l2::Conformance mpeg2Conformance(unsigned indication);
/// profile_and_level_indication of a visual object sequence.
[[nodiscard]] v4l2::Conformance mpeg4Conformance(unsigned indication);
/// A VP9 stream does not tell its level: the lowest that allows pictures of this size (pixels).
[[nodiscard]] v4l2::Conformance vp9Conformance(unsigned profile, uint32_t width, uint32_t height);
/// seq_level_idx of the operating point that is decoded.
[[nodiscard]] v4l2::Conformance av1Conformance(unsigned profile, unsigned levelIndex);

}  // namespace daedalus::codec::bitstream
