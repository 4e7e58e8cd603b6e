// S20: the profile and level menus, and the HDR10 controls: what there is, what it says, and what cannot be done with it.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "decoding.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr uint32_t kLight = V4L2_CID_COLORIMETRY_HDR10_CLL_INFO;
constexpr uint32_t kDisplay = V4L2_CID_COLORIMETRY_HDR10_MASTERING_DISPLAY;
constexpr uint32_t kProfile = V4L2_CID_MPEG_VIDEO_H264_PROFILE;
constexpr uint32_t kLevel = V4L2_CID_MPEG_VIDEO_H264_LEVEL;

/// The ids that an enumeration with these flags gives.
std::vector<uint32_t> enumerate(V4l2Client& client, uint32_t flags) {
    std::vector<uint32_t> ids;
    v4l2_query_ext_ctrl query{};
    query.id = flags;
    while (client.ioctl(VIDIOC_QUERY_EXT_CTRL, &query) == 0) {
        ids.push_back(query.id);
        query.id |= flags;
    }
    return ids;
}

/// The names of a menu's items; those that are not offered are empty.
std::vector<std::string> items(V4l2Client& client, uint32_t id) {
    v4l2_queryctrl query{};
    query.id = id;
    REQUIRE(client.ioctl(VIDIOC_QUERYCTRL, &query) == 0);
    CHECK(query.type == V4L2_CTRL_TYPE_MENU);
    std::vector<std::string> names;
    for (int32_t i = 0; i <= query.maximum; ++i) {
        v4l2_querymenu menu{};
        menu.id = id;
        menu.index = static_cast<uint32_t>(i);
        const int error = client.ioctl(VIDIOC_QUERYMENU, &menu);
        CHECK((error == 0 || error == EINVAL));
        names.emplace_back(error == 0 ? reinterpret_cast<const char*>(menu.name) : "");
    }
    v4l2_querymenu beyond{};
    beyond.id = id;
    beyond.index = static_cast<uint32_t>(query.maximum) + 1;
    CHECK(client.ioctl(VIDIOC_QUERYMENU, &beyond) == EINVAL);
    return names;
}

int32_t value(V4l2Client& client, uint32_t id) {
    int32_t value = -1;
    CHECK(client.getControl(id, value) == 0);
    return value;
}

/// One control with a payload, as G_EXT_CTRLS, TRY_ and S_ take it.
struct Compound {
    v4l2_ext_control entry{};
    v4l2_ext_controls controls{};

    Compound(uint32_t id, void* payload, uint32_t room) {
        entry.id = id;
        entry.size = room;
        entry.ptr = payload;
        controls.count = 1;
        controls.controls = &entry;
    }
};

uint16_t light(V4l2Client& client) {
    v4l2_ctrl_hdr10_cll_info payload{0xFFFF, 0xFFFF};
    Compound light(kLight, &payload, sizeof payload);
    CHECK(client.ioctl(VIDIOC_G_EXT_CTRLS, &light.controls) == 0);
    // By value: the struct is packed.
    CHECK(static_cast<void*>(light.entry.ptr) == &payload);
    CHECK(payload.max_pic_average_light_level == 0);
    return payload.max_content_light_level;
}

/// The next event, which is one of this control.
v4l2_event controlEvent(V4l2Client& client, uint32_t id) {
    const auto event = client.event();
    REQUIRE(event);
    REQUIRE(event->type == V4L2_EVENT_CTRL);
    CHECK(event->id == id);
    return *event;
}

}  // namespace

