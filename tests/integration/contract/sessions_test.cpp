// S22: sessions, their events, and calls that no session takes.
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

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
}

TEST_CASE("bad pointers to planes are EFAULT, too many planes or none EINVAL", "[multi-planar]") {
    TestNode node;
    V4l2Client client(node);
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

TEST_CASE("S22: a hundred opens have their own formats and queues, and share priorities", "[stateful]") {
    TestNode node;
    std::vector<std::unique_ptr<V4l2Client>> clients;
    for (int i = 0; i < 114; ++i) clients.push_back(std::make_unique<V4l2Client>(node));
    REQUIRE(clients[0]->setFormat(kOutput, V4L2_PIX_FMT_VP8, 100, 100) == 0);
    CHECK(clients[1]->format(kOutput).fmt.pix_mp.pixelformat == V4L2_PIX_FMT_H264);

    uint32_t priority = V4L2_PRIORITY_UNSET;
    CHECK(clients[0]->ioctl(VIDIOC_S_PRIORITY, &priority) == EINVAL);
    priority = V4L2_PRIORITY_RECORD + 1;
    CHECK(clients[0]->ioctl(VIDIOC_S_PRIORITY, &priority) == EINVAL);
    priority = V4L2_PRIORITY_RECORD;
    REQUIRE(clients[0]->ioctl(VIDIOC_S_PRIORITY, &priority) == 0);
    CHECK(clients[1]->setFormat(kOutput, V4L2_PIX_FMT_VP8, 100, 100) == EBUSY);
    CHECK(clients[1]->request(kOutput, 1) == EBUSY);
    CHECK(clients[1]->streamOn(kOutput) == EBUSY);
    CHECK(clients[1]->streamOff(kOutput) == EBUSY);
    CHECK(clients[1]->command(V4L2_DEC_CMD_STOP) == EBUSY);
    v4l2_control control{V4L2_CID_MIN_BUFFERS_FOR_CAPTURE, 4};
    CHECK(clients[1]->ioctl(VIDIOC_S_CTRL, &control) == EBUSY);
    // What changes nothing of the device, and buffers, go on.
    auto format = clients[1]->format(kOutput);
    CHECK(clients[1]->ioctl(VIDIOC_G_FMT, &format) == 0);
    CHECK(clients[1]->ioctl(VIDIOC_TRY_FMT, &format) == 0);
    CHECK(clients[1]->queue(0) == EINVAL);
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

TEST_CASE("events: initial values, order, pending, unsubscribing and an empty queue", "[stateful]") {
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
