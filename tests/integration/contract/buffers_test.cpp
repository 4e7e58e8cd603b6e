// Formats, buffers, controls, events and priorities as a client meets them, over whichever transport the environment names.
#include <unistd.h>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <thread>

#include "v4l2_client.h"

using namespace daedalus;
using namespace daedalus::test;

TEST_CASE("unknown ioctls are ENOTTY and leave the buffer alone") {
    TestNode node;
    V4l2Client client(node);
    std::vector<unsigned char> buffer(0x3fff, 0x5a);
    for (const unsigned nr : {3U, 103U, 200U}) {
        for (const unsigned size : {0U, 1U, 64U, 0x3fffU}) {
            CHECK(client.ioctl(_IOC(_IOC_READ | _IOC_WRITE, 'V', nr, size), buffer.data()) == ENOTTY);
        }
    }
    CHECK(client.ioctl(_IOC(_IOC_READ, 'V', 0, 8), buffer.data()) == ENOTTY);
    CHECK(client.ioctl(VIDIOC_G_PARM, buffer.data()) == ENOTTY);
    CHECK(client.ioctl(VIDIOC_ENUM_FRAMEINTERVALS, buffer.data()) == ENOTTY);
    CHECK(std::all_of(buffer.begin(), buffer.end(), [](auto byte) { return byte == 0x5a; }));
}

TEST_CASE("bad pointers are EFAULT") {
    TestNode node;
    V4l2Client client(node);
    CHECK(client.ioctl(VIDIOC_QUERYCAP, nullptr) == EFAULT);
    CHECK(client.ioctl(VIDIOC_G_FMT, reinterpret_cast<void*>(0x10)) == EFAULT);
    v4l2_ext_controls controls{};
    controls.count = 1;
    controls.controls = reinterpret_cast<v4l2_ext_control*>(0x10);
    CHECK(client.ioctl(VIDIOC_G_EXT_CTRLS, &controls) == EFAULT);
    v4l2_buffer buffer{};
    buffer.type = kOutput;
    buffer.memory = V4L2_MEMORY_MMAP;
    buffer.length = 1;
    buffer.m.planes = reinterpret_cast<v4l2_plane*>(0x10);
    REQUIRE(client.request(kOutput, 1) == 0);
    CHECK(client.ioctl(VIDIOC_QUERYBUF, &buffer) == EFAULT);
    buffer.length = VIDEO_MAX_PLANES + 1;
    CHECK(client.ioctl(VIDIOC_QUERYBUF, &buffer) == EINVAL);
    buffer.length = 1;
    buffer.m.planes = nullptr;
    CHECK(client.ioctl(VIDIOC_QUERYBUF, &buffer) == EFAULT);
    buffer.length = 0;
    CHECK(client.ioctl(VIDIOC_QUERYBUF, &buffer) == EINVAL);
}

TEST_CASE("S1: ENUM_FMT(OUTPUT) lists every coded format but those that S_FMT alone takes, always") {
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

TEST_CASE("S4 S5: S_FMT(OUTPUT) updates CAPTURE, colour survives, buffers make it EBUSY") {
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

    REQUIRE(client.request(kCapture, 1) == 0);
    CHECK(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 64) == EBUSY);
    CHECK(client.setFormat(kCapture, V4L2_PIX_FMT_NV12M, 64, 64) == EBUSY);
    REQUIRE(client.request(kCapture, 0) == 0);
    CHECK(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 64) == 0);
}

