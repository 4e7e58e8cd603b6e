// The decoding sequences of the stateful decoder document, with the toy codec: over whichever transport the environment names.
// The names S1, S2 … are the rows of the contract's checklist.
#include <catch2/catch.hpp>
#include <string>

#include "src/codec/fake/fake_decoder.h"
#include "v4l2_client.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

/// A client that has queued headers and set CAPTURE up for them.
struct Decoding {
    TestNode node;
    V4l2Client client{node};

    explicit Decoding(const std::string& headers = "size 64x48\n", uint32_t buffers = 4) {
        REQUIRE(client.subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0);
        REQUIRE(client.subscribe(V4L2_EVENT_EOS) == 0);
        REQUIRE(client.request(kOutput, 4) == 0);
        REQUIRE(client.streamOn(kOutput) == 0);
        REQUIRE(client.feed(0, headers) == 0);
        sourceChange();
        REQUIRE(client.await(kOutput).error == 0);
        setUpCapture(buffers);
    }
    void sourceChange() {
        const auto event = client.event();
        REQUIRE(event);
        REQUIRE(event->type == V4L2_EVENT_SOURCE_CHANGE);
        REQUIRE(event->u.src_change.changes == V4L2_EVENT_SRC_CH_RESOLUTION);
    }
    void setUpCapture(uint32_t buffers) {
        REQUIRE(client.request(kCapture, buffers) == 0);
        for (uint32_t i = 0; i < buffers; ++i) REQUIRE(client.queue(i) == 0);
        REQUIRE(client.streamOn(kCapture) == 0);
    }
    /// Feeds one unit in OUTPUT buffer 0 and gets the buffer back.
    void feed(const std::string& text, long timestampUs = 0) {
        REQUIRE(client.feed(0, text, timestampUs) == 0);
        REQUIRE(client.await(kOutput).error == 0);
    }
    void expectEmptyLast() {
        const auto last = client.await(kCapture);
        REQUIRE(last.error == 0);
        CHECK(last.buffer.flags & V4L2_BUF_FLAG_LAST);
        CHECK(last.planes[0].bytesused == 0);
        CHECK(client.take(kCapture).error == EPIPE);
    }
};

bool pixelsAre(V4l2Client& client, const Taken& taken, uint32_t number) {
    return client.pixels(taken.buffer.index)[0] == codec::fake::fakeSample(number, 0, 0, 0, 8);
}

}  // namespace

