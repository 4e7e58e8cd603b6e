#include "conformance.h"

#include <algorithm>
#include <array>

namespace daedalus::codec::bitstream {
namespace {

constexpr int kUnsaid = v4l2::Conformance::kUnsaid;

/// The place of `value` in a list that stands in the order of V4L2's menu.
template <size_t N>
int itemOf(const std::array<uint8_t, N>& codes, unsigned value) {
    const auto found = std::ranges::find(codes, value);
    return found == codes.end() ? kUnsaid : static_cast<int>(found - codes.begin());
}

int h264Profile(unsigned idc, unsigned constraints) {
    const auto set = [constraints](unsigned number) { return (constraints & (0x80U >> number)) != 0; };
    switch (idc) {
        case 66:
            return set(1) ? V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE : V4L2_MPEG_VIDEO_H264_PROFILE_BASELINE;
        case 77:
            return V4L2_MPEG_VIDEO_H264_PROFILE_MAIN;
        case 88:
            return V4L2_MPEG_VIDEO_H264_PROFILE_EXTENDED;
        case 100:
            return set(4) && set(5) ? V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_HIGH : V4L2_MPEG_VIDEO_H264_PROFILE_HIGH;
        case 110:
            return set(3) ? V4L2_MPEG_VIDEO_H264_PROFILE_HIGH_10_INTRA : V4L2_MPEG_VIDEO_H264_PROFILE_HIGH_10;
        case 122:
            return set(3) ? V4L2_MPEG_VIDEO_H264_PROFILE_HIGH_422_INTRA : V4L2_MPEG_VIDEO_H264_PROFILE_HIGH_422;
        case 244:
            return set(3) ? V4L2_MPEG_VIDEO_H264_PROFILE_HIGH_444_INTRA : V4L2_MPEG_VIDEO_H264_PROFILE_HIGH_444_PREDICTIVE;
        case 44:
            return V4L2_MPEG_VIDEO_H264_PROFILE_CAVLC_444_INTRA;
        case 83:
            return V4L2_MPEG_VIDEO_H264_PROFILE_SCALABLE_BASELINE;
        case 86:
            return set(3) ? V4L2_MPEG_VIDEO_H264_PROFILE_SCALABLE_HIGH_INTRA : V4L2_MPEG_VIDEO_H264_PROFILE_SCALABLE_HIGH;
        case 118:
            return V4L2_MPEG_VIDEO_H264_PROFILE_MULTIVIEW_HIGH;
        case 128:
            return V4L2_MPEG_VIDEO_H264_PROFILE_STEREO_HIGH;
        default:
            return kUnsaid;
    }
}

}  // namespace

v4l2::Conformance h264Conformance(unsigned profileIdc, unsigned constraints, unsigned levelIdc) {
    // Level 1b has a number of its own in the high profiles only.
    constexpr uint8_t k1b = 9;
    constexpr std::array<uint8_t, 20> kLevels = {10, k1b, 11, 12, 13, 20, 21, 22, 30, 31,
                                                 32, 40,  41, 42, 50, 51, 52, 60, 61, 62};
    const bool level1b = levelIdc == 11 && (constraints & 0x10) && profileIdc <= 88;
    return {h264Profile(profileIdc, constraints), itemOf(kLevels, level1b ? k1b : levelIdc), kUnsaid};
}

v4l2::Conformance hevcConformance(unsigned profileIdc, bool highTier, unsigned levelIdc) {
    constexpr std::array<uint8_t, 3> kProfiles = {1, 3, 2};
    constexpr std::array<uint8_t, 13> kLevels = {30, 60, 63, 90, 93, 120, 123, 150, 153, 156, 180, 183, 186};
    return {itemOf(kProfiles, profileIdc), itemOf(kLevels, levelIdc),
            highTier ? V4L2_MPEG_VIDEO_HEVC_TIER_HIGH : V4L2_MPEG_VIDEO_HEVC_TIER_MAIN};
}

v4l2::Conformance mpeg2Conformance(unsigned indication) {
    // With the escape bit it is a profile of later amendments (4:2:2, multi-view), which V4L2 does not list.
    constexpr unsigned kEscape = 0x80;
    constexpr std::array<uint8_t, 5> kProfiles = {5, 4, 3, 2, 1};
    constexpr std::array<uint8_t, 4> kLevels = {10, 8, 6, 4};
    if (indication & kEscape) return {};
    return {itemOf(kProfiles, indication >> 4), itemOf(kLevels, indication & 15), kUnsaid};
}

v4l2::Conformance mpeg4Conformance(unsigned indication) {
    struct Row {
        uint8_t indication;
        int profile;
        int level;
    };
    constexpr int kSimple = V4L2_MPEG_VIDEO_MPEG4_PROFILE_SIMPLE;
    constexpr int kAdvancedSimple = V4L2_MPEG_VIDEO_MPEG4_PROFILE_ADVANCED_SIMPLE;
    constexpr Row kRows[] = {
        {0x08, kSimple, V4L2_MPEG_VIDEO_MPEG4_LEVEL_0},          {0x09, kSimple, V4L2_MPEG_VIDEO_MPEG4_LEVEL_0B},
        {0x01, kSimple, V4L2_MPEG_VIDEO_MPEG4_LEVEL_1},          {0x02, kSimple, V4L2_MPEG_VIDEO_MPEG4_LEVEL_2},
        {0x03, kSimple, V4L2_MPEG_VIDEO_MPEG4_LEVEL_3},          {0x04, kSimple, V4L2_MPEG_VIDEO_MPEG4_LEVEL_4},
        {0x05, kSimple, V4L2_MPEG_VIDEO_MPEG4_LEVEL_5},          {0x06, kSimple, kUnsaid},
        {0xF0, kAdvancedSimple, V4L2_MPEG_VIDEO_MPEG4_LEVEL_0},  {0xF1, kAdvancedSimple, V4L2_MPEG_VIDEO_MPEG4_LEVEL_1},
        {0xF2, kAdvancedSimple, V4L2_MPEG_VIDEO_MPEG4_LEVEL_2},  {0xF3, kAdvancedSimple, V4L2_MPEG_VIDEO_MPEG4_LEVEL_3},
        {0xF4, kAdvancedSimple, V4L2_MPEG_VIDEO_MPEG4_LEVEL_4},  {0xF5, kAdvancedSimple, V4L2_MPEG_VIDEO_MPEG4_LEVEL_5},
        {0xF7, kAdvancedSimple, V4L2_MPEG_VIDEO_MPEG4_LEVEL_3B},
    };
    const auto* row = std::ranges::find(kRows, indication, &Row::indication);
    if (row == std::end(kRows)) return {};
    return {row->profile, row->level, kUnsaid};
}

v4l2::Conformance vp9Conformance(unsigned profile, uint32_t width, uint32_t height) {
    struct Row {
        uint32_t samples;  ///< of luma in a picture
        uint32_t side;     ///< pixels
        int level;
    };
    constexpr Row kRows[] = {
        {36864, 512, V4L2_MPEG_VIDEO_VP9_LEVEL_1_0},    {73728, 768, V4L2_MPEG_VIDEO_VP9_LEVEL_1_1},
        {122880, 960, V4L2_MPEG_VIDEO_VP9_LEVEL_2_0},   {245760, 1344, V4L2_MPEG_VIDEO_VP9_LEVEL_2_1},
        {552960, 2048, V4L2_MPEG_VIDEO_VP9_LEVEL_3_0},  {983040, 2752, V4L2_MPEG_VIDEO_VP9_LEVEL_3_1},
        {2228224, 4160, V4L2_MPEG_VIDEO_VP9_LEVEL_4_0}, {8912896, 8384, V4L2_MPEG_VIDEO_VP9_LEVEL_5_0},
    };
    const auto* row = std::ranges::find_if(
        kRows, [&](const Row& r) { return width * height <= r.samples && std::max(width, height) <= r.side; });
    return {static_cast<int>(profile), row == std::end(kRows) ? int{V4L2_MPEG_VIDEO_VP9_LEVEL_6_0} : row->level, kUnsaid};
}

v4l2::Conformance av1Conformance(unsigned profile, unsigned levelIndex) {
    // Above stand reserved values, and 31: no limits.
    constexpr unsigned kHighest = 23;
    return {static_cast<int>(profile), levelIndex <= kHighest ? static_cast<int>(levelIndex) : kUnsaid, kUnsaid};
}

}  // namespace daedalus::codec::bitstream
