// S1 to S5, S10, S11, S19: what a client can ask of formats, rectangles and planes.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "decoding.h"

using namespace daedalus;
using namespace daedalus::test;

TEST_CASE("S1: ENUM_FMT(OUTPUT) lists every coded format but those that S_FMT alone takes, always", "[stateful]") {
    TestNode node;
    V4l2Client client(node);
    std::vector<uint32_t> fourccs;
    v4l2_fmtdesc desc{};
    desc.type = kOutput;
    for (; client.ioctl(VIDIOC_ENUM_FMT, &desc) == 0; ++desc.index) {
        CHECK(desc.flags & V4L2_FMT_FLAG_COMPRESSED);
        CHECK(desc.flags & V4L2_FMT_FLAG_DYN_RESOLUTION);
        fourccs.push_back(desc.pixelformat);
    }
    const std::vector<uint32_t> expected = {V4L2_PIX_FMT_H264,        V4L2_PIX_FMT_HEVC,       V4L2_PIX_FMT_VP8,
                                            V4L2_PIX_FMT_VP9,         V4L2_PIX_FMT_AV1,        V4L2_PIX_FMT_MPEG2,
                                            V4L2_PIX_FMT_MPEG4,       V4L2_PIX_FMT_XVID,       V4L2_PIX_FMT_H263,
                                            V4L2_PIX_FMT_VC1_ANNEX_G, V4L2_PIX_FMT_VC1_ANNEX_L};
    CHECK(fourccs == expected);
    for (const uint32_t fourcc : {V4L2_PIX_FMT_MPEG1, V4L2_PIX_FMT_SPK, V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_JPEG}) {
        v4l2_format format{};
        format.type = kOutput;
        format.fmt.pix_mp.pixelformat = fourcc;
        format.fmt.pix_mp.num_planes = 1;
        CHECK(client.ioctl(VIDIOC_S_FMT, &format) == 0);
        CHECK(format.fmt.pix_mp.pixelformat == fourcc);
    }
    desc.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    desc.index = 0;
    CHECK(client.ioctl(VIDIOC_ENUM_FMT, &desc) == EINVAL);
}

TEST_CASE("S4 S5: S_FMT(OUTPUT) updates CAPTURE, colour survives, buffers make it EBUSY", "[stateful]") {
    TestNode node;
    V4l2Client client(node);
    v4l2_format format{};
    format.type = kOutput;
    auto& pix = format.fmt.pix_mp;
    pix.pixelformat = V4L2_PIX_FMT_VP9;
    pix.width = 351;
    pix.height = 287;
    pix.colorspace = V4L2_COLORSPACE_BT2020;
    pix.xfer_func = V4L2_XFER_FUNC_SMPTE2084;
    pix.ycbcr_enc = V4L2_YCBCR_ENC_BT2020;
    pix.quantization = V4L2_QUANTIZATION_FULL_RANGE;
    REQUIRE(client.ioctl(VIDIOC_S_FMT, &format) == 0);
    CHECK(pix.width == 351);
    const auto capture = client.format(kCapture).fmt.pix_mp;
    CHECK(capture.width == 352);
    CHECK(capture.height == 288);
    CHECK(capture.colorspace == V4L2_COLORSPACE_BT2020);
    CHECK(capture.xfer_func == V4L2_XFER_FUNC_SMPTE2084);
    CHECK(capture.ycbcr_enc == V4L2_YCBCR_ENC_BT2020);
    CHECK(capture.quantization == V4L2_QUANTIZATION_FULL_RANGE);

    const auto output = client.format(kOutput).fmt.pix_mp;
    CHECK(output.colorspace == V4L2_COLORSPACE_BT2020);
    CHECK(output.xfer_func == V4L2_XFER_FUNC_SMPTE2084);
    CHECK(output.ycbcr_enc == V4L2_YCBCR_ENC_BT2020);
    CHECK(output.quantization == V4L2_QUANTIZATION_FULL_RANGE);
    // TRY_FMT says what S_FMT would, and changes nothing.
    v4l2_format tried{};
    tried.type = kOutput;
    tried.fmt.pix_mp = {.width = 64, .height = 48, .pixelformat = V4L2_PIX_FMT_VP8};
    REQUIRE(client.ioctl(VIDIOC_TRY_FMT, &tried) == 0);
    CHECK(tried.fmt.pix_mp.pixelformat == V4L2_PIX_FMT_VP8);
    CHECK(client.format(kOutput).fmt.pix_mp.pixelformat == V4L2_PIX_FMT_VP9);
    CHECK(client.format(kCapture).fmt.pix_mp.width == 352);

    // Another codec, or another size alone; the format of CAPTURE, if it is CAPTURE's buffers.
    for (const uint32_t type : {kOutput, kCapture}) {
        REQUIRE(client.request(type, 1) == 0);
        CHECK(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 351, 287) == EBUSY);
        CHECK(client.setFormat(kOutput, V4L2_PIX_FMT_VP9, 64, 287) == EBUSY);
        CHECK(client.setFormat(kOutput, V4L2_PIX_FMT_VP9, 351, 64) == EBUSY);
        CHECK(client.setFormat(kCapture, V4L2_PIX_FMT_NV12M, 351, 287) == (type == kCapture ? EBUSY : 0));
        REQUIRE(client.request(type, 0) == 0);
    }
    CHECK(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 64) == 0);
}

