// S13, S14: drains, by command and by the stream itself.
#include <catch2/catch.hpp>
#include <string>
#include <thread>

#include "decoding.h"

using namespace daedalus;
using namespace daedalus::test;

TEST_CASE_METHOD(Decoding, "S13: a drain delivers all frames, the last with LAST, then EOS and EPIPE") {
    // STOP arrives before the last frame.
    codec::fake::closeGate();
    REQUIRE(client.feed(0, "frame 0\n") == 0);
    REQUIRE(client.feed(1, "frame 1 gate\n") == 0);
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    REQUIRE(codec::fake::openGate());
    CHECK(pixelsAre(client, client.await(kCapture), 0));
    const auto last = client.await(kCapture);
    CHECK(pixelsAre(client, last, 1));
    CHECK(last.buffer.flags & V4L2_BUF_FLAG_LAST);
    CHECK(client.take(kCapture).error == EPIPE);
    const auto eos = client.event();
    REQUIRE(eos);
    CHECK(eos->type == V4L2_EVENT_EOS);

    // OUTPUT accepts, but does not process, until START.
    REQUIRE(client.await(kOutput).error == 0);
    REQUIRE(client.await(kOutput).error == 0);
    REQUIRE(client.queue(0) == 0);
    REQUIRE(client.feed(0, "frame 5\n") == 0);
    CHECK(client.file().poll(POLLOUT, 50) == 0);
    REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
    CHECK(pixelsAre(client, client.await(kCapture), 5));
}

TEST_CASE_METHOD(Decoding, "S13: with nothing queued a drain gives an empty LAST buffer") {
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    expectEmptyLast();
    CHECK(client.event()->type == V4L2_EVENT_EOS);
    // And again, after START.
    REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
    feed("frame 3\n");
    CHECK(pixelsAre(client, client.await(kCapture), 3));
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    expectEmptyLast();
}

TEST_CASE("S13: STOP has no effect unless both queues stream, and is EBUSY during a drain") {
    {
        TestNode node;
        V4l2Client client(node);
        CHECK(client.command(V4L2_DEC_CMD_STOP) == 0);
        CHECK(client.command(V4L2_DEC_CMD_PAUSE) == EINVAL);
    }
    Decoding d;
    codec::fake::closeGate();
    REQUIRE(d.client.feed(0, "frame 0 gate\n") == 0);
    REQUIRE(d.client.command(V4L2_DEC_CMD_STOP) == 0);
    CHECK(d.client.command(V4L2_DEC_CMD_STOP) == EBUSY);
    CHECK(d.client.command(V4L2_DEC_CMD_START) == EBUSY);
    REQUIRE(codec::fake::openGate());
    CHECK(d.client.await(kCapture).buffer.flags & V4L2_BUF_FLAG_LAST);
}

TEST_CASE("S13: STOP before the first setup of CAPTURE takes effect when CAPTURE streams") {
    // Where the headers are known, and where they may not be yet: a file that fits into the OUTPUT buffers ends so.
    for (const bool known : {true, false}) {
        INFO(known);
        Subscribed s;
        auto& client = s.client;
        s.startOutput("size 64x48\nframe 0\n");
        REQUIRE(client.feed(1, "frame 1\n") == 0);
        if (known) s.sourceChange();
        REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        CHECK(client.command(V4L2_DEC_CMD_STOP) == EBUSY);
        CHECK(client.command(V4L2_DEC_CMD_START) == EBUSY);
        if (!known) s.sourceChange();
        CHECK_FALSE(client.event(0));
        s.setUpCapture(4);
        s.expectFrame(0);
        auto last = s.expectFrame(1);
        if (!(last.buffer.flags & V4L2_BUF_FLAG_LAST)) last = client.await(kCapture);
        CHECK(last.buffer.flags & V4L2_BUF_FLAG_LAST);
        CHECK(client.take(kCapture).error == EPIPE);
        s.endOfStream();
        // And the stream goes on behind it.
        REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
        for (uint32_t i = 0; i < 2; ++i) REQUIRE(client.await(kOutput).error == 0);
        s.feed("frame 2\n");
        CHECK_FALSE(s.expectFrame(2).buffer.flags & V4L2_BUF_FLAG_LAST);
    }
}

