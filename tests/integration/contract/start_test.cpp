// S6, S7: from the first bytes to the first source change, and what a stream without headers comes to.
#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <thread>

#include "decoding.h"
#include "signals.h"
#include "waiting.h"

using namespace daedalus;
using namespace daedalus::test;

TEST_CASE("S6 S7: headers give a source change, and queries after it the stream's values") {
    Subscribed subscribed;
    auto& client = subscribed.client;
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 320, 240) == 0);
    subscribed.startOutput("nothing\n");
    REQUIRE(client.await(kOutput).error == 0);  // consumed while there are no headers
    CHECK_FALSE(client.event(50));
    REQUIRE(client.feed(0, "size 64x48 crop 2,4,6,8 min 5\n") == 0);
    subscribed.sourceChange();
    const auto format = client.format(kCapture);
    CHECK(format.fmt.pix_mp.width == 64);
    CHECK(format.fmt.pix_mp.height == 48);
    int32_t buffers = 0;
    CHECK(client.getControl(V4L2_CID_MIN_BUFFERS_FOR_CAPTURE, buffers) == 0);
    CHECK(buffers == 5);
    v4l2_selection selection{};
    selection.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    selection.target = V4L2_SEL_TGT_COMPOSE;
    REQUIRE(client.ioctl(VIDIOC_G_SELECTION, &selection) == 0);
    CHECK(selection.r.left == 2);
    CHECK(selection.r.top == 4);
    CHECK(selection.r.width == 64 - 2 - 6);
    CHECK(selection.r.height == 48 - 4 - 8);
    selection.target = V4L2_SEL_TGT_COMPOSE_PADDED;
    REQUIRE(client.ioctl(VIDIOC_G_SELECTION, &selection) == 0);
    CHECK(selection.r.width == 64);
}

TEST_CASE("S7: on a file that waits, G_FMT(CAPTURE) waits for the headers of what OUTPUT got") {
    using namespace std::chrono_literals;
    device::Limits limits;
    limits.session.headersTime = 1h;
    TestNode node(limits);
    V4l2Client client(node, 0);
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 320, 240) == 0);
    REQUIRE(client.request(kOutput, 3) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    CHECK(client.format(kCapture).fmt.pix_mp.width == 320);
    REQUIRE(client.feed(0, "nothing\n") == 0);
    // Others of its calls do not wait, and neither does it on a file that shall not.
    CHECK(client.format(kOutput).fmt.pix_mp.width == 320);
    client.file().setNonblocking(true);
    CHECK(client.format(kCapture).fmt.pix_mp.width == 320);
    client.file().setNonblocking(false);

    v4l2_format format{};
    format.type = kCapture;
    {
        Waiting asking([&] { return client.ioctl(VIDIOC_G_FMT, &format); });
        CHECK(asking.result(50ms) == -1);
        REQUIRE(client.feed(1, "size 64x48\n") == 0);
        CHECK(asking.result(std::chrono::milliseconds(kPatienceMs)) == 0);
    }
    CHECK(format.fmt.pix_mp.width == 64);
    CHECK(format.fmt.pix_mp.height == 48);
}

TEST_CASE("S7: where the headers do not come, or a signal does, G_FMT(CAPTURE) answers with what there is") {
    using namespace std::chrono_literals;
    for (const bool bySignal : {false, true}) {
        CAPTURE(bySignal);
        if (bySignal && TestNode::transport() == "inproc") continue;
        device::Limits limits;
        if (bySignal) limits.session.headersTime = 1h;
        TestNode node(limits);
        V4l2Client client(node, 0);
        REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 320, 240) == 0);
        REQUIRE(client.request(kOutput, 2) == 0);
        REQUIRE(client.streamOn(kOutput) == 0);
        const auto began = std::chrono::steady_clock::now();
        REQUIRE(client.feed(0, "nothing\n") == 0);
        v4l2_format format{};
        format.type = kCapture;
        if (bySignal) {
            handle(0);
            Waiting asking([&] { return client.ioctl(VIDIOC_G_FMT, &format); });
            CHECK(asking.interrupted() == 0);
        } else {
            CHECK(client.ioctl(VIDIOC_G_FMT, &format) == 0);
            CHECK(std::chrono::steady_clock::now() - began >= 100ms);
        }
        CHECK(format.fmt.pix_mp.width == 320);
    }
}