TEST_CASE("S20: plain and compound controls are enumerated apart and together") {
    TestNode node;
    V4l2Client client(node);
    const auto plain = enumerate(client, V4L2_CTRL_FLAG_NEXT_CTRL);
    const auto compound = enumerate(client, V4L2_CTRL_FLAG_NEXT_COMPOUND);
    const auto all = enumerate(client, V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND);
    CHECK(std::is_sorted(all.begin(), all.end()));
    CHECK(plain.size() + compound.size() == all.size());
    CHECK(compound == std::vector<uint32_t>{kLight, kDisplay});
    CHECK(std::count(plain.begin(), plain.end(), V4L2_CID_MIN_BUFFERS_FOR_CAPTURE) == 1);
    CHECK(std::count(plain.begin(), plain.end(), V4L2_CID_COLORIMETRY_CLASS) == 1);

    v4l2_query_ext_ctrl query{};
    query.id = kDisplay;
    REQUIRE(client.ioctl(VIDIOC_QUERY_EXT_CTRL, &query) == 0);
    CHECK(query.type == V4L2_CTRL_TYPE_HDR10_MASTERING_DISPLAY);
    CHECK(query.elem_size == sizeof(v4l2_ctrl_hdr10_mastering_display));
    CHECK(query.flags == (V4L2_CTRL_FLAG_READ_ONLY | V4L2_CTRL_FLAG_HAS_PAYLOAD));
    CHECK(std::string(query.name) == "HDR10 Mastering Display");
}

TEST_CASE("S20: every codec's menus offer what libavcodec decodes of it") {
    TestNode node;
    V4l2Client client(node);
    const auto offered = [&](uint32_t id) {
        auto names = items(client, id);
        std::erase(names, "");
        return names;
    };
    CHECK(offered(kProfile) == std::vector<std::string>{"Baseline", "Constrained Baseline", "Main", "High", "High 10",
                                                        "High 422", "High 444 Predictive", "High 10 Intra", "High 422 Intra",
                                                        "High 444 Intra", "CAVLC 444 Intra", "Constrained High"});
    CHECK(items(client, kProfile)[V4L2_MPEG_VIDEO_H264_PROFILE_EXTENDED].empty());
    CHECK(items(client, kLevel).at(V4L2_MPEG_VIDEO_H264_LEVEL_6_2) == "6.2");
    CHECK(items(client, V4L2_CID_MPEG_VIDEO_HEVC_PROFILE).at(V4L2_MPEG_VIDEO_HEVC_PROFILE_MAIN_10) == "Main 10");
    CHECK(items(client, V4L2_CID_MPEG_VIDEO_HEVC_LEVEL).at(V4L2_MPEG_VIDEO_HEVC_LEVEL_6_2) == "6.2");
    CHECK(items(client, V4L2_CID_MPEG_VIDEO_HEVC_TIER) == std::vector<std::string>{"Main", "High"});
    CHECK(offered(V4L2_CID_MPEG_VIDEO_MPEG2_PROFILE) == std::vector<std::string>{"Simple", "Main", "High"});
    CHECK(items(client, V4L2_CID_MPEG_VIDEO_MPEG2_LEVEL).at(V4L2_MPEG_VIDEO_MPEG2_LEVEL_HIGH_1440) == "High 1440");
    CHECK(offered(V4L2_CID_DAEDALUS_MPEG4_PROFILE) == std::vector<std::string>{"Simple", "Advanced Simple"});
    CHECK(items(client, V4L2_CID_DAEDALUS_MPEG4_LEVEL).at(V4L2_MPEG_VIDEO_MPEG4_LEVEL_3B) == "3b");
    CHECK(items(client, V4L2_CID_MPEG_VIDEO_VP8_PROFILE).size() == 4);
    CHECK(items(client, V4L2_CID_MPEG_VIDEO_VP9_PROFILE).size() == 4);
    CHECK(items(client, V4L2_CID_MPEG_VIDEO_VP9_LEVEL).at(V4L2_MPEG_VIDEO_VP9_LEVEL_6_2) == "6.2");
    CHECK(items(client, V4L2_CID_MPEG_VIDEO_AV1_PROFILE).at(2) == "Professional");
    CHECK(items(client, V4L2_CID_MPEG_VIDEO_AV1_LEVEL).at(23) == "7.3");
}

