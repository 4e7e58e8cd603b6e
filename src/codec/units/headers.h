// Bitstream headers from the controls of a stateless decoder: pure functions. The controls were validated, but by the kernel's
// rules, which leave much that makes no sense; whatever they say, what is written is short.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "daedalus/v4l2/uapi.h"

namespace daedalus::codec::units {

/// Sequence, picture and quantisation headers of MPEG-2, to be put before a picture's slices. `temporalReference`: of 10 bits.
[[nodiscard]] std::vector<uint8_t> mpeg2Headers(const v4l2_ctrl_mpeg2_sequence& sequence,
                                                const v4l2_ctrl_mpeg2_picture& picture,
                                                const v4l2_ctrl_mpeg2_quantisation& quantisation, uint32_t temporalReference);

/// An H.264 sequence parameter set of id 0 as a NAL unit with its start code.
[[nodiscard]] std::vector<uint8_t> h264Sps(const v4l2_ctrl_h264_sps& sps);
/// A picture parameter set of that id, which refers to the sequence parameter set 0.
[[nodiscard]] std::vector<uint8_t> h264Pps(uint32_t id, const v4l2_ctrl_h264_pps& pps, const v4l2_ctrl_h264_sps& sps,
                                           const v4l2_ctrl_h264_scaling_matrix& scaling);
/// What the slices of a picture say.
struct H264Slices {
    std::vector<uint32_t> ppsIds;  ///< each once; ids beyond 255 are left out
    bool predicted = false;        ///< there is one that refers to other pictures
};
[[nodiscard]] H264Slices h264Slices(std::span<const uint8_t> bytes);

/// Where a VP9 frame's header names the slot of a reference.
struct Vp9Place {
    size_t bit = 0;    ///< where the three bits of the index begin, from the start of the frame
    uint8_t slot = 0;  ///< what they say
};
/// What it says of its three references, and does to the slots.
struct Vp9Slots {
    uint8_t refresh = 0;                                ///< one bit for each slot that the frame goes to
    std::optional<std::array<Vp9Place, 3>> references;  ///< of a frame that has any
};
/// Nothing for a header that is none, or of a frame that only shows a slot.
[[nodiscard]] std::optional<Vp9Slots> vp9Slots(std::span<const uint8_t> frame);

}  // namespace daedalus::codec::units