TEST_CASE("S4: S_FMT(OUTPUT) of the format in force changes nothing and is no error, whatever has buffers or streams") {
    TestNode node;
    V4l2Client client(node);
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
    auto again = client.format(kOutput);
    const auto inForce = [&] { return client.ioctl(VIDIOC_S_FMT, &again); };
    REQUIRE(client.request(kCapture, 2) == 0);
    CHECK(inForce() == 0);
    CHECK(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
    REQUIRE(client.request(kOutput, 2) == 0);
    CHECK(inForce() == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    REQUIRE(client.feed(0, "size 64x48\nframe 0\nframe 1\n") == 0);
    REQUIRE(client.await(kOutput).error == 0);
    for (uint32_t i = 0; i < 2; ++i) REQUIRE(client.queue(i) == 0);
    REQUIRE(client.streamOn(kCapture) == 0);
    REQUIRE(client.await(kCapture).error == 0);
    CHECK(inForce() == 0);
    // The stream goes on.
    CHECK(client.await(kCapture).error == 0);
    // A field or a size of buffers is a change like any other.
    again.fmt.pix_mp.field = V4L2_FIELD_INTERLACED;
    CHECK(inForce() == EBUSY);
    again = client.format(kOutput);
    again.fmt.pix_mp.plane_fmt[0].sizeimage *= 2;
    CHECK(inForce() == EBUSY);
}

TEST_CASE("S4: a CAPTURE format that does not fit another OUTPUT format gives way to the default, one that fits stays") {
    TestNode node;
    V4l2Client client(node);
    const auto fourcc = [&] { return client.format(kCapture).fmt.pix_mp.pixelformat; };
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_HEVC, 64, 48) == 0);
    REQUIRE(client.setFormat(kCapture, V4L2_PIX_FMT_YUV420, 64, 48) == 0);
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_VP8, 64, 48) == 0);
    CHECK(fourcc() == V4L2_PIX_FMT_YUV420);
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_HEVC, 64, 48) == 0);
    REQUIRE(client.setFormat(kCapture, V4L2_PIX_FMT_P010, 64, 48) == 0);
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_VP8, 64, 48) == 0);
    CHECK(fourcc() == V4L2_PIX_FMT_NV12);
}

TEST_CASE_METHOD(Decoding, "S4: S_FMT(OUTPUT) is a new stream, also where REMOVE_BUFS took the buffers") {
    for (const uint32_t type : {kOutput, kCapture}) {
        REQUIRE(client.streamOff(type) == 0);
        v4l2::RemoveBuffers remove{};
        remove.type = type;
        remove.count = 4;
        REQUIRE(client.ioctl(VIDIOC_REMOVE_BUFS, &remove) == 0);
    }
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 128, 96) == 0);
    CHECK(client.format(kCapture).fmt.pix_mp.width == 128);
    CHECK(client.format(kCapture).fmt.pix_mp.height == 96);
}