TEST_CASE("S20: profile and level are the stream's, and an event tells of them") {
    Subscribed subscribed;
    auto& client = subscribed.client;
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
    CHECK(value(client, kProfile) == V4L2_MPEG_VIDEO_H264_PROFILE_HIGH);
    REQUIRE(client.subscribe(V4L2_EVENT_CTRL, kProfile) == 0);
    REQUIRE(client.subscribe(V4L2_EVENT_CTRL, kLevel) == 0);
    REQUIRE(client.subscribe(V4L2_EVENT_CTRL, V4L2_CID_MPEG_VIDEO_HEVC_LEVEL) == 0);
    subscribed.startOutput("size 64x48 profile 2 level 3\n");
    CHECK(controlEvent(client, kLevel).u.ctrl.value == V4L2_MPEG_VIDEO_H264_LEVEL_1_2);
    const auto event = controlEvent(client, kProfile);
    CHECK(event.u.ctrl.value == V4L2_MPEG_VIDEO_H264_PROFILE_MAIN);
    CHECK(event.u.ctrl.changes == V4L2_EVENT_CTRL_CH_VALUE);
    CHECK(value(client, kProfile) == V4L2_MPEG_VIDEO_H264_PROFILE_MAIN);
    CHECK(value(client, kLevel) == V4L2_MPEG_VIDEO_H264_LEVEL_1_2);
    // Of another codec nothing was said.
    CHECK(value(client, V4L2_CID_MPEG_VIDEO_HEVC_LEVEL) == V4L2_MPEG_VIDEO_HEVC_LEVEL_4);
    // The next stream has not said anything yet.
    REQUIRE(client.streamOff(kOutput) == 0);
    REQUIRE(client.request(kOutput, 0) == 0);
    CHECK(value(client, kProfile) == V4L2_MPEG_VIDEO_H264_PROFILE_HIGH);
}

TEST_CASE("S20: HEVC streams tell their tier, and Xvid streams are MPEG-4") {
    struct Case {
        uint32_t coded;
        const char* header;
        std::vector<std::pair<uint32_t, int32_t>> values;
    };
    const std::vector<Case> cases = {
        {V4L2_PIX_FMT_HEVC,
         "size 64x48 profile 2 level 3 tier 1\n",
         {{V4L2_CID_MPEG_VIDEO_HEVC_PROFILE, V4L2_MPEG_VIDEO_HEVC_PROFILE_MAIN_10},
          {V4L2_CID_MPEG_VIDEO_HEVC_LEVEL, V4L2_MPEG_VIDEO_HEVC_LEVEL_3},
          {V4L2_CID_MPEG_VIDEO_HEVC_TIER, V4L2_MPEG_VIDEO_HEVC_TIER_HIGH}}},
        {V4L2_PIX_FMT_XVID,
         "size 64x48 profile 0 level 3\n",
         {{V4L2_CID_DAEDALUS_MPEG4_PROFILE, V4L2_MPEG_VIDEO_MPEG4_PROFILE_SIMPLE},
          {V4L2_CID_DAEDALUS_MPEG4_LEVEL, V4L2_MPEG_VIDEO_MPEG4_LEVEL_2}}},
    };
    for (const auto& [coded, header, values] : cases) {
        Subscribed subscribed;
        REQUIRE(subscribed.client.setFormat(kOutput, coded, 64, 48) == 0);
        subscribed.startOutput(header);
        subscribed.sourceChange();
        for (const auto& [id, expected] : values) CHECK(value(subscribed.client, id) == expected);
    }
}

TEST_CASE("S20: MPEG-4's profile and level do not stand under V4L2's numbers, by which GStreamer refuses what says neither") {
    TestNode node;
    V4l2Client client(node);
    for (const uint32_t id : {V4L2_CID_MPEG_VIDEO_MPEG4_PROFILE, V4L2_CID_MPEG_VIDEO_MPEG4_LEVEL}) {
        v4l2_queryctrl query{};
        query.id = id;
        CHECK(client.ioctl(VIDIOC_QUERYCTRL, &query) == EINVAL);
    }
}

