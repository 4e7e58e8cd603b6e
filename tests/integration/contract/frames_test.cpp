// S12, S17: frames, what travels with them, and what becomes of those that cannot be decoded.
#include <catch2/catch.hpp>
#include <string>

#include "decoding.h"

using namespace daedalus;
using namespace daedalus::test;

TEST_CASE_METHOD(Decoding, "S12: frames come in display order with their timestamps") {
    feed("frame 0 I\n", 1000);
    feed("frame 2 P\nframe 1 B\n", 2000);
    const auto first = client.await(kCapture);
    CHECK(pixelsAre(client, first, 0));
    CHECK(first.buffer.timestamp.tv_usec == 1000);
    CHECK(first.buffer.flags & V4L2_BUF_FLAG_KEYFRAME);
    CHECK(first.buffer.sequence == 0);
    const auto second = client.await(kCapture);
    CHECK(second.buffer.timestamp.tv_usec == 2000);
    CHECK(second.buffer.sequence == 1);
    const auto third = client.await(kCapture);
    CHECK(third.buffer.timestamp.tv_usec == 2000);  // one OUTPUT buffer, two frames: both carry its timestamp
}

TEST_CASE("S12: reordered frames keep the timestamps of their units") {
    Decoding d("size 64x48 reorder 1\n");
    d.feed("frame 0\n", 100);
    d.feed("frame 2\n", 200);
    d.feed("frame 1\n", 300);
    d.feed("frame 3\n", 400);
    for (const long expected : {100, 300, 200}) CHECK(d.client.await(kCapture).buffer.timestamp.tv_usec == expected);
}

TEST_CASE_METHOD(Decoding, "S17: damage sets ERROR on a CAPTURE buffer and decoding goes on") {
    feed("frame 0\n", 10);
    feed("damage lost bits\n", 20);
    feed("frame 1 damaged\n", 30);
    feed("frame 2\n", 40);
    CHECK_FALSE(client.await(kCapture).buffer.flags & V4L2_BUF_FLAG_ERROR);
    const auto lost = client.await(kCapture);
    CHECK(lost.buffer.flags & V4L2_BUF_FLAG_ERROR);
    CHECK(lost.buffer.timestamp.tv_usec == 20);
    CHECK(lost.planes[0].bytesused == 0);
    const auto damaged = client.await(kCapture);
    CHECK(damaged.buffer.flags & V4L2_BUF_FLAG_ERROR);
    CHECK(damaged.planes[0].bytesused > 0);
    CHECK_FALSE(client.await(kCapture).buffer.flags & V4L2_BUF_FLAG_ERROR);
}

TEST_CASE_METHOD(Decoding, "S17: a fatal error is EIO until the queues are stopped") {
    REQUIRE(client.feed(0, "fatal 12\n") == 0);
    while (!(client.file().poll(POLLIN, 20) & POLLERR)) {
    }
    CHECK(client.take(kCapture).error == EIO);
    CHECK(client.take(kOutput).error == EIO);
    REQUIRE(client.streamOff(kOutput) == 0);
    REQUIRE(client.streamOff(kCapture) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    queueCapture(4);
    REQUIRE(client.streamOn(kCapture) == 0);
    feed("size 64x48\nframe 1\n");
    CHECK(pixelsAre(client, client.await(kCapture), 1));
}

TEST_CASE_METHOD(Decoding, "a client that queues no CAPTURE buffers holds the decoder, and loses nothing") {
    for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.feed(i, "frame " + std::to_string(i) + "\n") == 0);
    for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.await(kOutput).error == 0);
    REQUIRE(client.feed(0, "frame 4\n") == 0);
    REQUIRE(client.feed(1, "frame 5\n") == 0);
    REQUIRE(client.feed(2, "frame 6\n") == 0);
    for (uint32_t i = 0; i < 7; ++i) {
        const auto frame = client.await(kCapture);
        REQUIRE(frame.error == 0);
        CHECK(pixelsAre(client, frame, i));
        REQUIRE(client.queue(frame.buffer.index) == 0);
    }
}
