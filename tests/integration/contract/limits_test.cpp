// What a node grants its clients, and how a client that gets no further goes on: limits, decoders that fail, clients that wait.
#include <catch2/catch.hpp>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#include "decoding.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

/// A session of `node` whose OUTPUT streams. Those of one test are opened before the first of them waits for an event: the test
/// is client and daemon of the socket at once, and its library would ask the daemon in the daemon's own close().
struct Feeding {
    V4l2Client client;
    explicit Feeding(TestNode& node, uint32_t outputs = 2) : client(node) {
        REQUIRE(client.subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0);
        REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
        REQUIRE(client.request(kOutput, outputs) == 0);
        REQUIRE(client.streamOn(kOutput) == 0);
    }
    /// Headers and CAPTURE.
    void setUp() {
        REQUIRE(client.feed(0, "size 64x48\n") == 0);
        REQUIRE(client.event());
        REQUIRE(client.await(kOutput).error == 0);
        REQUIRE(client.request(kCapture, 4) == 0);
        for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.queue(i) == 0);
        REQUIRE(client.streamOn(kCapture) == 0);
    }
    void decodes(uint32_t number) {
        REQUIRE(client.feed(0, "frame " + std::to_string(number) + "\n") == 0);
        REQUIRE(client.await(kOutput).error == 0);
        const auto frame = client.await(kCapture);
        REQUIRE(frame.error == 0);
        CHECK(pixelsAre(client, frame, number));
    }
    /// Both queues answer EIO.
    void expectFailed() {
        int error = 0;
        for (int i = 0; i < 1000 && error != EIO; ++i) {
            error = client.take(kOutput).error;
            if (error == EAGAIN) client.file().poll(POLLIN | POLLOUT, 20);
        }
        CHECK(error == EIO);
        REQUIRE(eventually([&] { return client.file().poll(POLLIN | POLLOUT, 20) & POLLERR; }));
        CHECK(client.feed(1, "nothing\n") == EIO);
    }
    /// As the document says: stops both queues, frees all buffers and begins anew.
    void beginAnew() {
        REQUIRE(client.streamOff(kOutput) == 0);
        REQUIRE(client.streamOff(kCapture) == 0);
        REQUIRE(client.request(kCapture, 0) == 0);
        REQUIRE(client.request(kOutput, 0) == 0);
        REQUIRE(client.request(kOutput, 2) == 0);
        REQUIRE(client.streamOn(kOutput) == 0);
        while (client.event(0)) {
        }
        setUp();
    }
};

/// How many buffers REQBUFS gave.
uint32_t granted(V4l2Client& client, uint32_t type, uint32_t count, int expected = 0) {
    v4l2_requestbuffers request{};
    request.type = type;
    request.memory = V4L2_MEMORY_MMAP;
    request.count = count;
    CHECK(client.ioctl(VIDIOC_REQBUFS, &request) == expected);
    return request.count;
}

}  // namespace

TEST_CASE("S3 S17: a stream of larger frames than allowed is EIO, and a smaller one decodes on the same file", "[stateful]") {
    device::Limits limits;
    limits.session.maxWidth = 64;
    limits.session.maxHeight = 48;
    TestNode node(limits);
    Feeding feeding(node);
    auto& client = feeding.client;
    v4l2_frmsizeenum sizes{};
    sizes.pixel_format = V4L2_PIX_FMT_H264;
    REQUIRE(client.ioctl(VIDIOC_ENUM_FRAMESIZES, &sizes) == 0);
    CHECK(sizes.stepwise.max_width == 64);
    CHECK(sizes.stepwise.max_height == 48);
    REQUIRE(client.feed(0, "size 64x50\nframe 0\n") == 0);
    feeding.expectFailed();
    CHECK_FALSE(client.event(0));
    feeding.beginAnew();
    feeding.decodes(3);
}

