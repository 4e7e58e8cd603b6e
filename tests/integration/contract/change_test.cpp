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

TEST_CASE("S8: visible rectangle, depth and minimum buffers are source changes, too") {
    Decoding d("size 64x48\n");
    const auto change = GENERATE(as<std::string>{}, "size 64x48 crop 0,0,0,8", "size 64x48 depth 10", "size 64x48 min 7");
    d.feed("frame 0\n");
    CHECK(d.client.await(kCapture).error == 0);
    REQUIRE(d.client.feed(1, change + "\nframe 1\n") == 0);
    d.sourceChange();
    d.expectEmptyLast();
}