TEST_CASE_METHOD(Subscribed, "S4: a queue that streams keeps its format, also where REMOVE_BUFS took the buffers") {
    startOutput("size 64x48\n", 4);
    sourceChange();
    REQUIRE(client.await(kOutput).error == 0);
    REQUIRE(client.request(kCapture, 4) == 0);
    REQUIRE(client.streamOn(kCapture) == 0);
    for (const uint32_t type : {kOutput, kCapture}) {
        v4l2::RemoveBuffers remove{};
        remove.type = type;
        remove.count = 4;
        REQUIRE(client.ioctl(VIDIOC_REMOVE_BUFS, &remove) == 0);
    }
    CHECK(client.setFormat(kOutput, V4L2_PIX_FMT_VP8, 128, 96) == EBUSY);
    CHECK(client.setFormat(kCapture, V4L2_PIX_FMT_YUV420, 64, 48) == EBUSY);
}

TEST_CASE("S1: ENUM_FMT(OUTPUT) is the same before and in the middle of a stream") {
    const auto listed = [](V4l2Client& client) {
        std::vector<uint32_t> fourccs;
        v4l2_fmtdesc desc{};
        desc.type = kOutput;
        for (; client.ioctl(VIDIOC_ENUM_FMT, &desc) == 0; ++desc.index) fourccs.push_back(desc.pixelformat);
        return fourccs;
    };
    Subscribed subscribed;
    auto& client = subscribed.client;
    const auto before = listed(client);
    CHECK(before.size() > 1);
    subscribed.startOutput("size 64x48\n");
    subscribed.sourceChange();
    CHECK(listed(client) == before);
    REQUIRE(client.await(kOutput).error == 0);
    subscribed.setUpCapture(2);
    subscribed.feed("frame 0\n");
    subscribed.expectFrame(0);
    CHECK(listed(client) == before);
}

TEST_CASE("S1: the flags of coded formats say which streams may be cut anywhere", "[stateful]") {
    TestNode node;
    V4l2Client client(node);
    // What is behind start codes may; of the others a buffer is a frame.
    const std::map<uint32_t, bool> continuous = {
        {V4L2_PIX_FMT_H264, true},        {V4L2_PIX_FMT_HEVC, true},        {V4L2_PIX_FMT_VP8, false},
        {V4L2_PIX_FMT_VP9, false},        {V4L2_PIX_FMT_AV1, false},        {V4L2_PIX_FMT_MPEG2, true},
        {V4L2_PIX_FMT_MPEG4, true},       {V4L2_PIX_FMT_XVID, true},        {V4L2_PIX_FMT_H263, false},
        {V4L2_PIX_FMT_VC1_ANNEX_G, true}, {V4L2_PIX_FMT_VC1_ANNEX_L, false}};
    v4l2_fmtdesc desc{};
    desc.type = kOutput;
    for (; client.ioctl(VIDIOC_ENUM_FMT, &desc) == 0; ++desc.index) {
        CAPTURE(desc.index);
        REQUIRE(continuous.contains(desc.pixelformat));
        CHECK(((desc.flags & V4L2_FMT_FLAG_CONTINUOUS_BYTESTREAM) != 0) == continuous.at(desc.pixelformat));
        CHECK_FALSE(desc.flags & V4L2_FMT_FLAG_EMULATED);
    }
    CHECK(desc.index == continuous.size());
}

