// S15, S16: seeks, and CAPTURE stopped in the middle.
#include <catch2/catch.hpp>
#include <string>

#include "decoding.h"

using namespace daedalus;
using namespace daedalus::test;

TEST_CASE("S16: a CAPTURE STREAMOFF after the first frame was taken loses the frames that were done") {
    Early early(2);
    auto& client = early.client;
    REQUIRE(client.feed(0, "size 64x48\nframe 0\nframe 1\nframe 2\n") == 0);
    REQUIRE(client.await(kCapture).error == 0);
    REQUIRE(client.file().poll(POLLIN, kPatienceMs) & POLLIN);
    early.restartCapture();
    CHECK(pixelsAre(client, client.await(kCapture), 2));
}

TEST_CASE_METHOD(Decoding, "S15: a seek drops what was queued and not delivered, and goes on") {
    feed("frame 0 sleep 50\n");
    for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.feed(i, "frame 1 sleep 20\n") == 0);
    REQUIRE(client.streamOff(kOutput) == 0);
    // What was delivered before the seek may still be there.
    while (client.take(kCapture).error == 0) {
    }
    REQUIRE(client.streamOn(kOutput) == 0);
    restartCapture();
    feed("size 64x48\nframe 9\n", 9000);
    const auto frame = client.await(kCapture);
    CHECK(pixelsAre(client, frame, 9));
    CHECK(frame.buffer.timestamp.tv_usec == 9000);
}

TEST_CASE_METHOD(Decoding, "S16: CAPTURE STREAMOFF loses only what it discards") {
    for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.feed(i, "frame " + std::to_string(i) + "\n") == 0);
    CHECK(pixelsAre(client, client.await(kCapture), 0));
    // Frames 1 to 3 fill the remaining buffers and are discarded; the next one is not.
    for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.await(kOutput).error == 0);
    feed("frame 4\n");
    restartCapture();
    CHECK(pixelsAre(client, client.await(kCapture), 4));
}

TEST_CASE_METHOD(Decoding, "S16: CAPTURE STREAMOFF leaves what waits on OUTPUT") {
    // The first four frames fill CAPTURE; the fifth, and the buffers behind it, wait.
    REQUIRE(client.feed(0, "frame 0\nframe 1\nframe 2\nframe 3\nframe 4\n") == 0);
    for (uint32_t i = 1; i < 4; ++i) REQUIRE(client.feed(i, "frame " + std::to_string(i + 4) + "\n") == 0);
    REQUIRE(eventually([&] { return client.query(kCapture, 3).buffer.flags & V4L2_BUF_FLAG_DONE; }));
    restartCapture();
    for (uint32_t i = 4; i < 8; ++i) expectFrame(i);
}

TEST_CASE("S16: CAPTURE STREAMOFF leaves what the decoder holds back") {
    Decoding d("size 64x48 reorder 2\n");
    d.feed("frame 0\nframe 1\nframe 2\n");
    d.expectFrame(0);
    d.restartCapture();
    d.feed("frame 3\n");
    d.expectFrame(1);
}

TEST_CASE("S16: buffers that were queued and never came to stream are the client's after STREAMOFF") {
    Early early;
    auto& client = early.client;
    REQUIRE(client.streamOff(kOutput) == 0);
    REQUIRE(client.streamOff(kCapture) == 0);
    for (const bool streams : {false, true}) {
        INFO(streams);
        early.queueCapture(4);
        if (streams) REQUIRE(client.streamOn(kCapture) == 0);
        REQUIRE(client.streamOff(kCapture) == 0);
        for (uint32_t i = 0; i < 4; ++i) CHECK_FALSE(client.query(kCapture, i).buffer.flags & V4L2_BUF_FLAG_QUEUED);
    }
    early.queueCapture(4);
}