TEST_CASE("S10: the least number of buffers is told of both queues, before and after the headers") {
    Subscribed subscribed;
    auto& client = subscribed.client;
    CHECK(value(client, V4L2_CID_MIN_BUFFERS_FOR_OUTPUT) == 1);
    subscribed.startOutput("size 64x48 min 5\n");
    subscribed.sourceChange();
    CHECK(value(client, V4L2_CID_MIN_BUFFERS_FOR_OUTPUT) == 1);
    CHECK(value(client, V4L2_CID_MIN_BUFFERS_FOR_CAPTURE) == 5);
    v4l2_queryctrl query{};
    query.id = V4L2_CID_MIN_BUFFERS_FOR_OUTPUT;
    REQUIRE(client.ioctl(VIDIOC_QUERYCTRL, &query) == 0);
    CHECK(query.flags == (V4L2_CTRL_FLAG_READ_ONLY | V4L2_CTRL_FLAG_VOLATILE));
}

TEST_CASE("S20: a profile that the menu does not offer is not shown") {
    Subscribed subscribed;
    auto& client = subscribed.client;
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
    subscribed.startOutput("size 64x48 profile 3 level 99\n");
    subscribed.sourceChange();
    CHECK(value(client, kProfile) == V4L2_MPEG_VIDEO_H264_PROFILE_HIGH);
    CHECK(value(client, kLevel) == V4L2_MPEG_VIDEO_H264_LEVEL_4_0);
}

TEST_CASE("controls tell what the stream is: none can be set") {
    TestNode node;
    V4l2Client client(node);
    v4l2_control control{V4L2_CID_MIN_BUFFERS_FOR_CAPTURE, 4};
    CHECK(client.ioctl(VIDIOC_S_CTRL, &control) == EACCES);
    control = {kProfile, V4L2_MPEG_VIDEO_H264_PROFILE_MAIN};
    CHECK(client.ioctl(VIDIOC_S_CTRL, &control) == EACCES);
    control = {V4L2_CID_BRIGHTNESS, 0};
    CHECK(client.ioctl(VIDIOC_S_CTRL, &control) == EINVAL);
    control = {kLight, 0};
    CHECK(client.ioctl(VIDIOC_G_CTRL, &control) == EINVAL);
    CHECK(client.ioctl(VIDIOC_S_CTRL, &control) == EINVAL);

    v4l2_ext_control entries[2] = {};
    entries[0].id = kProfile;
    entries[1].id = V4L2_CID_BRIGHTNESS;
    v4l2_ext_controls controls{};
    controls.count = 2;
    controls.controls = entries;
    CHECK(client.ioctl(VIDIOC_G_EXT_CTRLS, &controls) == EINVAL);
    CHECK(controls.error_idx == 2);  // copied back although it failed
    CHECK(controls.controls == entries);
    CHECK(client.ioctl(VIDIOC_TRY_EXT_CTRLS, &controls) == EINVAL);
    CHECK(controls.error_idx == 1);
    controls.count = 1;
    CHECK(client.ioctl(VIDIOC_TRY_EXT_CTRLS, &controls) == EACCES);
    CHECK(controls.error_idx == 0);
    CHECK(client.ioctl(VIDIOC_S_EXT_CTRLS, &controls) == EACCES);
    CHECK(controls.error_idx == 1);
}