TEST_CASE("S3: frame sizes are listed for coded and raw formats, frame intervals for none", "[stateful]") {
    TestNode node;
    V4l2Client client(node);
    const auto sizes = [&](uint32_t fourcc, uint32_t index = 0) {
        v4l2_frmsizeenum sizes{};
        sizes.index = index;
        sizes.pixel_format = fourcc;
        const int error = client.ioctl(VIDIOC_ENUM_FRAMESIZES, &sizes);
        return error ? std::to_string(error)
                     : std::to_string(sizes.type) + ' ' + std::to_string(sizes.stepwise.min_width) + '-' +
                           std::to_string(sizes.stepwise.max_width) + '/' + std::to_string(sizes.stepwise.step_width) + ' ' +
                           std::to_string(sizes.stepwise.min_height) + '-' + std::to_string(sizes.stepwise.max_height) + '/' +
                           std::to_string(sizes.stepwise.step_height);
    };
    CHECK(sizes(V4L2_PIX_FMT_H264) == std::to_string(V4L2_FRMSIZE_TYPE_CONTINUOUS) + " 2-8192/1 2-8192/1");
    CHECK(sizes(V4L2_PIX_FMT_NV12) == std::to_string(V4L2_FRMSIZE_TYPE_STEPWISE) + " 2-8192/2 2-8192/2");
    CHECK(sizes(V4L2_PIX_FMT_H264, 1) == std::to_string(EINVAL));
    CHECK(sizes(V4L2_PIX_FMT_SBGGR8) == std::to_string(EINVAL));
    v4l2_frmivalenum intervals{};
    intervals.pixel_format = V4L2_PIX_FMT_H264;
    intervals.width = 64;
    intervals.height = 48;
    CHECK(client.ioctl(VIDIOC_ENUM_FRAMEINTERVALS, &intervals) == ENOTTY);
}

TEST_CASE("S4: S_FMT(CAPTURE) takes what fits, adjusts the rest, and resets the compose rectangle") {
    Subscribed subscribed;
    auto& client = subscribed.client;
    subscribed.startOutput("size 64x48 crop 2,4,6,8\n");
    subscribed.sourceChange();
    // The size is the stream's, the format one of those that fit it.
    const uint32_t planar = onNode({V4L2_PIX_FMT_YUV420M, V4L2_PIX_FMT_YUV420}).front();
    REQUIRE(client.setFormat(kCapture, planar, 320, 240) == 0);
    auto pix = client.format(kCapture).fmt.pix_mp;
    CHECK(pix.pixelformat == planar);
    CHECK(pix.num_planes == (planar == V4L2_PIX_FMT_YUV420M ? 3 : 1));
    CHECK(pix.width == 64);
    CHECK(pix.height == 48);
    REQUIRE(client.setFormat(kCapture, V4L2_PIX_FMT_NV24, 64, 48) == 0);
    pix = client.format(kCapture).fmt.pix_mp;
    CHECK(pix.pixelformat == V4L2_PIX_FMT_NV12);
    v4l2_selection selection{};
    selection.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    selection.target = V4L2_SEL_TGT_COMPOSE;
    REQUIRE(client.ioctl(VIDIOC_G_SELECTION, &selection) == 0);
    CHECK(selection.r.left == 2);
    CHECK(selection.r.width == 56);
    // TRY_FMT says the same and changes nothing.
    v4l2_format tried{};
    tried.type = kCapture;
    tried.fmt.pix_mp = {.width = 8, .height = 8, .pixelformat = V4L2_PIX_FMT_YUV420};
    REQUIRE(client.ioctl(VIDIOC_TRY_FMT, &tried) == 0);
    CHECK(tried.fmt.pix_mp.width == 64);
    CHECK(client.format(kCapture).fmt.pix_mp.pixelformat == V4L2_PIX_FMT_NV12);
}

