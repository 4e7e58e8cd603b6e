// S12, S17: frames, what travels with them, and what becomes of those that cannot be decoded.
#include <catch2/catch.hpp>
#include <climits>
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

TEST_CASE("S12 S13: large frames, which are converted beside the decoding, come in order, the last of a drain with LAST") {
    Decoding d("size 640x480\n");
    auto& client = d.client;
    uint32_t number = 0;
    for (int round = 0; round < 6; ++round) {
        REQUIRE(client.feed(0, "frame " + std::to_string(number) + "\n", 100) == 0);
        REQUIRE(client.feed(1, "frame " + std::to_string(number + 1) + "\nframe " + std::to_string(number + 2) + "\n", 200) ==
                0);
        REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        for (uint32_t i = 0; i < 3; ++i, ++number) {
            const auto taken = d.expectFrame(number);
            CHECK(taken.buffer.timestamp.tv_usec == (i == 0 ? 100 : 200));
            REQUIRE(client.queue(taken.buffer.index) == 0);
            const bool isLast = taken.buffer.flags & V4L2_BUF_FLAG_LAST;
            CHECK((i == 2 || !isLast));
            if (i < 2 || isLast) continue;
            // All were out before STOP.
            const auto last = client.await(kCapture);
            REQUIRE(last.buffer.flags & V4L2_BUF_FLAG_LAST);
            REQUIRE(client.queue(last.buffer.index) == 0);
        }
        CHECK(client.take(kCapture).error == EPIPE);
        d.endOfStream();
        for (int i = 0; i < 2; ++i) REQUIRE(client.await(kOutput).error == 0);
        REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
    }
}

TEST_CASE("S12: reordered frames keep the timestamps of their units") {
    Decoding d("size 64x48 reorder 1\n");
    d.feed("frame 0\n", 100);
    d.feed("frame 2\n", 200);
    d.feed("frame 1\n", 300);
    d.feed("frame 3\n", 400);
    for (const long expected : {100, 300, 200}) CHECK(d.client.await(kCapture).buffer.timestamp.tv_usec == expected);
}

TEST_CASE_METHOD(Decoding, "S12: a timestamp comes back bit for bit, whatever it is") {
    // Times before zero, as FFmpeg makes them of negative pts (both fields negative), as a timeval should be, and nonsense.
    constexpr timeval kTimes[] = {
        {-2, 0},        {-1, -960'000},       {-1, 40'000},        {0, -1}, {0, 0}, {0, 1}, {95'443, 717'000},
        {5, 3'000'000}, {LONG_MIN, LONG_MAX}, {LONG_MAX, LONG_MIN}};
    uint32_t number = 0;
    for (const timeval& time : kTimes) {
        CAPTURE(time.tv_sec, time.tv_usec);
        const auto same = [&](const v4l2_buffer& buffer) {
            return buffer.timestamp.tv_sec == time.tv_sec && buffer.timestamp.tv_usec == time.tv_usec;
        };
        REQUIRE(client.feed(0, "frame " + std::to_string(number) + "\n", time) == 0);
        CHECK(same(client.query(kOutput, 0).buffer));
        const auto output = client.await(kOutput);
        CHECK(same(output.buffer));
        const auto frame = expectFrame(number++);
        CHECK(same(frame.buffer));
        REQUIRE(client.queue(frame.buffer.index) == 0);
    }
}

TEST_CASE_METHOD(Decoding, "S12: time, timecode and flags of an OUTPUT buffer travel with its frames, and its own flags go") {
    v4l2_plane plane{};
    v4l2_buffer buffer{};
    const auto send = [&](const std::string& text, uint32_t flags, long seconds) {
        feed(text);  // into the memory of buffer 0
        buffer = {};
        buffer.type = kOutput;
        buffer.memory = V4L2_MEMORY_MMAP;
        buffer.length = 1;
        buffer.m.planes = &plane;
        plane = {};
        plane.bytesused = static_cast<uint32_t>(text.size());
        buffer.flags = flags;
        buffer.timestamp = {seconds, 77};
        buffer.timecode = {.type = V4L2_TC_TYPE_25FPS, .frames = 24, .seconds = 59, .minutes = 58, .hours = 23};
        REQUIRE(client.ioctl(VIDIOC_QBUF, &buffer) == 0);
        expectFrame(9);  // of feed()
        const auto output = client.await(kOutput);
        CHECK(output.buffer.timestamp.tv_sec == seconds);
        return expectFrame(9).buffer;
    };
    constexpr uint32_t kTypes = V4L2_BUF_FLAG_KEYFRAME | V4L2_BUF_FLAG_PFRAME | V4L2_BUF_FLAG_BFRAME;
    const auto all = send("frame 9\n", V4L2_BUF_FLAG_TIMECODE | V4L2_BUF_FLAG_PFRAME | V4L2_BUF_FLAG_TSTAMP_SRC_SOE, 12345);
    CHECK(all.timestamp.tv_sec == 12345);
    CHECK(all.timestamp.tv_usec == 77);
    CHECK((all.flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) == V4L2_BUF_FLAG_TIMESTAMP_COPY);
    CHECK((all.flags & V4L2_BUF_FLAG_TSTAMP_SRC_MASK) == V4L2_BUF_FLAG_TSTAMP_SRC_SOE);
    CHECK((all.flags & kTypes) == V4L2_BUF_FLAG_PFRAME);  // the decoder does not say otherwise
    REQUIRE(all.flags & V4L2_BUF_FLAG_TIMECODE);
    CHECK(all.timecode.type == V4L2_TC_TYPE_25FPS);
    CHECK(all.timecode.frames == 24);
    CHECK(all.timecode.hours == 23);
    restartCapture();
    // What the decoder knows of a picture counts.
    for (const auto& [word, flag] :
         {std::pair("I", V4L2_BUF_FLAG_KEYFRAME), {"P", V4L2_BUF_FLAG_PFRAME}, {"B", V4L2_BUF_FLAG_BFRAME}}) {
        CAPTURE(word);
        const auto frame = send(std::string("frame 9 ") + word + "\n", kTypes & ~static_cast<uint32_t>(flag), 1);
        CHECK((frame.flags & kTypes) == static_cast<uint32_t>(flag));
        CHECK_FALSE(frame.flags & V4L2_BUF_FLAG_TIMECODE);
        CHECK((frame.flags & V4L2_BUF_FLAG_TSTAMP_SRC_MASK) == V4L2_BUF_FLAG_TSTAMP_SRC_EOF);
        CHECK(frame.sequence == 1);  // counted from STREAMON on
        restartCapture();
    }
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
    REQUIRE(eventually([&] { return client.file().poll(POLLIN, 20) & POLLERR; }));
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
