// S8, S9: changes of the stream's format, with the toy codec: over whichever transport the environment names.
// The names S1, S2 ... are the rows of the contract's checklist.
#include <catch2/catch.hpp>
#include <string>

#include "decoding.h"

using namespace daedalus;
using namespace daedalus::test;

TEST_CASE_METHOD(Decoding,
                 "S9: a change of size delivers all old frames, then LAST, and goes on after CAPTURE is set up again") {
    REQUIRE(client.feed(0, "frame 0\n") == 0);
    REQUIRE(client.feed(1, "size 96x80\nframe 1\n") == 0);
    CHECK(pixelsAre(client, client.await(kCapture), 0));
    sourceChange();
    expectEmptyLast();
    CHECK(client.format(kCapture).fmt.pix_mp.width == 96);
    replaceCapture(3);
    const auto frame = client.await(kCapture);
    CHECK(pixelsAre(client, frame, 1));
    CHECK(frame.planes[0].bytesused == 96 * 80 * 3 / 2);
}

TEST_CASE_METHOD(Decoding, "S9: buffers that are large enough may be kept, by STREAMOFF/ON or by START") {
    REQUIRE(client.feed(0, "frame 0\n") == 0);
    REQUIRE(client.feed(1, "size 48x32\nframe 1\n") == 0);
    CHECK(client.await(kCapture).error == 0);
    sourceChange();
    expectEmptyLast();
    SECTION("STREAMOFF and STREAMON") { restartCapture(); }
    SECTION("DEC_CMD_START") { REQUIRE(client.command(V4L2_DEC_CMD_START) == 0); }
    CHECK(pixelsAre(client, client.await(kCapture), 1));
}

TEST_CASE_METHOD(Decoding, "S9: buffers that are too small are refused, not overrun") {
    REQUIRE(client.feed(0, "size 96x80\nframe 1\n") == 0);
    sourceChange();
    expectEmptyLast();
    REQUIRE(client.streamOff(kCapture) == 0);
    CHECK(client.queue(0) == 0);
    CHECK(client.streamOn(kCapture) == EINVAL);
}

TEST_CASE_METHOD(Decoding, "S9: START with buffers that are too small is refused, and CAPTURE can be set up anew afterwards") {
    REQUIRE(client.feed(0, "size 96x80\nframe 1\n") == 0);
    sourceChange();
    expectEmptyLast();
    CHECK(client.command(V4L2_DEC_CMD_START) == EINVAL);
    CHECK(client.take(kCapture).error == EPIPE);
    replaceCapture(3);
    expectFrame(1);
}

TEST_CASE("S8: width, height, visible rectangle, depth, sampling, fields and minimum buffers: each alone is a source change") {
    Decoding d("size 64x48\n");
    const auto change =
        GENERATE(as<std::string>{}, "size 66x48 crop 0,0,2,0", "size 64x50 crop 0,0,0,2", "size 64x48 crop 0,0,0,8",
                 "size 64x48 depth 10", "size 64x48 chroma 422", "size 64x48 interlaced", "size 64x48 min 7");
    CAPTURE(change);
    d.feed("frame 0\n");
    CHECK(d.client.await(kCapture).error == 0);
    REQUIRE(d.client.feed(1, change + "\nframe 1\n") == 0);
    d.sourceChange();
    d.expectEmptyLast();
}

