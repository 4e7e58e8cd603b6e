// Known faults of other drivers: what each of them breaks works here. tests/checks/contract_rows.py has the list of their
// names.
#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "decoding.h"
#include "stream_player.h"
#include "waiting_ways.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

/// The next CAPTURE buffer is queued again once it was looked at.
Taken takeAndQueue(V4l2Client& client) {
    const auto taken = client.await(kCapture);
    REQUIRE(taken.error == 0);
    REQUIRE(client.queue(taken.buffer.index) == 0);
    return taken;
}

/// Where a decoder may stand when STREAMOFF comes, by name.
void bring(Decoding& d, const std::string& where) {
    auto& client = d.client;
    if (where == "before any frame") return;
    if (where == "in the middle of a frame") REQUIRE(client.feed(0, "frame 0 sleep 50\n") == 0);
    if (where == "with all CAPTURE buffers done and frames waiting") {
        REQUIRE(client.feed(0, "frame 0\nframe 1\nframe 2\nframe 3\nframe 4\n") == 0);
        REQUIRE(client.feed(1, "frame 5\n") == 0);
        REQUIRE(client.file().poll(POLLIN, kPatienceMs) & POLLIN);
    }
    if (where == "in a drain") {
        REQUIRE(client.feed(0, "frame 0 sleep 50\n") == 0);
        REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    }
    if (where == "after LAST") {
        REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        d.expectEmptyLast();
    }
    if (where == "in a change of size") {
        REQUIRE(client.feed(0, "size 96x80\nframe 0\n") == 0);
        d.sourceChange();
    }
}

}  // namespace

TEST_CASE_METHOD(Decoding, "known fault: an empty buffer without LAST is an end of the stream") {
    feed("frame 0\ndamage it\nframe 1\n");
    expectFrame(0);
    // On CAPTURE, where a unit gave no picture.
    const auto lost = takeAndQueue(client);
    CHECK(lost.planes[0].bytesused == 0);
    CHECK((lost.buffer.flags & (V4L2_BUF_FLAG_ERROR | V4L2_BUF_FLAG_LAST)) == V4L2_BUF_FLAG_ERROR);
    CHECK_FALSE(client.event(0));
    expectFrame(1);
    // On OUTPUT, where bytesused 0 stands for all of the buffer.
    restartCapture();
    for (const char* text : {"frame 2\n", ""}) {
        REQUIRE(client.feed(1, text) == 0);
        REQUIRE(client.await(kOutput).error == 0);
        expectFrame(2);
    }
    // The zeros behind the frame.
    CHECK_FALSE(takeAndQueue(client).buffer.flags & V4L2_BUF_FLAG_LAST);
    CHECK_FALSE(client.event(0));
    feed("frame 3\n");
    expectFrame(3);
}

TEST_CASE("known fault: the second drain loses frames") {
    Decoding d("size 64x48 reorder 2\n", 6);
    auto& client = d.client;
    for (uint32_t round = 0; round < 4; ++round) {
        INFO(round);
        // Two of them are held back until the end is known.
        for (uint32_t i = 0; i < 3; ++i) REQUIRE(client.feed(i, "frame " + std::to_string(3 * round + i) + "\n") == 0);
        REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        for (uint32_t i = 0; i < 3; ++i) {
            const auto taken = takeAndQueue(client);
            CHECK(pixelsAre(client, taken, 3 * round + i));
            CHECK(((taken.buffer.flags & V4L2_BUF_FLAG_LAST) != 0) == (i == 2));
        }
        d.endOfStream();
        CHECK(client.take(kCapture).error == EPIPE);
        for (uint32_t i = 0; i < 3; ++i) REQUIRE(client.await(kOutput).error == 0);
        REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
    }
}

TEST_CASE_METHOD(Decoding, "known fault: a client cannot set CAPTURE up again after a change of size") {
    uint32_t number = 0;
    // In the first plane.
    const auto several = TestNode::isSinglePlanar() ? std::tuple("48x32", V4L2_PIX_FMT_NV12, 48U * 32 * 3 / 2)
                                                    : std::tuple("48x32", V4L2_PIX_FMT_NV12M, 48U * 32);
    for (const auto& [size, fourcc, bytes] : {std::tuple("96x80", V4L2_PIX_FMT_YUV420, 96U * 80 * 3 / 2), several,
                                              std::tuple("640x480", V4L2_PIX_FMT_NV12, 640U * 480 * 3 / 2)}) {
        INFO(size);
        REQUIRE(client.feed(0, "frame " + std::to_string(number) + "\nsize " + size + "\nframe " + std::to_string(number + 1) +
                                   "\n") == 0);
        expectFrame(number);
        sourceChange();
        expectEmptyLast();
        REQUIRE(client.streamOff(kCapture) == 0);
        REQUIRE(client.request(kCapture, 0) == 0);
        const auto& pix = client.format(kCapture).fmt.pix_mp;
        REQUIRE(client.setFormat(kCapture, fourcc, pix.width, pix.height) == 0);
        CHECK(client.format(kCapture).fmt.pix_mp.pixelformat == fourcc);
        setUpCapture(4);
        CHECK(expectFrame(number + 1).planes[0].bytesused == bytes);
        REQUIRE(client.await(kOutput).error == 0);
        number += 2;
    }
}

