// The fake decoder does what its toy syntax says.
#include <catch2/catch.hpp>

#include "../../src/codec/fake/fake_decoder.h"
#include "codec_support.h"

using namespace daedalus;
using namespace daedalus::test;
using codec::fake::fakeSample;
using codec::fake::fakeUnit;

namespace {

std::unique_ptr<codec::Decoder> openFake() {
    auto decoder = codec::makeFakeFactory()->open(v4l2::Codec::H264, {});
    REQUIRE(decoder);
    return std::move(*decoder);
}

}  // namespace

TEST_CASE("fake: frames, pixels and headers") {
    auto decoder = openFake();
    CHECK_FALSE(decoder->headers());
    REQUIRE(decoder->send(fakeUnit("size 64x48 crop 2,4,6,8 min 5\nframe 3 I"), 11));
    REQUIRE(decoder->headers());
    CHECK(decoder->headers()->visible == v4l2::Rect{2, 4, 56, 36});
    CHECK(decoder->headers()->minCaptureBuffers == 5);
    Output output;
    receiveAll(*decoder, output);
    REQUIRE(output.frames.size() == 1);
    CHECK(output.frames[0]->tag() == 11);
    CHECK(output.frames[0]->pictureType() == codec::PictureType::Key);

    CaptureMemory memory(*v4l2::findRaw(V4L2_PIX_FMT_NV12), 64, 48);
    REQUIRE(output.frames[0]->copyTo(memory.target));
    const auto at = [&](size_t component, size_t x, size_t y) {
        const auto& layout = memory.target.layout.component[component];
        return static_cast<uint8_t>(memory.planes[0][layout.offset + layout.stride * y + x]);
    };
    CHECK(at(0, 9, 7) == fakeSample(3, 0, 9, 7, 8));
    CHECK(at(1, 10, 3) == fakeSample(3, 1, 5, 3, 8));
    CHECK(at(1, 11, 3) == fakeSample(3, 2, 5, 3, 8));
}

TEST_CASE("fake: reordering, drain, flush") {
    auto decoder = openFake();
    Output output;
    REQUIRE(decoder->send(fakeUnit("size 16x16 reorder 1\nframe 0 I"), 0));
    REQUIRE(decoder->send(fakeUnit("frame 2 P"), 1));
    REQUIRE(decoder->send(fakeUnit("frame 1 B damaged"), 2));
    receiveAll(*decoder, output);
    REQUIRE(output.frames.size() == 2);
    CHECK(output.frames[1]->tag() == 2);
    CHECK(output.frames[1]->damaged());
    REQUIRE(decoder->drain());
    receiveAll(*decoder, output);
    REQUIRE(output.frames.size() == 3);
    CHECK(output.frames[2]->tag() == 1);
    CHECK(output.ended);
    CHECK_FALSE(decoder->send(fakeUnit("frame 9"), 9));
    decoder->flush();
    CHECK(decoder->send(fakeUnit("frame 9"), 9));
}

TEST_CASE("fake: damage, fatal errors, end marks") {
    auto decoder = openFake();
    Output output;
    REQUIRE(decoder->send(fakeUnit("frame 0"), 1));
    REQUIRE(decoder->send(fakeUnit("damage torn"), 2));
    REQUIRE(decoder->send(fakeUnit("nothing"), 3));
    REQUIRE(decoder->send(fakeUnit("\x01\x02"), 4));
    receiveAll(*decoder, output);
    REQUIRE(output.damaged.size() == 3);
    CHECK(output.damaged[1].tag == 2);
    CHECK(output.damaged[1].reason.find("torn") != std::string::npos);
    CHECK(decoder->send(fakeUnit("fatal 12"), 5).error().value == 12);
    REQUIRE(decoder->send(fakeUnit("size 16x16\nframe 1\nframe 2\neos"), 6));
    receiveAll(*decoder, output);
    CHECK(output.frames.size() == 2);
    CHECK(output.ended);
    // What comes behind the mark is decoded as usual.
    CHECK(decoder->send(fakeUnit("frame 3"), 7));
    receiveAll(*decoder, output);
    CHECK(output.frames.size() == 3);
}