TEST_CASE("HDR10 controls: zeroes until the stream says more, and events when it does") {
    Decoding decoding;
    auto& client = decoding.client;
    CHECK(light(client) == 0);
    REQUIRE(client.subscribe(V4L2_EVENT_CTRL, kLight, V4L2_EVENT_SUB_FL_SEND_INITIAL) == 0);
    CHECK(controlEvent(client, kLight).u.ctrl.type == V4L2_CTRL_TYPE_HDR10_CLL_INFO);
    // No change of format: no source change, but the control has it before the frame is there.
    decoding.feed("frame 0\nsize 64x48 light 1000 display 13250\nframe 1\n");
    decoding.expectFrame(0);
    decoding.expectFrame(1);
    const auto event = controlEvent(client, kLight);
    CHECK(event.u.ctrl.changes == V4L2_EVENT_CTRL_CH_VALUE);
    CHECK(event.u.ctrl.value64 == 0);
    CHECK(light(client) == 1000);
    CHECK_FALSE(client.event(0));

    v4l2_ctrl_hdr10_mastering_display payload[2];
    std::memset(&payload, 0xC5, sizeof payload);
    Compound display(kDisplay, &payload, UINT32_MAX);
    display.controls.which = V4L2_CTRL_CLASS_COLORIMETRY;
    REQUIRE(client.ioctl(VIDIOC_G_EXT_CTRLS, &display.controls) == 0);
    CHECK(payload[0].display_primaries_x[0] == 13250);
    CHECK(payload[0].max_display_mastering_luminance == 0);
    CHECK(payload[1].white_point_x == 0xC5C5);  // behind the payload nothing is touched
    CHECK(display.entry.size == sizeof payload[0]);
    // The default says nothing.
    display.controls.which = V4L2_CTRL_WHICH_DEF_VAL;
    REQUIRE(client.ioctl(VIDIOC_G_EXT_CTRLS, &display.controls) == 0);
    CHECK(payload[0].display_primaries_x[0] == 0);
}

TEST_CASE("HDR10 controls: too little room, no memory, and values that cannot be set") {
    TestNode node;
    V4l2Client client(node);
    v4l2_ctrl_hdr10_mastering_display payload{};
    for (const uint32_t room : {0U, 1U, uint32_t{sizeof payload - 1}}) {
        // The pointer is not looked at before there is room.
        Compound display(kDisplay, reinterpret_cast<void*>(16), room);
        CHECK(client.ioctl(VIDIOC_G_EXT_CTRLS, &display.controls) == ENOSPC);
        CHECK(display.entry.size == sizeof payload);
        CHECK(display.controls.error_idx == 1);
        display.entry.size = room;
        CHECK(client.ioctl(VIDIOC_TRY_EXT_CTRLS, &display.controls) == EFAULT);
        CHECK(display.entry.size == sizeof payload);
    }
    Compound nowhere(kDisplay, reinterpret_cast<void*>(16), sizeof payload);
    CHECK(client.ioctl(VIDIOC_G_EXT_CTRLS, &nowhere.controls) == EFAULT);
    Compound display(kDisplay, &payload, sizeof payload);
    CHECK(client.ioctl(VIDIOC_S_EXT_CTRLS, &display.controls) == EACCES);
    display.controls.which = V4L2_CTRL_CLASS_CODEC;
    CHECK(client.ioctl(VIDIOC_G_EXT_CTRLS, &display.controls) == EINVAL);

    // Plain and compound ones in one call; a plain one's size means nothing.
    v4l2_ctrl_hdr10_cll_info info{7, 7};
    v4l2_ext_control both[2] = {};
    both[0].id = kProfile;
    both[0].size = 100;
    both[0].ptr = &payload;
    both[1].id = kLight;
    both[1].size = sizeof info;
    both[1].ptr = &info;
    v4l2_ext_controls controls{};
    controls.count = 2;
    controls.controls = both;
    REQUIRE(client.ioctl(VIDIOC_G_EXT_CTRLS, &controls) == 0);
    CHECK(both[0].value == V4L2_MPEG_VIDEO_H264_PROFILE_HIGH);
    CHECK(both[0].size == 0);
    // By value: the struct is packed.
    CHECK(static_cast<void*>(both[1].ptr) == &info);
    CHECK(info.max_content_light_level == 0);
}