TEST_CASE("S4 S11: before the headers an odd size is visible in buffers of an even one") {
    TestNode node;
    V4l2Client client(node);
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_VP9, 63, 47) == 0);
    CHECK(client.format(kCapture).fmt.pix_mp.width == 64);
    CHECK(client.format(kCapture).fmt.pix_mp.height == 48);
    v4l2_selection selection{};
    selection.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    selection.target = V4L2_SEL_TGT_CROP;
    REQUIRE(client.ioctl(VIDIOC_G_SELECTION, &selection) == 0);
    CHECK(selection.r.width == 63);
    CHECK(selection.r.height == 47);
    // Another size of CAPTURE is another picture: S_FMT resets the rectangle.
    REQUIRE(client.setFormat(kCapture, V4L2_PIX_FMT_NV12, 128, 48) == 0);
    REQUIRE(client.ioctl(VIDIOC_G_SELECTION, &selection) == 0);
    CHECK(selection.r.width == 128);
}

TEST_CASE(
    "S4 S7: before the headers CAPTURE has whole blocks of the codec, so that a client that sets it up early meets no change",
    "[stateful]") {
    struct Case {
        uint32_t coded;
        uint32_t rows;
    };
    for (const auto& [coded, rows] :
         {Case{V4L2_PIX_FMT_H264, 368}, Case{V4L2_PIX_FMT_HEVC, 360}, Case{V4L2_PIX_FMT_VP8, 356}}) {
        for (const bool byCapture : {false, true}) {
            CAPTURE(coded, byCapture);
            Subscribed s;
            auto& client = s.client;
            REQUIRE(client.setFormat(kOutput, coded, byCapture ? 0 : 638, byCapture ? 0 : 356) == 0);
            if (byCapture) REQUIRE(client.setFormat(kCapture, V4L2_PIX_FMT_NV12, 638, 356) == 0);
            CHECK(client.format(kCapture).fmt.pix_mp.height == rows);
            v4l2_selection selection{};
            selection.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
            selection.target = V4L2_SEL_TGT_COMPOSE;
            REQUIRE(client.ioctl(VIDIOC_G_SELECTION, &selection) == 0);
            CHECK(selection.r.width == 638);
            CHECK(selection.r.height == 356);
            REQUIRE(client.request(kOutput, 2) == 0);
            REQUIRE(client.request(kCapture, 4) == 0);
            s.queueCapture(4);
            REQUIRE(client.streamOn(kOutput) == 0);
            REQUIRE(client.streamOn(kCapture) == 0);
            const auto width = client.format(kCapture).fmt.pix_mp.width;
            REQUIRE(client.feed(0, "size " + std::to_string(width) + "x" + std::to_string(rows) + " crop 0,0," +
                                       std::to_string(width - 638) + "," + std::to_string(rows - 356) + "\nframe 0\n") == 0);
            s.sourceChange();
            CHECK_FALSE(s.expectFrame(0).buffer.flags & V4L2_BUF_FLAG_LAST);
        }
    }
}

TEST_CASE("S7: the source change comes even when CAPTURE already streams in the right format, and decoding goes on") {
    Early early(4, kOutput);
    auto& client = early.client;
    REQUIRE(client.feed(0, "size 64x48\nframe 0\n") == 0);
    early.sourceChange();
    const auto frame = client.await(kCapture);
    REQUIRE(frame.error == 0);
    CHECK_FALSE(frame.buffer.flags & V4L2_BUF_FLAG_LAST);
    CHECK(pixelsAre(client, frame, 0));
}

TEST_CASE("S7: a CAPTURE STREAMOFF that answers the first source change loses no frame, and no drain") {
    // As GStreamer does: CAPTURE streams before the headers, then is set up anew; frames may be done by then.
    for (const bool drain : {false, true}) {
        INFO(drain);
        Early early;
        auto& client = early.client;
        REQUIRE(client.feed(0, "size 64x48\nframe 0\nframe 1\n", 500) == 0);
        REQUIRE(client.event());
        REQUIRE(client.file().poll(POLLIN, kPatienceMs) & POLLIN);
        if (drain) REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        REQUIRE(client.streamOff(kCapture) == 0);
        early.setUpCapture(4);
        for (const uint32_t number : {0U, 1U}) {
            const auto frame = client.await(kCapture);
            REQUIRE(frame.error == 0);
            CHECK(pixelsAre(client, frame, number));
            CHECK(frame.buffer.timestamp.tv_usec == 500);
        }
        if (!drain) continue;
        const auto last = client.await(kCapture);
        CHECK((last.error == EPIPE || (last.buffer.flags & V4L2_BUF_FLAG_LAST)));
        CHECK(client.take(kCapture).error == EPIPE);
    }
}