TEST_CASE("known fault: STREAMOFF does not come back") {
    for (const char* where :
         {"before any frame", "in the middle of a frame", "with all CAPTURE buffers done and frames waiting", "in a drain",
          "after LAST", "in a change of size"}) {
        for (const uint32_t first : {kOutput, kCapture}) {
            INFO(where << ", " << (first == kOutput ? "OUTPUT" : "CAPTURE") << " first");
            Decoding d;
            auto& client = d.client;
            bring(d, where);
            REQUIRE(client.streamOff(first) == 0);
            REQUIRE(client.streamOff(first == kOutput ? kCapture : kOutput) == 0);
            // All buffers are the client's again, and the session decodes.
            for (const uint32_t type : {kOutput, kCapture})
                for (uint32_t i = 0; i < 4; ++i)
                    CHECK_FALSE(client.query(type, i).buffer.flags & (V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_DONE));
            while (client.event(0)) {
            }
            REQUIRE(client.streamOn(kOutput) == 0);
            d.queueCapture(4);
            // CAPTURE STREAMOFF alone answers a change of size, OUTPUT STREAMOFF takes it back.
            const bool changed = client.streamOn(kCapture) == EINVAL;
            CHECK(changed == (where == std::string("in a change of size") && first == kCapture));
            if (changed) d.replaceCapture(4);
            REQUIRE(client.feed(0, "size 64x48\nframe 9\n") == 0);
            if (changed) {
                d.sourceChange();
                d.expectEmptyLast();
                d.replaceCapture(4);
            }
            d.expectFrame(9);
        }
    }
}

TEST_CASE("known fault: POLLPRI never comes") {
    for (const Way& way : waysOfWaiting()) {
        INFO(way.name);
        Decoding d;
        auto& client = d.client;
        const auto comes = [&](uint32_t type) {
            CHECK(way.ask(client.file(), POLLPRI, kPatienceMs) == POLLPRI);
            const auto event = client.event(0);
            return event && event->type == type;
        };
        REQUIRE(client.feed(0, "size 96x80\n") == 0);
        REQUIRE(client.feed(1, "frame 0\n") == 0);
        CHECK(comes(V4L2_EVENT_SOURCE_CHANGE));
        CHECK(way.ask(client.file(), POLLPRI, 0) == 0);
        d.expectEmptyLast();
        d.replaceCapture(4);
        d.expectFrame(0);
        REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        CHECK(comes(V4L2_EVENT_EOS));
        CHECK(way.ask(client.file(), POLLPRI, 0) == 0);
        REQUIRE(client.subscribe(V4L2_EVENT_CTRL, V4L2_CID_MIN_BUFFERS_FOR_CAPTURE, V4L2_EVENT_SUB_FL_SEND_INITIAL) == 0);
        CHECK(comes(V4L2_EVENT_CTRL));
        CHECK(way.ask(client.file(), POLLPRI, 0) == 0);
    }
}

TEST_CASE("known fault: a client that waits for frames spins after LAST") {
    for (const Way& way : waysOfWaiting()) {
        for (const bool drain : {true, false}) {
            INFO(way.name << (drain ? ", after a drain" : ", in a change of size"));
            Decoding d;
            auto& client = d.client;
            if (drain) REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
            if (!drain) REQUIRE(client.feed(0, "size 96x80\nframe 0\n") == 0);
            d.expectEmptyLast();
            for (int round = 0; round < 3; ++round) {
                CHECK(way.ask(client.file(), POLLIN, round == 0 ? 50 : 0) == 0);
                CHECK(client.take(kCapture).error == EPIPE);
            }
        }
    }
}

TEST_CASE("known fault: the delayed reference frame of MPEG-2 and MPEG-4 is lost where the size changes", "[stateful]") {
    TestNode node(codec::makeFfmpegFactory());
    for (const v4l2::Codec codec : {v4l2::Codec::Mpeg1, v4l2::Codec::Mpeg2, v4l2::Codec::Mpeg4}) {
        CAPTURE(v4l2::findCoded(codec)->name);
        std::vector<AccessUnit> units;
        std::vector<std::string> expected;
        for (const uint32_t width : {64U, 96U, 64U}) {
            const auto stream = synth(codec, width, 48, 4, {.bframes = 1, .gop = 4});
            REQUIRE(stream);
            units.insert(units.end(), stream->units.begin(), stream->units.end());
            expected.insert(expected.end(), stream->frameMd5.begin(), stream->frameMd5.end());
        }
        StreamPlayer player(node);
        player.open(codec);
        std::vector<std::string> played;
        for (const auto& frame : player.play(units)) played.push_back(frame.md5);
        CHECK(played == expected);
        CHECK(player.changes() == 3);
    }
}
