// What CAPTURE tells of a stream beside its size: fields, colours, the shape of a pixel.
#include <catch2/catch.hpp>
#include <string>

#include "decoding.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

v4l2_pix_format_mplane capture(V4l2Client& client) { return client.format(kCapture).fmt.pix_mp; }

}  // namespace

TEST_CASE("frames of interlaced streams have the field order of the stream, and so has the format") {
    struct Case {
        std::string headers;
        uint32_t field;
    };
    const auto [headers, field] =
        GENERATE(Case{"size 64x48\n", V4L2_FIELD_NONE}, Case{"size 64x48 interlaced\n", V4L2_FIELD_INTERLACED_TB},
                 Case{"size 64x48 interlaced bottom\n", V4L2_FIELD_INTERLACED_BT});
    Decoding decoding(headers);
    auto& client = decoding.client;
    CHECK(capture(client).field == field);
    decoding.feed("frame 0\ndamage it\n");
    CHECK(decoding.expectFrame(0).buffer.field == field);
    // A buffer that says only that something was damaged, and one that is the end, belong to the stream too.
    const auto damaged = client.await(kCapture);
    CHECK(damaged.buffer.flags & V4L2_BUF_FLAG_ERROR);
    CHECK(damaged.buffer.field == field);
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    const auto last = client.await(kCapture);
    CHECK(last.buffer.flags & V4L2_BUF_FLAG_LAST);
    CHECK(last.buffer.field == field);
}

TEST_CASE("a stream that turns its fields around goes on without a source change") {
    Decoding decoding("size 64x48 interlaced\n");
    auto& client = decoding.client;
    decoding.feed("frame 0\nsize 64x48 interlaced bottom\nframe 1\n");
    CHECK(decoding.expectFrame(0).buffer.field == V4L2_FIELD_INTERLACED_TB);
    CHECK(decoding.expectFrame(1).buffer.field == V4L2_FIELD_INTERLACED_BT);
    CHECK(capture(client).field == V4L2_FIELD_INTERLACED_BT);
    CHECK_FALSE(client.event(0));
}

TEST_CASE("a client whose word for both orders is INTERLACED reads it back, and its buffers tell the order") {
    Decoding decoding("size 64x48 interlaced bottom\n");
    auto& client = decoding.client;
    REQUIRE(client.streamOff(kCapture) == 0);
    REQUIRE(client.request(kCapture, 0) == 0);
    auto format = client.format(kCapture);
    CHECK(format.fmt.pix_mp.field == V4L2_FIELD_INTERLACED_BT);
    for (const unsigned long call : {VIDIOC_TRY_FMT, VIDIOC_S_FMT}) {
        format.fmt.pix_mp.field = V4L2_FIELD_INTERLACED;
        REQUIRE(client.ioctl(call, &format) == 0);
        CHECK(format.fmt.pix_mp.field == V4L2_FIELD_INTERLACED);
    }
    CHECK(capture(client).field == V4L2_FIELD_INTERLACED);
    decoding.setUpCapture(4);
    decoding.feed("frame 0\n");
    CHECK(decoding.expectFrame(0).buffer.field == V4L2_FIELD_INTERLACED_BT);
    // Of progressive pictures nothing can make interlaced ones.
    decoding.feed("size 64x48\nframe 1\n");
    decoding.sourceChange();
    CHECK(capture(client).field == V4L2_FIELD_NONE);
}

TEST_CASE("before the headers CAPTURE repeats the field that the client knows of") {
    TestNode node;
    V4l2Client client(node);
    for (const uint32_t field : {V4L2_FIELD_INTERLACED, V4L2_FIELD_INTERLACED_BT, V4L2_FIELD_NONE}) {
        auto format = client.format(kOutput);
        format.fmt.pix_mp.field = field;
        REQUIRE(client.ioctl(VIDIOC_S_FMT, &format) == 0);
        CHECK(format.fmt.pix_mp.field == field);
        CHECK(capture(client).field == field);
    }
    auto format = client.format(kOutput);
    format.fmt.pix_mp.field = V4L2_FIELD_SEQ_TB;
    REQUIRE(client.ioctl(VIDIOC_S_FMT, &format) == 0);
    CHECK(format.fmt.pix_mp.field == V4L2_FIELD_NONE);
}

