// Every control of the node, one line each.
#include <algorithm>
#include <array>

#include "daedalus/device/controls.h"
#include "daedalus/queue/queue.h"
#include "daedalus/v4l2/formats.h"

namespace daedalus::device {
namespace {

using v4l2::Codec;

// The items are numbered by the UAPI's enums; nullptr is what libavcodec does not decode. Names are the kernel's.
constexpr const char* kMpeg2Profiles[] = {"Simple", "Main", nullptr, nullptr, "High"};
constexpr const char* kMpeg2Levels[] = {"Low", "Main", "High 1440", "High"};
constexpr const char* kMpeg4Profiles[] = {"Simple", "Advanced Simple"};
constexpr const char* kMpeg4Levels[] = {"0", "0b", "1", "2", "3", "3b", "4", "5"};
constexpr const char* kH264Profiles[] = {
    "Baseline",       "Constrained Baseline",
    "Main",           nullptr,
    "High",           "High 10",
    "High 422",       "High 444 Predictive",
    "High 10 Intra",  "High 422 Intra",
    "High 444 Intra", "CAVLC 444 Intra",
    nullptr,          nullptr,
    nullptr,          nullptr,
    nullptr,          "Constrained High",
};
constexpr const char* kH264Levels[] = {"1",   "1b", "1.1", "1.2", "1.3", "2",   "2.1", "2.2", "3",   "3.1",
                                       "3.2", "4",  "4.1", "4.2", "5",   "5.1", "5.2", "6.0", "6.1", "6.2"};
constexpr const char* kHevcProfiles[] = {"Main", "Main Still Picture", "Main 10"};
constexpr const char* kHevcLevels[] = {"1", "2", "2.1", "3", "3.1", "4", "4.1", "5", "5.1", "5.2", "6", "6.1", "6.2"};
constexpr const char* kHevcTiers[] = {"Main", "High"};
constexpr const char* kVpxProfiles[] = {"0", "1", "2", "3"};
constexpr const char* kVp9Levels[] = {"1", "1.1", "2", "2.1", "3", "3.1", "4", "4.1", "5", "5.1", "5.2", "6", "6.1", "6.2"};
constexpr const char* kAv1Profiles[] = {"Main", "High", "Professional"};
constexpr const char* kAv1Levels[] = {"2.0", "2.1", "2.2", "2.3", "3.0", "3.1", "3.2", "3.3", "4.0", "4.1", "4.2", "4.3",
                                      "5.0", "5.1", "5.2", "5.3", "6.0", "6.1", "6.2", "6.3", "7.0", "7.1", "7.2", "7.3"};

constexpr uint32_t kReadOnly = V4L2_CTRL_FLAG_READ_ONLY;
// In the order of v4l2::Chroma.
constexpr const char* kChromas[] = {"Grey", "4:2:0", "4:2:2", "4:4:4", "4:4:0", "4:1:1", "RGB", "Unknown"};
static_assert(std::size(kChromas) == static_cast<size_t>(v4l2::Chroma::Other) + 1);
constexpr int64_t kMostBits = 16;

/// What the stream tells.
constexpr uint32_t kTold = V4L2_CTRL_FLAG_READ_ONLY | V4L2_CTRL_FLAG_VOLATILE;

constexpr ControlInfo classOf(uint32_t id, const char* name) {
    return {id, name, V4L2_CTRL_TYPE_CTRL_CLASS, 0, 0, 0, 0, kReadOnly | V4L2_CTRL_FLAG_WRITE_ONLY,
            {}, {},   ControlSource::None};
}

constexpr ControlInfo told(uint32_t id, const char* name, int64_t minimum, int64_t maximum, int64_t initially,
                           ControlSource source) {
    return {id, name, V4L2_CTRL_TYPE_INTEGER, minimum, maximum, 1, initially, kTold, {}, {}, source};
}

constexpr ControlInfo menu(uint32_t id, const char* name, Codec codec, ControlSource source, std::span<const char* const> items,
                           int64_t defaultItem) {
    return {id,    name,  V4L2_CTRL_TYPE_MENU, 0, static_cast<int64_t>(items.size()) - 1, 1, defaultItem, kReadOnly, items,
            codec, source};
}

constexpr ControlInfo compound(uint32_t id, const char* name, v4l2_ctrl_type type, ControlSource source) {
    return {id, name, type, 0, 0, 0, 0, kReadOnly | V4L2_CTRL_FLAG_HAS_PAYLOAD, {}, {}, source};
}

constexpr auto kProfile = ControlSource::Profile;
constexpr auto kLevel = ControlSource::Level;
constexpr auto kTier = ControlSource::Tier;

constexpr auto kTable = [] {
    auto table = std::to_array<ControlInfo>({
        classOf(V4L2_CID_USER_CLASS, "User Controls"),
        told(V4L2_CID_MIN_BUFFERS_FOR_CAPTURE, "Min Number of Capture Buffers", 1, queue::kMaxBuffers, 2,
             ControlSource::MinCaptureBuffers),
        // One buffer at a time is enough for the decoder.
        told(V4L2_CID_MIN_BUFFERS_FOR_OUTPUT, "Min Number of Output Buffers", 1, 1, 1, ControlSource::Fixed),
        classOf(V4L2_CID_CODEC_CLASS, "Codec Controls"),
        menu(V4L2_CID_MPEG_VIDEO_MPEG2_LEVEL, "MPEG2 Level", Codec::Mpeg2, kLevel, kMpeg2Levels,
             V4L2_MPEG_VIDEO_MPEG2_LEVEL_MAIN),
        menu(V4L2_CID_MPEG_VIDEO_MPEG2_PROFILE, "MPEG2 Profile", Codec::Mpeg2, kProfile, kMpeg2Profiles,
             V4L2_MPEG_VIDEO_MPEG2_PROFILE_MAIN),
        menu(V4L2_CID_MPEG_VIDEO_H264_LEVEL, "H264 Level", Codec::H264, kLevel, kH264Levels, V4L2_MPEG_VIDEO_H264_LEVEL_4_0),
        menu(V4L2_CID_MPEG_VIDEO_H264_PROFILE, "H264 Profile", Codec::H264, kProfile, kH264Profiles,
             V4L2_MPEG_VIDEO_H264_PROFILE_HIGH),
        menu(V4L2_CID_MPEG_VIDEO_VP8_PROFILE, "VP8 Profile", Codec::Vp8, kProfile, kVpxProfiles, V4L2_MPEG_VIDEO_VP8_PROFILE_0),
        menu(V4L2_CID_MPEG_VIDEO_VP9_PROFILE, "VP9 Profile", Codec::Vp9, kProfile, kVpxProfiles, V4L2_MPEG_VIDEO_VP9_PROFILE_0),
        menu(V4L2_CID_MPEG_VIDEO_VP9_LEVEL, "VP9 Level", Codec::Vp9, kLevel, kVp9Levels, V4L2_MPEG_VIDEO_VP9_LEVEL_4_0),
        menu(V4L2_CID_MPEG_VIDEO_HEVC_PROFILE, "HEVC Profile", Codec::Hevc, kProfile, kHevcProfiles,
             V4L2_MPEG_VIDEO_HEVC_PROFILE_MAIN),
        menu(V4L2_CID_MPEG_VIDEO_HEVC_LEVEL, "HEVC Level", Codec::Hevc, kLevel, kHevcLevels, V4L2_MPEG_VIDEO_HEVC_LEVEL_4),
        menu(V4L2_CID_MPEG_VIDEO_HEVC_TIER, "HEVC Tier", Codec::Hevc, kTier, kHevcTiers, V4L2_MPEG_VIDEO_HEVC_TIER_MAIN),
        menu(V4L2_CID_MPEG_VIDEO_AV1_PROFILE, "AV1 Profile", Codec::Av1, kProfile, kAv1Profiles, 0),
        menu(V4L2_CID_MPEG_VIDEO_AV1_LEVEL, "AV1 Level", Codec::Av1, kLevel, kAv1Levels, 0),
        told(V4L2_CID_DAEDALUS_STREAM_BIT_DEPTH, "Stream Bit Depth", 0, kMostBits, 0, ControlSource::BitDepth),
        {V4L2_CID_DAEDALUS_STREAM_CHROMA,
         "Stream Chroma",
         V4L2_CTRL_TYPE_MENU,
         0,
         std::size(kChromas) - 1,
         1,
         static_cast<int64_t>(v4l2::Chroma::Other),
         kTold,
         kChromas,
         {},
         ControlSource::Chroma},
        told(V4L2_CID_DAEDALUS_PIXEL_WIDTH, "Stream Pixel Width", 1, INT32_MAX, 1, ControlSource::PixelWidth),
        told(V4L2_CID_DAEDALUS_PIXEL_HEIGHT, "Stream Pixel Height", 1, INT32_MAX, 1, ControlSource::PixelHeight),
        menu(V4L2_CID_DAEDALUS_MPEG4_PROFILE, "MPEG4 Profile", Codec::Mpeg4, kProfile, kMpeg4Profiles,
             V4L2_MPEG_VIDEO_MPEG4_PROFILE_ADVANCED_SIMPLE),
        menu(V4L2_CID_DAEDALUS_MPEG4_LEVEL, "MPEG4 Level", Codec::Mpeg4, kLevel, kMpeg4Levels, V4L2_MPEG_VIDEO_MPEG4_LEVEL_5),
        classOf(V4L2_CID_COLORIMETRY_CLASS, "Colorimetry Controls"),
        compound(V4L2_CID_COLORIMETRY_HDR10_CLL_INFO, "HDR10 Content Light Info", V4L2_CTRL_TYPE_HDR10_CLL_INFO,
                 ControlSource::ContentLight),
        compound(V4L2_CID_COLORIMETRY_HDR10_MASTERING_DISPLAY, "HDR10 Mastering Display",
                 V4L2_CTRL_TYPE_HDR10_MASTERING_DISPLAY, ControlSource::MasteringDisplay),
    });
    std::ranges::sort(table, {}, &ControlInfo::id);
    return table;
}();

}  // namespace

std::span<const ControlInfo> controlTable() { return kTable; }

}  // namespace daedalus::device