TEST_CASE("S13 S15: a STOP before the first setup of CAPTURE ends with OUTPUT's STREAMOFF") {
    for (const bool known : {true, false}) {
        INFO(known);
        Subscribed s;
        auto& client = s.client;
        s.startOutput(known ? "size 64x48\n" : "nothing\n");
        if (known) s.sourceChange();
        REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        REQUIRE(client.streamOff(kOutput) == 0);
        REQUIRE(client.streamOn(kOutput) == 0);
        REQUIRE(client.feed(0, "size 64x48\nframe 0\n") == 0);
        REQUIRE(client.await(kOutput).error == 0);
        if (!known) s.sourceChange();
        s.setUpCapture(2);
        CHECK_FALSE(s.expectFrame(0).buffer.flags & V4L2_BUF_FLAG_LAST);
        REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    }
}

TEST_CASE("S13: a drain of a stream that has not begun ends at once, and STOP after it is without effect") {
    Early early;
    auto& client = early.client;
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    early.expectEmptyLast();
    early.endOfStream();
    CHECK(client.command(V4L2_DEC_CMD_STOP) == 0);
    CHECK_FALSE(client.event(0));
    REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
    REQUIRE(client.feed(0, "size 64x48\nframe 0\n") == 0);
    early.sourceChange();
    early.expectFrame(0);
}

TEST_CASE_METHOD(Decoding, "S9 S13: a drain that meets a change of size goes on after it") {
    codec::fake::closeGate();
    REQUIRE(client.feed(0, "frame 0\n") == 0);
    REQUIRE(client.feed(1, "size 96x80\nframe 1\n") == 0);
    REQUIRE(client.feed(2, "frame 2 gate\n") == 0);
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    REQUIRE(codec::fake::openGate());
    CHECK(pixelsAre(client, client.await(kCapture), 0));
    sourceChange();
    expectEmptyLast();
    replaceCapture(3);
    CHECK(pixelsAre(client, client.await(kCapture), 1));
    const auto last = client.await(kCapture);
    CHECK(pixelsAre(client, last, 2));
    CHECK(last.buffer.flags & V4L2_BUF_FLAG_LAST);
    CHECK(client.event()->type == V4L2_EVENT_EOS);
}

TEST_CASE_METHOD(Decoding, "S9 S13: STOP while CAPTURE is set up anew for a change of size drains after it") {
    REQUIRE(client.feed(0, "frame 0\n") == 0);
    REQUIRE(client.feed(1, "size 96x80\nframe 1\n") == 0);
    CHECK(pixelsAre(client, client.await(kCapture), 0));
    sourceChange();
    expectEmptyLast();
    REQUIRE(client.streamOff(kCapture) == 0);
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    CHECK(client.command(V4L2_DEC_CMD_STOP) == EBUSY);
    CHECK(client.command(V4L2_DEC_CMD_START) == EBUSY);
    REQUIRE(client.request(kCapture, 0) == 0);
    SECTION("and the stream ends") {
        setUpCapture(3);
        const auto last = client.await(kCapture);
        CHECK(pixelsAre(client, last, 1));
        CHECK(last.buffer.flags & V4L2_BUF_FLAG_LAST);
        CHECK(client.event()->type == V4L2_EVENT_EOS);
    }
    SECTION("but not if the client seeks before") {
        REQUIRE(client.streamOff(kOutput) == 0);
        REQUIRE(client.streamOn(kOutput) == 0);
        CHECK(client.command(V4L2_DEC_CMD_STOP) == 0);
    }
}

TEST_CASE_METHOD(Decoding, "S9 S13: a drain that met a change of size goes on by START, with the buffers that are there") {
    REQUIRE(client.feed(0, "frame 0\n") == 0);
    REQUIRE(client.feed(1, "size 48x32\nframe 1\nframe 2\n") == 0);
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    expectFrame(0);
    sourceChange();
    expectEmptyLast();
    CHECK(client.command(V4L2_DEC_CMD_STOP) == EBUSY);
    queueCapture(1);
    REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
    expectFrame(1);
    CHECK(expectFrame(2).buffer.flags & V4L2_BUF_FLAG_LAST);
    endOfStream();
}

