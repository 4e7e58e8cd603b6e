// The order in which browsers call a stateful decoder, which differs from that of FFmpeg and GStreamer: Chromium has two
// clients. Both subscribe to source changes alone, start CAPTURE before they queue its buffers, and go on after LAST at once,
// without meeting EPIPE.
#include <catch2/catch.hpp>
#include <string>

#include "decoding.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr uint32_t kCaptureBuffers = 4;

/// Chromium's way to start, the subscription being the last step. Nothing is fed yet.
struct Browser {
    TestNode node;
    V4l2Client client{node};

    Browser() {
        REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 0, 0) == 0);
        REQUIRE(client.request(kOutput, 8) == 0);
        REQUIRE(client.streamOn(kOutput) == 0);
        REQUIRE(client.subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0);
    }
    void feed(uint32_t index, const std::string& text) { REQUIRE(client.feed(index, text) == 0); }
    /// Whatever has come back of OUTPUT.
    void reclaim() {
        while (client.take(kOutput).error == 0) continue;
    }
    void sourceChange() {
        // V4L2StatefulVideoDecoder looks at POLLIN first, and does not see an event behind it.
        REQUIRE(client.file().poll(POLLIN | POLLPRI, kPatienceMs) == POLLPRI);
        const auto event = client.event(0);
        REQUIRE(event);
        REQUIRE(event->type == V4L2_EVENT_SOURCE_CHANGE);
        CHECK_FALSE(client.event(0));
    }
    /// STREAMON with nothing queued.
    void startCapture() {
        REQUIRE(client.streamOn(kCapture) == 0);
        for (uint32_t i = 0; i < kCaptureBuffers; ++i) REQUIRE(client.queue(i) == 0);
    }
    void allocateCapture() {
        int32_t wanted = 0;
        REQUIRE(client.getControl(V4L2_CID_MIN_BUFFERS_FOR_CAPTURE, wanted) == 0);
        REQUIRE(static_cast<uint32_t>(wanted) <= kCaptureBuffers);
        REQUIRE(client.request(kCapture, kCaptureBuffers) == 0);
        startCapture();
    }
    /// The next frame, whose buffer goes back; true if it is the last.
    bool expectFrame(uint32_t number) {
        const auto taken = client.await(kCapture);
        REQUIRE(taken.error == 0);
        REQUIRE(taken.planes[0].bytesused > 0);
        CHECK(pixelsAre(client, taken, number));
        reclaim();
        REQUIRE(client.queue(taken.buffer.index) == 0);
        return (taken.buffer.flags & V4L2_BUF_FLAG_LAST) != 0;
    }
    /// The LAST that stands alone.
    void expectLast() {
        const auto taken = client.await(kCapture);
        REQUIRE(taken.error == 0);
        REQUIRE(taken.buffer.flags & V4L2_BUF_FLAG_LAST);
        REQUIRE(taken.planes[0].bytesused == 0);
        REQUIRE(client.queue(taken.buffer.index) == 0);
    }
};

/// It has CAPTURE set up for 64x48.
struct DecodingBrowser : Browser {
    DecodingBrowser() {
        feed(0, "size 64x48\n");
        sourceChange();
        allocateCapture();
    }
};

}  // namespace

TEST_CASE_METHOD(DecodingBrowser, "a browser flushes, and decodes on at once") {
    // V4L2VideoDecoder also restarts CAPTURE, for the sake of Venus.
    const bool restarts = GENERATE(false, true);
    CAPTURE(restarts);
    uint32_t number = 0;
    for (uint32_t round = 0; round < 5; ++round) {
        CAPTURE(round);
        reclaim();
        feed(1, "frame " + std::to_string(number) + "\n");
        feed(2, "frame " + std::to_string(number + 1) + "\n");
        REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        CHECK_FALSE(expectFrame(number++));
        if (!expectFrame(number++)) expectLast();
        reclaim();
        REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
        if (restarts) {
            REQUIRE(client.streamOff(kCapture) == 0);
            startCapture();
        }
        CHECK_FALSE(client.event(0));
        // An unflushed LAST would end the next round early.
        if (!restarts) CHECK(client.take(kCapture).error == EAGAIN);
    }
}

TEST_CASE_METHOD(Browser, "a browser flushes as soon as CAPTURE streams for the first time") {
    feed(0, "size 64x48\nframe 0\n");
    sourceChange();
    allocateCapture();
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    if (!expectFrame(0)) expectLast();
    REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
}

TEST_CASE_METHOD(DecodingBrowser, "a browser that finds LAST finds the source change that it is for") {
    feed(1, "frame 0\nframe 1\n");
    feed(2, "size 96x80\nframe 2\n");
    CHECK_FALSE(expectFrame(0));
    CHECK_FALSE(expectFrame(1));
    expectLast();
    SECTION("V4L2VideoDecoder looks for it") {}
    SECTION("V4L2StatefulVideoDecoder takes it for a flush's, and finds the event by poll() afterwards") {
        CHECK(client.command(V4L2_DEC_CMD_START) == EINVAL);
        CHECK(client.take(kCapture).error == EPIPE);
    }
    const auto event = client.event(0);
    REQUIRE(event);
    CHECK(event->type == V4L2_EVENT_SOURCE_CHANGE);
    CHECK(client.format(kCapture).fmt.pix_mp.width == 96);
    REQUIRE(client.streamOff(kCapture) == 0);
    REQUIRE(client.request(kCapture, 0) == 0);
    allocateCapture();
    CHECK_FALSE(expectFrame(2));
}

TEST_CASE_METHOD(DecodingBrowser, "a browser resets by stopping both queues") {
    const bool changes = GENERATE(false, true);
    CAPTURE(changes);
    feed(1, "frame 0\nframe 1\n");
    CHECK_FALSE(expectFrame(0));
    if (changes) feed(2, "size 96x80\nframe 2\n");
    REQUIRE(client.streamOff(kOutput) == 0);
    REQUIRE(client.streamOff(kCapture) == 0);
    while (client.event(0)) continue;
    REQUIRE(client.streamOn(kOutput) == 0);
    startCapture();
    feed(0, "size 64x48\nframe 7\n");
    CHECK_FALSE(expectFrame(7));
    // And closes without another word.
}