TEST_CASE("S5: what the stream says of its colours counts on CAPTURE, what the client says on OUTPUT", "[stateful]") {
    Subscribed subscribed;
    auto& client = subscribed.client;
    v4l2_format format = client.format(kOutput);
    format.fmt.pix_mp.colorspace = V4L2_COLORSPACE_SMPTE170M;
    REQUIRE(client.ioctl(VIDIOC_S_FMT, &format) == 0);
    CHECK(client.format(kCapture).fmt.pix_mp.colorspace == V4L2_COLORSPACE_SMPTE170M);
    const bool told = GENERATE(false, true);
    subscribed.startOutput("size 64x48" + (told ? " colorspace " + std::to_string(V4L2_COLORSPACE_BT2020) : std::string()) +
                           "\n");
    subscribed.sourceChange();
    const uint32_t expected = told ? V4L2_COLORSPACE_BT2020 : V4L2_COLORSPACE_SMPTE170M;
    CHECK(client.format(kCapture).fmt.pix_mp.colorspace == expected);
    CHECK(client.format(kOutput).fmt.pix_mp.colorspace == V4L2_COLORSPACE_SMPTE170M);
}

TEST_CASE("S10: the minimum of CAPTURE buffers is volatile, right for the stream, and told by an event where it changes") {
    Decoding d("size 64x48 min 3\n");
    auto& client = d.client;
    v4l2_queryctrl query{};
    query.id = V4L2_CID_MIN_BUFFERS_FOR_CAPTURE;
    REQUIRE(client.ioctl(VIDIOC_QUERYCTRL, &query) == 0);
    CHECK(query.flags & V4L2_CTRL_FLAG_VOLATILE);
    CHECK(query.flags & V4L2_CTRL_FLAG_READ_ONLY);
    int32_t buffers = 0;
    CHECK(client.getControl(V4L2_CID_MIN_BUFFERS_FOR_CAPTURE, buffers) == 0);
    CHECK(buffers == 3);
    REQUIRE(client.subscribe(V4L2_EVENT_CTRL, V4L2_CID_MIN_BUFFERS_FOR_CAPTURE) == 0);
    d.feed("size 64x48 min 7\nframe 0\n");
    // The control first: who sees the source change has it.
    const auto changed = client.event();
    REQUIRE(changed);
    CHECK(changed->type == V4L2_EVENT_CTRL);
    CHECK(changed->id == V4L2_CID_MIN_BUFFERS_FOR_CAPTURE);
    CHECK(changed->u.ctrl.changes & V4L2_EVENT_CTRL_CH_VALUE);
    CHECK(changed->u.ctrl.value == 7);
    d.sourceChange();
    CHECK(client.getControl(V4L2_CID_MIN_BUFFERS_FOR_CAPTURE, buffers) == 0);
    CHECK(buffers == 7);
    d.expectEmptyLast();
    d.replaceCapture(8);
    d.expectFrame(0);
    // Another size, the same minimum.
    d.feed("size 96x80 min 7\nframe 1\n");
    d.sourceChange();
}