TEST_CASE("S5: of colours CAPTURE tells what the stream says, and for the rest what the client said") {
    Subscribed subscribed;
    auto& client = subscribed.client;
    auto format = client.format(kOutput);
    format.fmt.pix_mp.colorspace = V4L2_COLORSPACE_SMPTE170M;
    format.fmt.pix_mp.xfer_func = V4L2_XFER_FUNC_SRGB;
    format.fmt.pix_mp.quantization = V4L2_QUANTIZATION_LIM_RANGE;
    REQUIRE(client.ioctl(VIDIOC_S_FMT, &format) == 0);
    subscribed.startOutput("size 64x48 range 1\n");
    subscribed.sourceChange();
    CHECK(capture(client).colorspace == V4L2_COLORSPACE_SMPTE170M);
    CHECK(capture(client).xfer_func == V4L2_XFER_FUNC_SRGB);
    CHECK(capture(client).quantization == V4L2_QUANTIZATION_FULL_RANGE);
    // What the client says later does not override the stream.
    format.fmt.pix_mp.colorspace = V4L2_COLORSPACE_BT2020;
    REQUIRE(client.ioctl(VIDIOC_S_FMT, &format) == 0);
    CHECK(capture(client).colorspace == V4L2_COLORSPACE_BT2020);
    CHECK(capture(client).quantization == V4L2_QUANTIZATION_FULL_RANGE);
    // OUTPUT keeps what was set.
    CHECK(client.format(kOutput).fmt.pix_mp.quantization == V4L2_QUANTIZATION_LIM_RANGE);
}

TEST_CASE("S5: colours that change with a frame are told with it, without a source change") {
    Decoding decoding;
    auto& client = decoding.client;
    decoding.feed("frame 0\n");
    decoding.expectFrame(0);
    CHECK(capture(client).colorspace == V4L2_COLORSPACE_REC709);
    decoding.feed("size 64x48 colorspace " + std::to_string(V4L2_COLORSPACE_BT2020) + " transfer " +
                  std::to_string(V4L2_XFER_FUNC_SMPTE2084) + " matrix " + std::to_string(V4L2_YCBCR_ENC_BT2020) +
                  "\nframe 1\n");
    decoding.expectFrame(1);
    CHECK(capture(client).colorspace == V4L2_COLORSPACE_BT2020);
    CHECK(capture(client).xfer_func == V4L2_XFER_FUNC_SMPTE2084);
    CHECK(capture(client).ycbcr_enc == V4L2_YCBCR_ENC_BT2020);
    CHECK(client.format(kOutput).fmt.pix_mp.xfer_func == V4L2_XFER_FUNC_DEFAULT);
    CHECK_FALSE(client.event(0));
}

TEST_CASE("the shape of a pixel is told by two controls and their events, and may change with a frame") {
    Decoding decoding("size 64x48 crop 2,4,6,8 aspect 12,11\n");
    auto& client = decoding.client;
    const auto pixel = [&client] {
        std::pair<int32_t, int32_t> shape;
        CHECK(client.getControl(V4L2_CID_DAEDALUS_PIXEL_WIDTH, shape.first) == 0);
        CHECK(client.getControl(V4L2_CID_DAEDALUS_PIXEL_HEIGHT, shape.second) == 0);
        return shape;
    };
    // As all drivers of decoders answer, whatever the stream's pixels are: GStreamer intersects it with what containers say.
    const auto cropcap = [&client] {
        v4l2_cropcap cap{};
        cap.type = kCapture;
        REQUIRE(client.ioctl(VIDIOC_CROPCAP, &cap) == 0);
        return cap;
    };
    CHECK(cropcap().pixelaspect.numerator == 1);
    CHECK(cropcap().pixelaspect.denominator == 1);
    CHECK(pixel() == std::pair(12, 11));
    CHECK(cropcap().bounds.width == 64);
    CHECK(cropcap().defrect.left == 2);
    CHECK(cropcap().defrect.top == 4);
    CHECK(cropcap().defrect.width == 56);
    CHECK(cropcap().defrect.height == 36);
    // Of a shape that is none nothing is told.
    decoding.feed("size 64x48 crop 2,4,6,8 aspect 1,0\nframe 0\n");
    decoding.expectFrame(0);
    CHECK(pixel() == std::pair(1, 1));
    CHECK_FALSE(client.event(0));
    REQUIRE(client.subscribe(V4L2_EVENT_CTRL, V4L2_CID_DAEDALUS_PIXEL_WIDTH) == 0);
    decoding.feed("size 64x48 crop 2,4,6,8 aspect 16,11\nframe 1\n");
    decoding.expectFrame(1);
    CHECK(pixel() == std::pair(16, 11));
    const auto event = client.event();
    REQUIRE(event);
    CHECK(event->type == V4L2_EVENT_CTRL);
    CHECK(event->u.ctrl.value == 16);
    CHECK(cropcap().pixelaspect.numerator == cropcap().pixelaspect.denominator);
}