TEST_CASE("S4: S_FMT keeps to the largest frame allowed") {
    device::Limits limits;
    limits.session.maxWidth = 640;
    limits.session.maxHeight = 480;
    TestNode node(limits);
    V4l2Client client(node);
    CHECK(client.format(kCapture).fmt.pix_mp.width == 640);
    for (const uint32_t type : {kOutput, kCapture}) {
        REQUIRE(client.setFormat(type, type == kOutput ? V4L2_PIX_FMT_H264 : V4L2_PIX_FMT_NV12, 1920, 1080) == 0);
        CHECK(client.format(type).fmt.pix_mp.width == 640);
        CHECK(client.format(type).fmt.pix_mp.height == 480);
    }
}

TEST_CASE("S18: a session's memory ends in fewer buffers, then in ENOMEM, and is each session's own") {
    device::Limits limits;
    limits.session.memory = 1 << 20;
    TestNode node(limits);
    V4l2Client client(node);
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 320, 240) == 0);
    const uint32_t frame = client.format(kCapture).fmt.pix_mp.plane_fmt[0].sizeimage;
    CHECK(granted(client, kCapture, 64) == (1 << 20) / frame);
    granted(client, kOutput, 1, ENOMEM);
    V4l2Client other(node);
    REQUIRE(other.setFormat(kOutput, V4L2_PIX_FMT_H264, 320, 240) == 0);
    CHECK(granted(other, kCapture, 64) == (1 << 20) / frame);
    CHECK(granted(client, kCapture, 0) == 0);
    CHECK(granted(client, kOutput, 1) == 1);
}

TEST_CASE("S22: a user has so many sessions and no more, until one is closed") {
    device::Limits limits;
    limits.sessionsPerUser = 3;
    TestNode node(limits);
    std::vector<std::unique_ptr<V4l2Client>> clients;
    for (int i = 0; i < 3; ++i) clients.push_back(std::make_unique<V4l2Client>(node));
    CHECK_THROWS_AS(V4l2Client(node), std::runtime_error);
    clients.pop_back();
    // The close may be noticed a little later.
    for (int i = 0; clients.size() < 3 && i < 1000; ++i) {
        try {
            clients.push_back(std::make_unique<V4l2Client>(node));
        } catch (const std::runtime_error&) {
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
    }
    CHECK(clients.size() == 3);
}

TEST_CASE("S17: a decoder that takes too long is given up: EIO, both queues stop, and others are served") {
    device::Limits limits;
    limits.session.decodeTime = std::chrono::milliseconds(50);
    // One worker, which is stuck.
    TestNode node(codec::makeFakeFactory(), 1, {.limits = limits});
    Feeding stuck(node);
    Feeding other(node);
    stuck.setUp();
    codec::fake::closeGate();
    REQUIRE(stuck.client.feed(0, "frame 1 gate\n") == 0);
    stuck.expectFailed();
    CHECK(stuck.client.take(kCapture).error == EIO);
    other.setUp();
    other.decodes(2);
    stuck.beginAnew();
    stuck.decodes(5);
    // All that while the first decoder was busy.
    CHECK(codec::fake::openGate());
    stuck.decodes(6);
    other.decodes(7);
}

TEST_CASE("S17: no memory in the worker is EIO until both queues were stopped") {
    TestNode node;
    Feeding feeding(node);
    feeding.setUp();
    REQUIRE(feeding.client.feed(0, "nomem\n") == 0);
    feeding.expectFailed();
    feeding.beginAnew();
    feeding.decodes(4);
}

TEST_CASE("S17: a client that dequeues nothing keeps its own session waiting, and no other") {
    TestNode node(codec::makeFakeFactory(), 1);
    Feeding idle(node, 8);
    Feeding other(node);
    idle.setUp();
    for (uint32_t i = 0; i < 8; ++i) REQUIRE(idle.client.feed(i, "frame " + std::to_string(i) + "\n") == 0);
    REQUIRE(idle.client.file().poll(POLLIN, kPatienceMs) & POLLIN);
    other.setUp();
    for (uint32_t i = 0; i < 4; ++i) other.decodes(i);
    REQUIRE(idle.client.streamOff(kOutput) == 0);
    REQUIRE(idle.client.streamOff(kCapture) == 0);
    for (uint32_t i = 0; i < 4; ++i) CHECK_FALSE(idle.client.query(kCapture, i).buffer.flags & V4L2_BUF_FLAG_DONE);
    idle.beginAnew();
    idle.decodes(9);
}
