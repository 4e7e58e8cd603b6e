// Every control of the node, one line each.
#include <algorithm>
#include <array>

#include "daedalus/device/controls.h"
#include "daedalus/queue/queue.h"
#include "daedalus/v4l2/formats.h"

#ifndef V4L2_CID_MPEG_VIDEO_AV1_PROFILE
#define V4L2_CID_MPEG_VIDEO_AV1_PROFILE (V4L2_CID_CODEC_BASE + 655)  // Linux 6.3
#endif

namespace daedalus::device {
namespace {

// The items are numbered by the UAPI's enums; nullptr is a profile that libavcodec does not decode.
constexpr const char* kMpeg2Profiles[] = {"Simple", "Main", nullptr, nullptr, nullptr, "4:2:2"};
constexpr const char* kH264Profiles[] = {
    "Baseline", "Constrained Baseline", "Main",          nullptr,          "High",           "High 10",
    "High 422", "High 444 Predictive",  "High 10 Intra", "High 422 Intra", "High 444 Intra", "CAVLC 444 Intra",
};
constexpr const char* kHevcProfiles[] = {"Main", "Main Still Picture", "Main 10"};
constexpr const char* kVp8Profiles[] = {"0", "1", "2", "3"};
constexpr const char* kVp9Profiles[] = {"0", "1", "2", "3"};
constexpr const char* kAv1Profiles[] = {"Main", "High", "Professional"};

// In the order of v4l2::Chroma.
constexpr const char* kChromas[] = {"Grey", "4:2:0", "4:2:2", "4:4:4", "4:4:0", "4:1:1", "RGB", "Unknown"};
static_assert(std::size(kChromas) == static_cast<size_t>(v4l2::Chroma::Other) + 1);
constexpr int64_t kMostBits = 16;

constexpr uint32_t kClassFlags = V4L2_CTRL_FLAG_READ_ONLY | V4L2_CTRL_FLAG_WRITE_ONLY;

/// What the stream tells.
constexpr uint32_t kTold = V4L2_CTRL_FLAG_READ_ONLY | V4L2_CTRL_FLAG_VOLATILE;

constexpr ControlInfo classOf(uint32_t id, const char* name) {
    return {id, name, V4L2_CTRL_TYPE_CTRL_CLASS, 0, 0, 0, 0, kClassFlags, {}};
}

constexpr ControlInfo menu(uint32_t id, const char* name, std::span<const char* const> items, int64_t defaultItem) {
    return {id, name, V4L2_CTRL_TYPE_MENU, 0, static_cast<int64_t>(items.size()) - 1, 1, defaultItem, 0, items};
}

constexpr auto kTable = [] {
    auto table = std::to_array<ControlInfo>({
        classOf(V4L2_CID_USER_CLASS, "User Controls"),
        {V4L2_CID_MIN_BUFFERS_FOR_CAPTURE,
         "Min Number of Capture Buffers",
         V4L2_CTRL_TYPE_INTEGER,
         1,
         queue::kMaxBuffers,
         1,
         2,
         kTold,
         {}},
        classOf(V4L2_CID_CODEC_CLASS, "Codec Controls"),
        menu(V4L2_CID_MPEG_VIDEO_MPEG2_PROFILE, "MPEG2 Profile", kMpeg2Profiles, V4L2_MPEG_VIDEO_MPEG2_PROFILE_MAIN),
        menu(V4L2_CID_MPEG_VIDEO_H264_PROFILE, "H264 Profile", kH264Profiles, V4L2_MPEG_VIDEO_H264_PROFILE_HIGH),
        menu(V4L2_CID_MPEG_VIDEO_HEVC_PROFILE, "HEVC Profile", kHevcProfiles, V4L2_MPEG_VIDEO_HEVC_PROFILE_MAIN),
        menu(V4L2_CID_MPEG_VIDEO_VP8_PROFILE, "VP8 Profile", kVp8Profiles, V4L2_MPEG_VIDEO_VP8_PROFILE_0),
        menu(V4L2_CID_MPEG_VIDEO_VP9_PROFILE, "VP9 Profile", kVp9Profiles, V4L2_MPEG_VIDEO_VP9_PROFILE_0),
        menu(V4L2_CID_MPEG_VIDEO_AV1_PROFILE, "AV1 Profile", kAv1Profiles, 0),
        {V4L2_CID_DAEDALUS_STREAM_BIT_DEPTH, "Stream Bit Depth", V4L2_CTRL_TYPE_INTEGER, 0, kMostBits, 1, 0, kTold, {}},
        {V4L2_CID_DAEDALUS_STREAM_CHROMA, "Stream Chroma", V4L2_CTRL_TYPE_MENU, 0, std::size(kChromas) - 1, 1,
         static_cast<int64_t>(v4l2::Chroma::Other), kTold, kChromas},
    });
    std::ranges::sort(table, {}, &ControlInfo::id);
    return table;
}();

}  // namespace

std::span<const ControlInfo> controlTable() { return kTable; }

}  // namespace daedalus::device