TEST_CASE_METHOD(Decoding, "S9: a change is told when all frames from before were dequeued, or are lost anyway") {
    REQUIRE(client.feed(0, "frame 0\nframe 1\n") == 0);
    REQUIRE(client.feed(1, "size 96x80\nframe 2\n") == 0);
    expectFrame(0);
    REQUIRE(client.await(kOutput).error == 0);
    REQUIRE(client.await(kOutput).error == 0);
    // Time for the change to be found; too little of it makes the test see less, not fail.
    CHECK_FALSE(client.file().poll(POLLPRI, 50) & POLLPRI);
    CHECK(client.format(kCapture).fmt.pix_mp.width == 64);
    SECTION("dequeued") {
        const bool drains = GENERATE(false, true);
        CAPTURE(drains);
        if (drains) REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        expectFrame(1);
        sourceChange();
        CHECK(client.format(kCapture).fmt.pix_mp.width == 96);
        expectEmptyLast();
        replaceCapture(3);
        const auto frame = expectFrame(2);
        CHECK(((frame.buffer.flags & V4L2_BUF_FLAG_LAST) != 0) == drains);
    }
    SECTION("lost by STREAMOFF of CAPTURE") {
        REQUIRE(client.streamOff(kCapture) == 0);
        sourceChange();
        CHECK(client.format(kCapture).fmt.pix_mp.width == 96);
        REQUIRE(client.request(kCapture, 0) == 0);
        setUpCapture(3);
        expectFrame(2);
    }
    SECTION("given up by a seek") {
        REQUIRE(client.streamOff(kOutput) == 0);
        expectFrame(1);
        CHECK_FALSE(client.event(0));
        REQUIRE(client.streamOn(kOutput) == 0);
        feed("size 64x48\nframe 7\n");
        expectFrame(7);
        CHECK_FALSE(client.event(0));
    }
}

TEST_CASE_METHOD(Decoding, "S9 S15: a seek gives up a change of size that the client has not answered") {
    // With and without having met the LAST of the change.
    const bool last = GENERATE(false, true);
    CAPTURE(last);
    REQUIRE(client.feed(0, "frame 0\n") == 0);
    REQUIRE(client.feed(1, "size 96x80\nframe 1\n") == 0);
    expectFrame(0);
    sourceChange();
    CHECK(client.format(kCapture).fmt.pix_mp.width == 96);
    if (last) expectEmptyLast();
    REQUIRE(client.streamOff(kOutput) == 0);
    CHECK(client.format(kCapture).fmt.pix_mp.width == 64);
    REQUIRE(client.streamOn(kOutput) == 0);
    feed("size 64x48\nframe 7\n");
    auto frame = client.await(kCapture);
    // LAST may have been on its way already.
    if (frame.buffer.flags & V4L2_BUF_FLAG_LAST) {
        REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
        frame = client.await(kCapture);
    }
    REQUIRE(frame.error == 0);
    CHECK(pixelsAre(client, frame, 7));
    // The same place again: the change is told again.
    feed("size 96x80\nframe 8\n");
    sourceChange();
    CHECK(client.format(kCapture).fmt.pix_mp.width == 96);
}

TEST_CASE_METHOD(Decoding, "S9 S15: a client that stops both queues in a change of size starts with the buffers it had") {
    REQUIRE(client.feed(0, "size 96x80\nframe 1\n") == 0);
    REQUIRE(client.file().poll(POLLPRI, kPatienceMs) & POLLPRI);
    REQUIRE(client.streamOff(kOutput) == 0);
    REQUIRE(client.streamOff(kCapture) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    queueCapture(4);
    REQUIRE(client.streamOn(kCapture) == 0);
    feed("size 64x48\nframe 7\n");
    expectFrame(7);
}

TEST_CASE_METHOD(Decoding, "S9: several changes in a row, up and down, with buffers kept and replaced, lose no frame") {
    // Each in a buffer of its own, so that they wait one behind the other.
    const std::string sizes[] = {"96x80", "48x32", "128x96", "64x48"};
    for (uint32_t i = 0; i < 4; ++i)
        REQUIRE(client.feed(i, "frame " + std::to_string(2 * i) + "\nsize " + sizes[i] + "\nframe " +
                                   std::to_string(2 * i + 1) + "\n") == 0);
    expectFrame(0);
    for (uint32_t i = 0; i < 4; ++i) {
        INFO(i);
        sourceChange();
        expectEmptyLast();
        const auto& pix = client.format(kCapture).fmt.pix_mp;
        CHECK(std::to_string(pix.width) + 'x' + std::to_string(pix.height) == sizes[i]);
        if (i % 2 == 0) replaceCapture(4);
        if (i % 2 != 0) restartCapture();
        expectFrame(2 * i + 1);
        if (i < 3) expectFrame(2 * i + 2);
    }
}
