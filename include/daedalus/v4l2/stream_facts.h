// What a stream says beside its pictures, in V4L2's terms.
#pragma once

#include <array>
#include <cstdint>

#include "daedalus/v4l2/uapi.h"

namespace daedalus::v4l2 {

/// Where a stream claims to stand in its codec's standard: items of the menus of the profile, level and tier controls of that
/// codec (V4L2_MPEG_VIDEO_H264_PROFILE_HIGH …).
struct Conformance {
    static constexpr int kUnsaid = -1;  ///< the stream does not say, or V4L2 has no item for it
    int profile = kUnsaid;
    int level = kUnsaid;
    int tier = kUnsaid;
    friend bool operator==(const Conformance&, const Conformance&) = default;
};

/// Payload of V4L2_CID_COLORIMETRY_HDR10_CLL_INFO; all 0 where the stream does not say. cd/m2.
struct ContentLight {
    uint16_t max = 0;
    uint16_t maxOfAverages = 0;
    friend bool operator==(const ContentLight&, const ContentLight&) = default;
};
static_assert(sizeof(ContentLight) == sizeof(v4l2_ctrl_hdr10_cll_info));

/// Payload of V4L2_CID_COLORIMETRY_HDR10_MASTERING_DISPLAY; all 0 where the stream does not say. Chromaticities in 0.00002,
/// primaries in the order green, blue, red; luminances in 0.0001 cd/m2.
struct MasteringDisplay {
    std::array<uint16_t, 3> primariesX{};
    std::array<uint16_t, 3> primariesY{};
    uint16_t whiteX = 0;
    uint16_t whiteY = 0;
    uint32_t maxLuminance = 0;
    uint32_t minLuminance = 0;
    friend bool operator==(const MasteringDisplay&, const MasteringDisplay&) = default;
};
static_assert(sizeof(MasteringDisplay) == sizeof(v4l2_ctrl_hdr10_mastering_display));

/// Static metadata of high dynamic range.
struct Hdr10 {
    ContentLight contentLight;
    MasteringDisplay masteringDisplay;
    friend bool operator==(const Hdr10&, const Hdr10&) = default;
};

}  // namespace daedalus::v4l2