TEST_CASE("S11: every selection target tells the coded or the visible rectangle, and COMPOSE is adjusted to what there is",
          "[stateful]") {
    Decoding d("size 64x48 crop 2,4,6,8\n");
    const auto rect = [&](uint32_t target) {
        v4l2_selection selection{};
        selection.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        selection.target = target;
        if (const int error = d.client.ioctl(VIDIOC_G_SELECTION, &selection)) return std::to_string(error);
        return std::to_string(selection.r.left) + ',' + std::to_string(selection.r.top) + ' ' +
               std::to_string(selection.r.width) + 'x' + std::to_string(selection.r.height);
    };
    for (const uint32_t target : {V4L2_SEL_TGT_CROP_BOUNDS, V4L2_SEL_TGT_COMPOSE_BOUNDS, V4L2_SEL_TGT_COMPOSE_PADDED})
        CHECK(rect(target) == "0,0 64x48");
    for (const uint32_t target :
         {V4L2_SEL_TGT_CROP_DEFAULT, V4L2_SEL_TGT_CROP, V4L2_SEL_TGT_COMPOSE_DEFAULT, V4L2_SEL_TGT_COMPOSE})
        CHECK(rect(target) == "2,4 56x36");
    CHECK(rect(V4L2_SEL_TGT_NATIVE_SIZE) == std::to_string(EINVAL));
    v4l2_selection set{};
    set.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    const auto ask = [&](uint32_t target, uint32_t flags, v4l2_rect r) {
        set.target = target;
        set.flags = flags;
        set.r = r;
        return d.client.ioctl(VIDIOC_S_SELECTION, &set);
    };
    // What is set is adjusted to what is there, and refused where the client allows no adjustment.
    for (const uint32_t target : {V4L2_SEL_TGT_COMPOSE, V4L2_SEL_TGT_CROP}) {
        INFO(target);
        for (const v4l2_rect r : {v4l2_rect{0, 0, 32, 24}, v4l2_rect{0, 0, 64, 48}}) {
            REQUIRE(ask(target, 0, r) == 0);
            CHECK(set.r.left == 2);
            CHECK(set.r.top == 4);
            CHECK(set.r.width == 56);
            CHECK(set.r.height == 36);
        }
        CHECK(ask(target, V4L2_SEL_FLAG_LE, {0, 0, 32, 24}) == ERANGE);
        CHECK(ask(target, V4L2_SEL_FLAG_LE, {0, 0, 64, 48}) == 0);
        CHECK(ask(target, V4L2_SEL_FLAG_GE, {0, 0, 64, 48}) == ERANGE);
        CHECK(ask(target, V4L2_SEL_FLAG_GE, {4, 8, 16, 16}) == 0);
    }
    for (const uint32_t target : {V4L2_SEL_TGT_CROP_BOUNDS, V4L2_SEL_TGT_CROP_DEFAULT, V4L2_SEL_TGT_COMPOSE_BOUNDS,
                                  V4L2_SEL_TGT_COMPOSE_DEFAULT, V4L2_SEL_TGT_COMPOSE_PADDED})
        CHECK(ask(target, 0, {0, 0, 64, 48}) == EINVAL);
    set.type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
    set.target = V4L2_SEL_TGT_COMPOSE;
    CHECK(d.client.ioctl(VIDIOC_G_SELECTION, &set) == EINVAL);
}

TEST_CASE("S19: one plane and several hold the same samples") {
    const uint32_t fourcc =
        GENERATE(from_range(onNode({V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_NV12M, V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_YUV420M})));
    Subscribed subscribed;
    auto& client = subscribed.client;
    subscribed.startOutput("size 64x48\n");
    subscribed.sourceChange();
    REQUIRE(client.await(kOutput).error == 0);
    REQUIRE(client.setFormat(kCapture, fourcc, 64, 48) == 0);
    const auto pix = client.format(kCapture).fmt.pix_mp;
    subscribed.setUpCapture(2);
    subscribed.feed("frame 3\n");
    const auto frame = client.await(kCapture);
    REQUIRE(frame.error == 0);
    CHECK(frame.buffer.length == pix.num_planes);
    const std::map<uint32_t, uint32_t> planes = {
        {V4L2_PIX_FMT_NV12, 1}, {V4L2_PIX_FMT_NV12M, 2}, {V4L2_PIX_FMT_YUV420, 1}, {V4L2_PIX_FMT_YUV420M, 3}};
    CHECK(pix.num_planes == planes.at(fourcc));
    for (uint32_t i = 0; i < pix.num_planes; ++i) CHECK(frame.planes[i].bytesused == pix.plane_fmt[i].sizeimage);
    // Sample (5, 3) of Cb and Cr, wherever the format has them.
    const bool interleaved = fourcc == V4L2_PIX_FMT_NV12 || fourcc == V4L2_PIX_FMT_NV12M;
    const uint32_t lumaSize = 64 * 48;
    const auto chroma = [&](uint32_t plane) {
        const unsigned char* base =
            pix.num_planes == 1 ? client.pixels(frame.buffer.index) + lumaSize + (interleaved ? 0 : (plane - 1) * lumaSize / 4)
                                : client.pixels(frame.buffer.index, interleaved ? 1 : plane);
        return interleaved ? base[3 * 64 + 2 * 5 + (plane - 1)] : base[3 * 32 + 5];
    };
    CHECK(chroma(1) == codec::fake::fakeSample(3, 1, 5, 3, 8));
    CHECK(chroma(2) == codec::fake::fakeSample(3, 2, 5, 3, 8));
}
