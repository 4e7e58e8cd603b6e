// How CAPTURE follows OUTPUT, the stream and the client.
#include <catch2/catch.hpp>

#include "daedalus/m2m/formats.h"

using namespace daedalus;
using namespace daedalus::m2m;
using Told = Formats::Told;

namespace {

codec::StreamFormat stream(uint32_t width, uint32_t height, uint8_t bitDepth = 8) {
    codec::StreamFormat format;
    format.codedWidth = width;
    format.codedHeight = height;
    format.visible = {0, 0, width, height};
    format.bitDepth = bitDepth;
    return format;
}

struct H264 {
    static SessionLimits limits() {
        SessionLimits limits;
        limits.maxWidth = 1024;
        limits.maxHeight = 1024;
        return limits;
    }
    Formats formats{v4l2::PlanesApi::Multi, limits(), "test"};

    H264() { formats.setOutput({.coded = v4l2::findCoded(v4l2::Codec::H264), .width = 64, .height = 48, .sizeImage = 4096}); }
    Told tell(const codec::StreamFormat& format) {
        formats.found(format);
        return formats.tell();
    }
    [[nodiscard]] uint32_t width() const { return formats.capture().layout.width; }
    [[nodiscard]] const v4l2::RawFormat& raw(uint32_t fourcc) const {
        for (const auto* offered : formats.offered())
            if (offered->fourcc == fourcc) return *offered;
        FAIL("the format is not offered");
        std::abort();
    }
};

}  // namespace

TEST_CASE_METHOD(H264, "CAPTURE follows OUTPUT before the headers, and the stream after them") {
    CHECK(width() == 64);
    CHECK(formats.planeSizes(true).bytes[0] == 4096);
    CHECK(formats.planeSizes(false).bytes[0] == 64 * 48 * 3 / 2);
    CHECK(formats.tell() == Told::Nothing);
    CHECK(tell(stream(96, 80)) == Told::Change);
    CHECK(width() == 96);
    CHECK(formats.stream()->codedWidth == 96);
    CHECK(formats.tell() == Told::Nothing);
    CHECK(tell(stream(96, 80)) == Told::SameSetup);
}

TEST_CASE_METHOD(H264, "what was found changes nothing before it is told") {
    formats.found(stream(96, 80));
    CHECK(width() == 64);
    CHECK_FALSE(formats.stream());
}

TEST_CASE_METHOD(H264, "a stream beyond the limits, or that no format holds, is refused, and nothing changes") {
    REQUIRE(tell(stream(96, 80)) == Told::Change);
    auto strange = stream(64, 48);
    strange.chroma = v4l2::Chroma::Other;
    CHECK(tell(stream(2048, 80)) == Told::Refused);
    CHECK(tell(strange) == Told::Refused);
    CHECK(width() == 96);
    CHECK(formats.stream()->codedWidth == 96);
}

TEST_CASE_METHOD(H264, "the client's choice stays as long as it fits") {
    formats.chooseCapture(raw(V4L2_PIX_FMT_YUV420), 64, 48, V4L2_FIELD_ANY);
    REQUIRE(tell(stream(96, 80)) == Told::Change);
    CHECK(formats.capture().raw->fourcc == V4L2_PIX_FMT_YUV420);
    formats.forgetStream();
    formats.setOutput(formats.output());
    CHECK(formats.capture().raw->fourcc == V4L2_PIX_FMT_YUV420);
}

TEST_CASE_METHOD(H264, "changes that are given up leave CAPTURE as it was set up") {
    REQUIRE(tell(stream(96, 80)) == Told::Change);
    formats.chooseCapture(raw(V4L2_PIX_FMT_YUV420), 0, 0, V4L2_FIELD_ANY);
    formats.setUp(Epoch::Stage::SetUp);
    auto deep = stream(128, 80, 10);
    REQUIRE(tell(deep) == Told::Change);
    formats.chooseCapture(*formats.offered().back(), 0, 0, V4L2_FIELD_ANY);
    REQUIRE(formats.capture().raw->fourcc != V4L2_PIX_FMT_YUV420);
    SECTION("while CAPTURE streams on") {
        CHECK(formats.giveUpChanges(true));
        CHECK(formats.capture().raw->fourcc == V4L2_PIX_FMT_YUV420);
        CHECK(width() == 96);
        CHECK(formats.stream()->codedWidth == 96);
    }
    SECTION("and if it does not, the client has answered") {
        CHECK_FALSE(formats.giveUpChanges(false));
        CHECK(width() == 128);
    }
}

TEST_CASE_METHOD(H264, "a stream without headers is one of the client's size") {
    formats.headersMissing();
    CHECK(formats.tell() == Told::SameSetup);
    CHECK(formats.stream()->codedWidth == 64);
}

TEST_CASE_METHOD(H264, "CAPTURE tells the colours of the stream, and else those of the client") {
    formats.setColorimetry({.colorspace = V4L2_COLORSPACE_BT2020});
    REQUIRE(tell(stream(96, 80)) == Told::Change);
    CHECK(formats.capture().colorimetry.colorspace == V4L2_COLORSPACE_BT2020);
    const auto number = formats.setUp(Epoch::Stage::SetUp).number;
    auto described = stream(96, 80);
    described.colorimetry.colorspace = V4L2_COLORSPACE_SMPTE170M;
    CHECK(formats.describe(number, described));
    CHECK(formats.capture().colorimetry.colorspace == V4L2_COLORSPACE_SMPTE170M);
    CHECK_FALSE(formats.describe(number + 1, described));
}