TEST_CASE("S6 S7: headers give a source change, and queries after it the stream's values") {
    TestNode node;
    V4l2Client client(node);
    REQUIRE(client.subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0);
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 320, 240) == 0);
    REQUIRE(client.request(kOutput, 2) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    REQUIRE(client.feed(0, "nothing\n") == 0);
    REQUIRE(client.await(kOutput).error == 0);  // consumed while there are no headers
    CHECK_FALSE(client.event(50));
    REQUIRE(client.feed(0, "size 64x48 crop 2,4,6,8 min 5\n") == 0);
    const auto event = client.event();
    REQUIRE(event);
    CHECK(event->type == V4L2_EVENT_SOURCE_CHANGE);

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

TEST_CASE("S7: the source change comes even when CAPTURE already streams in the right format, and decoding goes on") {
    TestNode node;
    V4l2Client client(node);
    REQUIRE(client.subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0);
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
    REQUIRE(client.request(kOutput, 2) == 0);
    REQUIRE(client.request(kCapture, 4) == 0);
    for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.queue(i) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    REQUIRE(client.streamOn(kCapture) == 0);
    REQUIRE(client.feed(0, "size 64x48\nframe 0\n") == 0);
    REQUIRE(client.event());
    const auto frame = client.await(kCapture);
    REQUIRE(frame.error == 0);
    CHECK_FALSE(frame.buffer.flags & V4L2_BUF_FLAG_LAST);
    CHECK(pixelsAre(client, frame, 0));
}

TEST_CASE("S7: a CAPTURE STREAMOFF that answers the first source change loses no frame, and no drain") {
    // As GStreamer does: CAPTURE streams before the headers, then is set up anew; frames may be done by then.
    for (const bool drain : {false, true}) {
        INFO(drain);
        TestNode node;
        V4l2Client client(node);
        REQUIRE(client.subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0);
        REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
        REQUIRE(client.request(kOutput, 2) == 0);
        REQUIRE(client.request(kCapture, 4) == 0);
        for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.queue(i) == 0);
        REQUIRE(client.streamOn(kCapture) == 0);
        REQUIRE(client.streamOn(kOutput) == 0);
        REQUIRE(client.feed(0, "size 64x48\nframe 0\nframe 1\n", 500) == 0);
        REQUIRE(client.event());
        REQUIRE(client.file().poll(POLLIN, kPatienceMs) & POLLIN);
        if (drain) REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        REQUIRE(client.streamOff(kCapture) == 0);
        REQUIRE(client.request(kCapture, 4) == 0);
        for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.queue(i) == 0);
        REQUIRE(client.streamOn(kCapture) == 0);
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

TEST_CASE("S7: the LAST of a drain stays behind the frames that are given again") {
    TestNode node;
    V4l2Client client(node);
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
    REQUIRE(client.request(kOutput, 2) == 0);
    REQUIRE(client.request(kCapture, 4) == 0);
    for (uint32_t i = 0; i < 2; ++i) REQUIRE(client.queue(i) == 0);
    REQUIRE(client.streamOn(kCapture) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    REQUIRE(client.feed(0, "size 64x48\nframe 0\nframe 1\n", 500) == 0);
    while (!(client.query(kCapture, 1).buffer.flags & V4L2_BUF_FLAG_DONE)) client.file().poll(POLLPRI, 1);
    // Both frames are delivered, and no buffer is left for LAST.
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    client.file().poll(POLLPRI, 50);
    REQUIRE(client.streamOff(kCapture) == 0);
    for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.queue(i) == 0);
    REQUIRE(client.streamOn(kCapture) == 0);
    for (const uint32_t number : {0U, 1U}) {
        const auto frame = client.await(kCapture);
        REQUIRE(frame.error == 0);
        CHECK(pixelsAre(client, frame, number));
        CHECK(((frame.buffer.flags & V4L2_BUF_FLAG_LAST) != 0) == (number == 1));
    }
    CHECK(client.take(kCapture).error == EPIPE);
}

TEST_CASE("S16: a CAPTURE STREAMOFF after the first frame was taken loses the frames that were done") {
    TestNode node;
    V4l2Client client(node);
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
    REQUIRE(client.request(kOutput, 2) == 0);
    REQUIRE(client.request(kCapture, 4) == 0);
    for (uint32_t i = 0; i < 2; ++i) REQUIRE(client.queue(i) == 0);
    REQUIRE(client.streamOn(kCapture) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    REQUIRE(client.feed(0, "size 64x48\nframe 0\nframe 1\nframe 2\n") == 0);
    REQUIRE(client.await(kCapture).error == 0);
    REQUIRE(client.file().poll(POLLIN, kPatienceMs) & POLLIN);
    REQUIRE(client.streamOff(kCapture) == 0);
    for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.queue(i) == 0);
    REQUIRE(client.streamOn(kCapture) == 0);
    CHECK(pixelsAre(client, client.await(kCapture), 2));
}

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

TEST_CASE_METHOD(Decoding,
                 "S9: a change of size delivers all old frames, then LAST, and goes on after CAPTURE is set up again") {
    REQUIRE(client.feed(0, "frame 0\n") == 0);
    REQUIRE(client.feed(1, "size 96x80\nframe 1\n") == 0);
    CHECK(pixelsAre(client, client.await(kCapture), 0));
    sourceChange();
    expectEmptyLast();
    CHECK(client.format(kCapture).fmt.pix_mp.width == 96);
    REQUIRE(client.streamOff(kCapture) == 0);
    REQUIRE(client.request(kCapture, 0) == 0);
    setUpCapture(3);
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
    SECTION("STREAMOFF and STREAMON") {
        REQUIRE(client.streamOff(kCapture) == 0);
        for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.queue(i) == 0);
        REQUIRE(client.streamOn(kCapture) == 0);
    }
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

TEST_CASE_METHOD(Decoding, "S9 S13: a drain that meets a change of size goes on after it") {
    REQUIRE(client.feed(0, "frame 0\n") == 0);
    REQUIRE(client.feed(1, "size 96x80\nframe 1\n") == 0);
    REQUIRE(client.feed(2, "frame 2 sleep 100\n") == 0);
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    CHECK(pixelsAre(client, client.await(kCapture), 0));
    sourceChange();
    expectEmptyLast();
    REQUIRE(client.streamOff(kCapture) == 0);
    REQUIRE(client.request(kCapture, 0) == 0);
    setUpCapture(3);
    CHECK(pixelsAre(client, client.await(kCapture), 1));
    const auto last = client.await(kCapture);
    CHECK(pixelsAre(client, last, 2));
    CHECK(last.buffer.flags & V4L2_BUF_FLAG_LAST);
    CHECK(client.event()->type == V4L2_EVENT_EOS);
}

TEST_CASE("S8: visible rectangle, depth and minimum buffers are source changes, too") {
    Decoding d("size 64x48\n");
    const auto change = GENERATE(as<std::string>{}, "size 64x48 crop 0,0,0,8", "size 64x48 depth 10", "size 64x48 min 7");
    d.feed("frame 0\n");
    CHECK(d.client.await(kCapture).error == 0);
    REQUIRE(d.client.feed(1, change + "\nframe 1\n") == 0);
    d.sourceChange();
    d.expectEmptyLast();
}

TEST_CASE_METHOD(Decoding, "S15: a seek drops what was queued and not delivered, and goes on") {
    feed("frame 0 sleep 50\n");
    for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.feed(i, "frame 1 sleep 20\n") == 0);
    REQUIRE(client.streamOff(kOutput) == 0);
    // What was delivered before the seek may still be there.
    while (client.take(kCapture).error == 0) {
    }
    REQUIRE(client.streamOn(kOutput) == 0);
    REQUIRE(client.streamOff(kCapture) == 0);
    for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.queue(i) == 0);
    REQUIRE(client.streamOn(kCapture) == 0);
    feed("size 64x48\nframe 9\n", 9000);
    const auto frame = client.await(kCapture);
    CHECK(pixelsAre(client, frame, 9));
    CHECK(frame.buffer.timestamp.tv_usec == 9000);
}

