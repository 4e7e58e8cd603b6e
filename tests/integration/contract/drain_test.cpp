// S13, S14: drains, by command and by the stream itself.
#include <catch2/catch.hpp>
#include <string>

#include "decoding.h"

using namespace daedalus;
using namespace daedalus::test;

TEST_CASE_METHOD(Decoding, "S13: a drain delivers all frames, the last with LAST, then EOS and EPIPE") {
    // Slow enough for STOP to arrive before the last frame.
    REQUIRE(client.feed(0, "frame 0\n") == 0);
    REQUIRE(client.feed(1, "frame 1 sleep 100\n") == 0);
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
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
    REQUIRE(d.client.feed(0, "frame 0 sleep 200\n") == 0);
    REQUIRE(d.client.command(V4L2_DEC_CMD_STOP) == 0);
    CHECK(d.client.command(V4L2_DEC_CMD_STOP) == EBUSY);
    CHECK(d.client.command(V4L2_DEC_CMD_START) == EBUSY);
    CHECK(d.client.await(kCapture).buffer.flags & V4L2_BUF_FLAG_LAST);
}

TEST_CASE_METHOD(Decoding, "S9 S13: a drain that meets a change of size goes on after it") {
    REQUIRE(client.feed(0, "frame 0\n") == 0);
    REQUIRE(client.feed(1, "size 96x80\nframe 1\n") == 0);
    REQUIRE(client.feed(2, "frame 2 sleep 100\n") == 0);
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
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