TEST_CASE_METHOD(Decoding, "S13: drain after drain, no frame is lost") {
    for (uint32_t round = 0; round < 20; ++round) {
        INFO(round);
        const uint32_t first = 2 * round;
        REQUIRE(client.feed(0, "frame " + std::to_string(first) + "\nframe " + std::to_string(first + 1) + "\n") == 0);
        REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        expectFrame(first);
        const auto second = expectFrame(first + 1);
        if (!(second.buffer.flags & V4L2_BUF_FLAG_LAST)) expectEmptyLast();
        endOfStream();
        REQUIRE(client.await(kOutput).error == 0);
        // By START and by CAPTURE STREAMOFF/ON in turn.
        if (round % 2 == 0) REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
        if (round % 2 == 0) REQUIRE(client.streamOff(kCapture) == 0);
        if (round % 2 != 0) REQUIRE(client.streamOff(kCapture) == 0);
        queueCapture(4);
        REQUIRE(client.streamOn(kCapture) == 0);
    }
}

TEST_CASE_METHOD(Decoding, "S13: OUTPUT STREAMOFF and ON after a drain resume, too") {
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    expectEmptyLast();
    REQUIRE(client.streamOff(kOutput) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    feed("frame 7\n");
    expectFrame(7);
}

TEST_CASE("S14: an end mark in the stream drains, and what comes behind it waits") {
    Decoding d("size 64x48 reorder 2\n");
    auto& client = d.client;
    d.feed("frame 0\nframe 1\neos\nframe 5\n");
    d.expectFrame(0);
    d.expectFrame(1);
    d.expectEmptyLast();
    d.endOfStream();
    // A drain that is over already.
    CHECK(client.command(V4L2_DEC_CMD_STOP) == 0);
    CHECK(client.take(kCapture).error == EPIPE);
    REQUIRE(client.feed(0, "frame 6\nframe 7\n") == 0);
    CHECK(client.file().poll(POLLOUT, 50) == 0);
    SECTION("until START") {
        d.queueCapture(3);
        REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
    }
    SECTION("until CAPTURE STREAMOFF and ON") { d.restartCapture(); }
    d.expectFrame(5);
    REQUIRE(client.await(kOutput).error == 0);
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    d.expectFrame(6);
}

TEST_CASE("S14: an end mark under way answers STOP, too") {
    for (uint32_t round = 0; round < 16; ++round) {
        INFO(round);
        Decoding d;
        auto& client = d.client;
        // STOP comes before, while and after the mark is found.
        REQUIRE(client.feed(0, "frame 0\neos\n") == 0);
        if (round % 4 == 1) std::this_thread::yield();
        if (round % 4 == 2) REQUIRE(client.file().poll(POLLIN, kPatienceMs) & POLLIN);
        if (round % 4 == 3) d.endOfStream();
        REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        if (!(d.expectFrame(0).buffer.flags & V4L2_BUF_FLAG_LAST)) d.expectEmptyLast();
        if (round % 4 != 3) d.endOfStream();
        REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
        REQUIRE(client.await(kOutput).error == 0);
        d.feed("frame 3\n");
        CHECK_FALSE(d.expectFrame(3).buffer.flags & V4L2_BUF_FLAG_LAST);
        CHECK(client.take(kCapture).error == EAGAIN);
    }
}

TEST_CASE_METHOD(Decoding, "S14: an end mark whose LAST waits for a CAPTURE buffer answers STOP, too") {
    REQUIRE(client.feed(0, "frame 0\nframe 1\nframe 2\nframe 3\neos\n") == 0);
    for (uint32_t i = 0; i < 4; ++i) expectFrame(i);
    REQUIRE(client.await(kOutput).error == 0);
    CHECK_FALSE(client.file().poll(POLLIN, 20) & POLLIN);
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    queueCapture(4);
    expectEmptyLast();
    endOfStream();
    REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
    feed("frame 9\n");
    CHECK_FALSE(expectFrame(9).buffer.flags & V4L2_BUF_FLAG_LAST);
    CHECK_FALSE(client.event(0));
}

TEST_CASE_METHOD(Decoding, "S14 S15: a seek away from an end mark goes on without a drain") {
    // One CAPTURE buffer is left for LAST, none after that.
    REQUIRE(client.feed(0, "frame 0\nframe 1\nframe 2\nframe 3\neos\n") == 0);
    for (uint32_t i = 0; i < 4; ++i) expectFrame(i);
    REQUIRE(client.await(kOutput).error == 0);
    REQUIRE(client.streamOff(kOutput) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    queueCapture(4);
    feed("frame 9\n");
    CHECK_FALSE(expectFrame(9).buffer.flags & V4L2_BUF_FLAG_LAST);
    CHECK_FALSE(client.event(0));
    CHECK(client.take(kCapture).error == EAGAIN);
}