TEST_CASE_METHOD(Decoding, "S16: CAPTURE STREAMOFF loses only what it discards") {
    for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.feed(i, "frame " + std::to_string(i) + "\n") == 0);
    CHECK(pixelsAre(client, client.await(kCapture), 0));
    // Frames 1 to 3 fill the remaining buffers and are discarded; the next one is not.
    while (client.file().poll(POLLOUT, 0) == 0) {
    }
    for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.await(kOutput).error == 0);
    feed("frame 4\n");
    REQUIRE(client.streamOff(kCapture) == 0);
    for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.queue(i) == 0);
    REQUIRE(client.streamOn(kCapture) == 0);
    CHECK(pixelsAre(client, client.await(kCapture), 4));
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
    for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.queue(i) == 0);
    REQUIRE(client.streamOn(kCapture) == 0);
    feed("size 64x48\nframe 1\n");
    CHECK(pixelsAre(client, client.await(kCapture), 1));
}

TEST_CASE_METHOD(Decoding, "S21: poll tells of each queue, of events, and of nothing else") {
    CHECK(client.file().poll(POLLIN | POLLOUT | POLLPRI, 0) == 0);
    REQUIRE(client.feed(0, "frame 0\n") == 0);
    CHECK(client.file().poll(POLLOUT, kPatienceMs) == POLLOUT);
    CHECK(client.file().poll(POLLIN, kPatienceMs) == POLLIN);
    REQUIRE(client.take(kOutput).error == 0);
    REQUIRE(client.take(kCapture).error == 0);
    CHECK(client.file().poll(POLLIN | POLLOUT | POLLPRI, 0) == 0);
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    CHECK(client.file().poll(POLLPRI, kPatienceMs) & POLLPRI);
    REQUIRE(client.event());
    expectEmptyLast();
    // After LAST was taken POLLIN does not stay set.
    CHECK_FALSE(client.file().poll(POLLIN | POLLPRI, 0) & POLLIN);
}

TEST_CASE_METHOD(Decoding, "S14 S21: who is woken by the end finds the last buffer, and who finds that finds the event") {
    for (uint32_t round = 0; round < 200; ++round) {
        INFO(round);
        REQUIRE(client.feed(0, "frame 0\n") == 0);
        REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        // With and without a frame that is on its way when STOP arrives.
        bool told = false;
        for (bool last = false; !last;) {
            const short events = client.file().poll(POLLIN | POLLPRI, kPatienceMs);
            REQUIRE(events & POLLIN);
            const auto taken = client.take(kCapture);
            REQUIRE(taken.error == 0);
            last = (taken.buffer.flags & V4L2_BUF_FLAG_LAST) != 0;
            told = told || client.event(0);
            if (last) {
                REQUIRE(told);
                REQUIRE(client.take(kCapture).error == EPIPE);
                REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
            }
            REQUIRE(client.queue(taken.buffer.index) == 0);
        }
        REQUIRE(client.await(kOutput).error == 0);
    }
}

TEST_CASE("S21: POLLERR where nothing streams") {
    TestNode node;
    V4l2Client client(node);
    CHECK(client.file().poll(POLLIN, 0) & POLLERR);
    REQUIRE(client.request(kOutput, 1) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    CHECK(client.file().poll(POLLIN, 0) & POLLERR);  // nothing is queued
    REQUIRE(client.feed(0, "nothing\n") == 0);
    CHECK(client.file().poll(POLLOUT, kPatienceMs) == POLLOUT);
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

TEST_CASE("a stream that never shows headers ends in ERROR buffers, not in silence") {
    TestNode node;
    V4l2Client client(node);
    REQUIRE(client.subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0);
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
    REQUIRE(client.request(kOutput, 2) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    const std::string silence(1 << 20, '\n');
    REQUIRE(client.feed(0, silence) == 0);
    REQUIRE(client.event());
    CHECK(client.format(kCapture).fmt.pix_mp.width == 64);
    REQUIRE(client.request(kCapture, 2) == 0);
    REQUIRE(client.queue(0) == 0);
    REQUIRE(client.queue(1) == 0);
    REQUIRE(client.streamOn(kCapture) == 0);
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
    TestNode node;
    V4l2Client client(node);
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
    REQUIRE(client.request(kOutput, 2) == 0);
    REQUIRE(client.request(kCapture, 2) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    REQUIRE(client.streamOn(kCapture) == 0);
    REQUIRE(client.queue(0) == 0);
    REQUIRE(client.queue(1) == 0);
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