TEST_CASE("S18: a 4K frame in each of 64 buffers, and a 16 MiB bitstream buffer") {
    TestNode node;
    V4l2Client client(node);
    v4l2_format format{};
    format.type = kOutput;
    format.fmt.pix_mp = {.width = 3840, .height = 2160, .pixelformat = V4L2_PIX_FMT_HEVC};
    format.fmt.pix_mp.num_planes = 1;
    format.fmt.pix_mp.plane_fmt[0].sizeimage = 16 << 20;
    REQUIRE(client.ioctl(VIDIOC_S_FMT, &format) == 0);
    CHECK(format.fmt.pix_mp.plane_fmt[0].sizeimage == 16 << 20);
    REQUIRE(client.subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0);
    REQUIRE(client.request(kOutput, 1) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    const std::string padding(15 << 20, '\n');
    REQUIRE(client.feed(0, padding + "size 3840x2160\nframe 1\n") == 0);
    REQUIRE(client.event());
    REQUIRE(client.request(kCapture, 64) == 0);
    for (uint32_t i = 0; i < 64; ++i) REQUIRE(client.queue(i) == 0);
    REQUIRE(client.streamOn(kCapture) == 0);
    const auto frame = client.await(kCapture);
    REQUIRE(frame.error == 0);
    CHECK(frame.planes[0].bytesused == 3840 * 2160 * 3 / 2);
}

TEST_CASE("a wrong mmap offset and another open's buffers are out of reach") {
    TestNode node;
    V4l2Client client(node);
    V4l2Client other(node);
    REQUIRE(client.request(kCapture, 2) == 0);
    const auto offset = client.query(kCapture, 1).planes[0].m.mem_offset;
    CHECK(client.file().mmap(4096, PROT_READ, offset + 4096 * 7) == MAP_FAILED);
    CHECK(errno == EINVAL);
    CHECK(other.file().mmap(4096, PROT_READ, offset) == MAP_FAILED);
}

TEST_CASE("S22: a hundred opens have their own formats and queues, and share priorities") {
    TestNode node;
    std::vector<std::unique_ptr<V4l2Client>> clients;
    for (int i = 0; i < 114; ++i) clients.push_back(std::make_unique<V4l2Client>(node));
    REQUIRE(clients[0]->setFormat(kOutput, V4L2_PIX_FMT_VP8, 100, 100) == 0);
    CHECK(clients[1]->format(kOutput).fmt.pix_mp.pixelformat == V4L2_PIX_FMT_H264);

    uint32_t priority = V4L2_PRIORITY_RECORD;
    REQUIRE(clients[0]->ioctl(VIDIOC_S_PRIORITY, &priority) == 0);
    CHECK(clients[1]->setFormat(kOutput, V4L2_PIX_FMT_VP8, 100, 100) == EBUSY);
    REQUIRE(clients[1]->ioctl(VIDIOC_G_PRIORITY, &priority) == 0);
    CHECK(priority == V4L2_PRIORITY_RECORD);
    clients.erase(clients.begin());
    // The close may be noticed a little later.
    for (int i = 0; i < 1000 && priority != V4L2_PRIORITY_INTERACTIVE; ++i) {
        REQUIRE(clients[0]->ioctl(VIDIOC_G_PRIORITY, &priority) == 0);
        ::usleep(1000);
    }
    CHECK(clients[0]->setFormat(kOutput, V4L2_PIX_FMT_VP8, 100, 100) == 0);
}

TEST_CASE("events: initial values, order, pending, unsubscribing and an empty queue") {
    TestNode node;
    V4l2Client client(node);
    v4l2_event event{};
    CHECK(client.ioctl(VIDIOC_DQEVENT, &event) == ENOENT);
    CHECK(client.subscribe(V4L2_EVENT_VSYNC) == EINVAL);
    CHECK(client.subscribe(V4L2_EVENT_CTRL, V4L2_CID_BRIGHTNESS) == EINVAL);
    REQUIRE(client.subscribe(V4L2_EVENT_CTRL, V4L2_CID_MIN_BUFFERS_FOR_CAPTURE, V4L2_EVENT_SUB_FL_SEND_INITIAL) == 0);
    REQUIRE(client.subscribe(V4L2_EVENT_CTRL, V4L2_CID_MPEG_VIDEO_H264_PROFILE, V4L2_EVENT_SUB_FL_SEND_INITIAL) == 0);
    CHECK(client.file().poll(POLLPRI, 0) & POLLPRI);
    REQUIRE(client.ioctl(VIDIOC_DQEVENT, &event) == 0);
    CHECK(event.id == V4L2_CID_MIN_BUFFERS_FOR_CAPTURE);
    CHECK(event.pending == 1);
    const auto sequence = event.sequence;
    REQUIRE(client.ioctl(VIDIOC_DQEVENT, &event) == 0);
    CHECK(event.sequence == sequence + 1);
    REQUIRE(client.subscribe(V4L2_EVENT_EOS) == 0);
    v4l2_event_subscription all{};
    all.type = V4L2_EVENT_ALL;
    CHECK(client.ioctl(VIDIOC_UNSUBSCRIBE_EVENT, &all) == 0);
    CHECK(client.ioctl(VIDIOC_DQEVENT, &event) == ENOENT);
}

TEST_CASE("a blocking DQBUF is woken by a buffer, and by STREAMOFF in another thread") {
    TestNode node;
    V4l2Client client(node, 0);
    REQUIRE(client.request(kOutput, 2) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    Taken taken;
    {
        std::thread waiting([&] { taken = client.take(kOutput); });
        ::usleep(20'000);
        CHECK(client.feed(0, "nothing\n") == 0);
        waiting.join();
        CHECK(taken.error == 0);
    }
    std::thread waiting([&] { taken = client.take(kOutput); });
    ::usleep(20'000);
    CHECK(client.streamOff(kOutput) == 0);
    waiting.join();
    CHECK(taken.error == EINVAL);
}
