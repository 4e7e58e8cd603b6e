// CAPTURE's formats: before and after the headers, exact and reduced.
#include <catch2/catch.hpp>
#include <string>

#include "daedalus/v4l2/formats.h"
#include "src/codec/fake/fake_decoder.h"
#include "tests/support/v4l2_client.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

using Fourccs = std::vector<uint32_t>;
const Fourccs k420 = onNode({V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_NV12M, V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_YUV420M});

Fourccs operator+(Fourccs all, const Fourccs& more) {
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

Fourccs listed(V4l2Client& client) {
    Fourccs fourccs;
    v4l2_fmtdesc desc{};
    desc.type = kCapture;
    for (; client.ioctl(VIDIOC_ENUM_FMT, &desc) == 0; ++desc.index) fourccs.push_back(desc.pixelformat);
    return fourccs;
}

uint32_t captureFourcc(V4l2Client& client) { return client.format(kCapture).fmt.pix_mp.pixelformat; }

/// A client whose OUTPUT has streamed `header` and whose event tells of it.
void feedHeader(V4l2Client& client, const std::string& header) {
    REQUIRE(client.subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0);
    REQUIRE(client.request(kOutput, 2) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    REQUIRE(client.feed(0, header) == 0);
    const auto event = client.event();
    REQUIRE(event);
    CHECK(event->type == V4L2_EVENT_SOURCE_CHANGE);
}

void setUpCapture(V4l2Client& client) {
    REQUIRE(client.request(kCapture, 3) == 0);
    for (uint32_t i = 0; i < 3; ++i) REQUIRE(client.queue(i) == 0);
    REQUIRE(client.streamOn(kCapture) == 0);
}

int32_t told(V4l2Client& client, uint32_t id) {
    int32_t value = -1;
    CHECK(client.getControl(id, value) == 0);
    return value;
}

/// A libavcodec that was built without most of its decoders.
class FewCodecs final : public codec::Factory {
public:
    explicit FewCodecs(std::vector<v4l2::Codec> codecs) : codecs_(std::move(codecs)) {}
    bool supports(v4l2::Codec codec) const override { return std::ranges::find(codecs_, codec) != codecs_.end(); }
    const char* decoderName(v4l2::Codec codec) const override { return supports(codec) ? inner_->decoderName(codec) : nullptr; }
    Result<std::unique_ptr<codec::Decoder>> open(v4l2::Codec codec, const codec::DecoderOptions& options) override {
        return inner_->open(codec, options);
    }

private:
    std::vector<v4l2::Codec> codecs_;
    std::unique_ptr<codec::Factory> inner_ = codec::makeFakeFactory();
};

}  // namespace

TEST_CASE("S1: a codec that this libavcodec lacks is not offered") {
    TestNode node(std::make_unique<FewCodecs>(std::vector{v4l2::Codec::Vp8, v4l2::Codec::Mpeg2}));
    V4l2Client client(node);
    Fourccs fourccs;
    v4l2_fmtdesc desc{};
    desc.type = kOutput;
    for (; client.ioctl(VIDIOC_ENUM_FMT, &desc) == 0; ++desc.index) fourccs.push_back(desc.pixelformat);
    CHECK(fourccs == Fourccs{V4L2_PIX_FMT_VP8, V4L2_PIX_FMT_MPEG2});
    CHECK(client.format(kOutput).fmt.pix_mp.pixelformat == V4L2_PIX_FMT_VP8);
    // Neither one of the list nor one that S_FMT alone takes.
    for (const uint32_t lacking : {V4L2_PIX_FMT_H264, V4L2_PIX_FMT_MJPEG}) {
        REQUIRE(client.setFormat(kOutput, lacking, 64, 48) == 0);
        CHECK(client.format(kOutput).fmt.pix_mp.pixelformat == V4L2_PIX_FMT_VP8);
        v4l2_frmsizeenum sizes{};
        sizes.pixel_format = lacking;
        CHECK(client.ioctl(VIDIOC_ENUM_FRAMESIZES, &sizes) == EINVAL);
    }
    CHECK(client.setFormat(kOutput, V4L2_PIX_FMT_MPEG2, 64, 48) == 0);
    feedHeader(client, "size 64x48\n");
}

TEST_CASE("S2: before the headers ENUM_FMT(CAPTURE) lists what streams of the coded format can need") {
    TestNode node;
    V4l2Client client(node);
    const auto has = [](const Fourccs& fourccs, uint32_t fourcc) {
        return std::ranges::find(fourccs, fourcc) != fourccs.end();
    };
    const auto listedFor = [&](uint32_t coded) {
        REQUIRE(client.setFormat(kOutput, coded, 64, 48) == 0);
        const auto fourccs = listed(client);
        // What any client knows stands first.
        CHECK(Fourccs(fourccs.begin(), fourccs.begin() + static_cast<ptrdiff_t>(k420.size())) == k420);
        CHECK(captureFourcc(client) == V4L2_PIX_FMT_NV12);
        return fourccs;
    };
    CHECK(listedFor(V4L2_PIX_FMT_VP8) == k420);
    const auto h264 = listedFor(V4L2_PIX_FMT_H264);
    CHECK(has(h264, V4L2_PIX_FMT_P010));
    CHECK(has(h264, V4L2_PIX_FMT_Y210));
    CHECK_FALSE(has(h264, V4L2_PIX_FMT_P012));
    CHECK_FALSE(has(h264, V4L2_PIX_FMT_YUV411P));
    const auto hevc = listedFor(V4L2_PIX_FMT_HEVC);
    for (const uint32_t fourcc : {V4L2_PIX_FMT_P010, V4L2_PIX_FMT_P012, V4L2_PIX_FMT_NV16, V4L2_PIX_FMT_Y212, V4L2_PIX_FMT_NV24,
                                  V4L2_PIX_FMT_YUV48_12, V4L2_PIX_FMT_GREY, V4L2_PIX_FMT_Y10, V4L2_PIX_FMT_RGB24})
        CHECK(has(hevc, fourcc));
    CHECK(has(listedFor(V4L2_PIX_FMT_MJPEG), V4L2_PIX_FMT_YUV411P));
    // What is listed can be set.
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_HEVC, 64, 48) == 0);
    for (const uint32_t fourcc : hevc) {
        CHECK(client.setFormat(kCapture, fourcc, 64, 48) == 0);
        CHECK(captureFourcc(client) == fourcc);
    }
}