TEST_CASE("S7: a setup before the first source change was seen, and another after it, lose no frame") {
    // As FFmpeg does where the headers are found between its own start and its first look at the events.
    for (const bool drain : {false, true}) {
        INFO(drain);
        Subscribed subscribed;
        auto& client = subscribed.client;
        REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
        subscribed.startOutput("size 64x48\nframe 0\nframe 1\n");
        REQUIRE(client.file().poll(POLLPRI, kPatienceMs) & POLLPRI);
        subscribed.setUpCapture(4);
        REQUIRE(client.file().poll(POLLIN, kPatienceMs) & POLLIN);
        if (drain) REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        REQUIRE(client.event());
        REQUIRE(client.streamOff(kCapture) == 0);
        subscribed.setUpCapture(4);
        for (const uint32_t number : {0U, 1U}) {
            const auto frame = client.await(kCapture);
            REQUIRE(frame.error == 0);
            CHECK(pixelsAre(client, frame, number));
        }
        if (!drain) continue;
        const auto last = client.await(kCapture);
        CHECK((last.error == EPIPE || (last.buffer.flags & V4L2_BUF_FLAG_LAST)));
        CHECK(client.take(kCapture).error == EPIPE);
    }
}

TEST_CASE("S7: the LAST of a drain stays behind the frames that are given again") {
    Early early(2);
    auto& client = early.client;
    REQUIRE(client.feed(0, "size 64x48\nframe 0\nframe 1\n", 500) == 0);
    REQUIRE(eventually([&] { return client.query(kCapture, 1).buffer.flags & V4L2_BUF_FLAG_DONE; }));
    // Both frames are delivered, and no buffer is left for LAST.
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    // Time for the drain to come to its end; too little of it makes the test see less, not fail.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    early.restartCapture();
    for (const uint32_t number : {0U, 1U}) {
        const auto frame = client.await(kCapture);
        REQUIRE(frame.error == 0);
        CHECK(pixelsAre(client, frame, number));
        CHECK(((frame.buffer.flags & V4L2_BUF_FLAG_LAST) != 0) == (number == 1));
    }
    CHECK(client.take(kCapture).error == EPIPE);
}

TEST_CASE("S6 S17: a stream that never shows headers ends in ERROR buffers, not in silence") {
    Subscribed subscribed;
    auto& client = subscribed.client;
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
    subscribed.startOutput(std::string(1 << 20, '\n'));
    subscribed.sourceChange();
    CHECK(client.format(kCapture).fmt.pix_mp.width == 64);
    subscribed.setUpCapture(2);
    REQUIRE(client.feed(1, "nothing\n", 70) == 0);
    const auto first = client.await(kCapture);
    CHECK(first.buffer.flags & V4L2_BUF_FLAG_ERROR);
    const auto second = client.await(kCapture);
    CHECK(second.buffer.flags & V4L2_BUF_FLAG_ERROR);
    CHECK(second.buffer.timestamp.tv_usec == 70);
    // Headers that come late are a source change like any other.
    REQUIRE(client.queue(0) == 0);
    REQUIRE(client.await(kOutput).error == 0);
    REQUIRE(client.await(kOutput).error == 0);
    REQUIRE(client.feed(0, "size 96x80\nframe 0\n") == 0);
    REQUIRE(client.event());
    CHECK(client.await(kCapture).buffer.flags & V4L2_BUF_FLAG_LAST);
}

TEST_CASE("an OUTPUT buffer without headers comes back together with its CAPTURE buffer") {
    Early early(2, kOutput);
    auto& client = early.client;
    REQUIRE(client.feed(0, std::string(1 << 20, '\n')) == 0);
    REQUIRE(client.await(kCapture).error == 0);
    REQUIRE(client.await(kOutput).error == 0);

    // One CAPTURE buffer left: the second OUTPUT buffer waits for another.
    REQUIRE(client.feed(0, "nothing\n") == 0);
    REQUIRE(client.feed(1, "nothing\n") == 0);
    REQUIRE(client.await(kOutput).error == 0);
    REQUIRE(client.take(kCapture).error == 0);
    CHECK((client.file().poll(POLLOUT, 50) & POLLOUT) == 0);
    CHECK(client.take(kOutput).error == EAGAIN);

    // A client that looks at OUTPUT first never finds it ahead of CAPTURE.
    REQUIRE(client.queue(0) == 0);
    REQUIRE(client.queue(1) == 0);
    for (int i = 0; i < 500; ++i) {
        const auto taken = client.await(kOutput);
        REQUIRE(taken.error == 0);
        const auto frame = client.take(kCapture);
        REQUIRE(frame.error == 0);
        REQUIRE(client.feed(taken.buffer.index, "nothing\n") == 0);
        REQUIRE(client.queue(frame.buffer.index) == 0);
    }
}