TEST_CASE("S2: after the headers ENUM_FMT(CAPTURE) lists what fits the stream, the exact formats first") {
    struct Case {
        const char* stream;
        Fourccs formats;
    };
    const Case each = GENERATE(values<Case>({
        {"", k420},
        {"depth 10", Fourccs{V4L2_PIX_FMT_P010} + k420},
        {"depth 12", onNode({V4L2_PIX_FMT_P012, V4L2_PIX_FMT_P012M}) + k420},
        {"chroma 422", onNode({V4L2_PIX_FMT_NV16, V4L2_PIX_FMT_NV16M, V4L2_PIX_FMT_YUV422P, V4L2_PIX_FMT_YUV422M})},
        {"depth 10 chroma 444", onNode({V4L2_PIX_FMT_YUV48_12, V4L2_PIX_FMT_NV24, V4L2_PIX_FMT_YUV444M})},
        {"chroma 440", onNode({V4L2_PIX_FMT_NV24, V4L2_PIX_FMT_YUV444M})},
        {"chroma 411", {V4L2_PIX_FMT_YUV411P}},
        {"depth 12 chroma mono", {V4L2_PIX_FMT_Y12, V4L2_PIX_FMT_Y012, V4L2_PIX_FMT_GREY}},
        {"chroma rgb", {V4L2_PIX_FMT_RGB24, V4L2_PIX_FMT_BGR24, V4L2_PIX_FMT_XBGR32}},
    }));
    CAPTURE(each.stream);
    TestNode node;
    V4l2Client client(node);
    feedHeader(client, std::string("size 64x48 ") + each.stream + "\nframe 0 I\n");
    CHECK(listed(client) == each.formats);
    CHECK(captureFourcc(client) == each.formats.front());
    for (const uint32_t fourcc : each.formats) {
        CHECK(client.setFormat(kCapture, fourcc, 0, 0) == 0);
        CHECK(captureFourcc(client) == fourcc);
        v4l2_frmsizeenum sizes{};
        sizes.pixel_format = fourcc;
        CHECK(client.ioctl(VIDIOC_ENUM_FRAMESIZES, &sizes) == 0);
    }
    // What does not fit becomes the exact default.
    CHECK(client.setFormat(kCapture, V4L2_PIX_FMT_Y16, 0, 0) == 0);
    CHECK(captureFourcc(client) == each.formats.front());
    setUpCapture(client);
    const auto frame = client.await(kCapture);
    CHECK(frame.error == 0);
    CHECK_FALSE(frame.buffer.flags & V4L2_BUF_FLAG_ERROR);
}

TEST_CASE("S2: a change of depth or sampling changes the list, as its event tells") {
    TestNode node;
    V4l2Client client(node);
    feedHeader(client, "size 64x48\n");
    setUpCapture(client);
    REQUIRE(client.feed(1, "frame 0 I\nsize 64x48 depth 10\nframe 1 I\n") == 0);
    REQUIRE(client.await(kCapture).error == 0);
    REQUIRE(client.event());
    CHECK(listed(client).front() == V4L2_PIX_FMT_P010);
    Taken last;
    do {
        last = client.await(kCapture);
        REQUIRE((last.error == 0 || last.error == EPIPE));
    } while (last.error == 0);
    REQUIRE(client.streamOff(kCapture) == 0);
    REQUIRE(client.request(kCapture, 0) == 0);
    setUpCapture(client);
    REQUIRE(client.await(kCapture).error == 0);
    REQUIRE(client.await(kOutput).error == 0);
    REQUIRE(client.await(kOutput).error == 0);
    REQUIRE(client.feed(0, "size 64x48 chroma 422\nframe 2 I\n") == 0);
    REQUIRE(client.event());
    CHECK(listed(client).front() == V4L2_PIX_FMT_NV16);
}

TEST_CASE("the node tells what the decoder's frames are made of") {
    TestNode node;
    V4l2Client client(node);
    CHECK(told(client, V4L2_CID_DAEDALUS_STREAM_BIT_DEPTH) == 0);
    CHECK(told(client, V4L2_CID_DAEDALUS_STREAM_CHROMA) == static_cast<int32_t>(v4l2::Chroma::Other));
    feedHeader(client, "size 64x48 depth 10 chroma 440\n");
    CHECK(told(client, V4L2_CID_DAEDALUS_STREAM_BIT_DEPTH) == 10);
    CHECK(told(client, V4L2_CID_DAEDALUS_STREAM_CHROMA) == static_cast<int32_t>(v4l2::Chroma::Yuv440));
    v4l2_querymenu item{};
    item.id = V4L2_CID_DAEDALUS_STREAM_CHROMA;
    item.index = static_cast<uint32_t>(v4l2::Chroma::Yuv440);
    REQUIRE(client.ioctl(VIDIOC_QUERYMENU, &item) == 0);
    CHECK(std::string(reinterpret_cast<const char*>(item.name)) == "4:4:0");
    v4l2_control control{V4L2_CID_DAEDALUS_STREAM_BIT_DEPTH, 8};
    CHECK(client.ioctl(VIDIOC_S_CTRL, &control) == EACCES);
}

TEST_CASE("fewer bits come only to a client that chose them: the high ones") {
    TestNode node;
    V4l2Client client(node);
    // Chosen before the stream is known or after it; in the first case another sampling, of which the depth stays.
    const uint32_t early = GENERATE(uint32_t{V4L2_PIX_FMT_NV12}, uint32_t{V4L2_PIX_FMT_YUV422P}, uint32_t{0});
    if (early != 0) REQUIRE(client.setFormat(kCapture, early, 64, 48) == 0);
    feedHeader(client, "size 64x48 depth 10\nframe 5 I\n");
    CHECK(captureFourcc(client) == (early == 0 ? V4L2_PIX_FMT_P010 : V4L2_PIX_FMT_NV12));
    if (early == 0) REQUIRE(client.setFormat(kCapture, V4L2_PIX_FMT_NV12, 64, 48) == 0);
    setUpCapture(client);
    const auto frame = client.await(kCapture);
    REQUIRE(frame.error == 0);
    const unsigned char* pixels = client.pixels(frame.buffer.index);
    for (uint32_t x = 0; x < 64; ++x) {
        CHECK(pixels[64 * 7 + x] == codec::fake::fakeSample(5, 0, x, 7, 10) >> 2);
        CHECK(pixels[64 * 48 + 64 * 3 + x] == codec::fake::fakeSample(5, 1 + x % 2, x / 2, 3, 10) >> 2);
    }
    CHECK(client.setFormat(kCapture, V4L2_PIX_FMT_P010, 64, 48) == EBUSY);
    REQUIRE(client.streamOff(kCapture) == 0);
    REQUIRE(client.request(kCapture, 0) == 0);
    CHECK(client.setFormat(kCapture, V4L2_PIX_FMT_P010, 64, 48) == 0);
    CHECK(captureFourcc(client) == V4L2_PIX_FMT_P010);
}

TEST_CASE("pictures that no V4L2 format holds fail both queues") {
    const auto stream = GENERATE(as<std::string>{}, "chroma other", "depth 14", "depth 14 chroma 444");
    TestNode node;
    V4l2Client client(node);
    REQUIRE(client.request(kOutput, 1) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    setUpCapture(client);
    REQUIRE(client.feed(0, "size 64x48 " + stream + "\nframe 0 I\n") == 0);
    REQUIRE(client.file().poll(POLLIN | POLLOUT, kPatienceMs) & POLLERR);
    CHECK(client.take(kOutput).error == EIO);
    CHECK(client.take(kCapture).error == EIO);
}
