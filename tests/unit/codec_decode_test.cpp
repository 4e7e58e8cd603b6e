// libavcodec behind codec::Decoder: pixels, headers, tags, drain and flush.
#include <algorithm>
#include <array>
#include <bit>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>

#include "codec_support.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr v4l2::Codec kCodecs[] = {v4l2::Codec::H264, v4l2::Codec::Hevc,  v4l2::Codec::Vp8,   v4l2::Codec::Vp9,
                                   v4l2::Codec::Av1,  v4l2::Codec::Mpeg2, v4l2::Codec::Mpeg1, v4l2::Codec::Mpeg4,
                                   v4l2::Codec::Xvid, v4l2::Codec::H263,  v4l2::Codec::Flv1,  v4l2::Codec::Mjpeg};

std::unique_ptr<codec::Decoder> openDecoder(v4l2::Codec codec, unsigned threads = 1) {
    auto factory = codec::makeFfmpegFactory();
    REQUIRE(factory->supports(codec));
    auto decoder = factory->open(codec, {.threads = threads});
    REQUIRE(decoder);
    return std::move(*decoder);
}

void checkStream(const SynthStream& stream, unsigned threads = 1) {
    auto decoder = openDecoder(stream.codec, threads);
    const auto buffers = buffersOf(stream);
    REQUIRE(decoder->send(buffers.front(), 0));
    const auto headers = decoder->headers();
    Output output;
    receiveAll(*decoder, output);
    for (size_t i = 1; i < buffers.size(); ++i) {
        REQUIRE(decoder->send(buffers[i], i));
        receiveAll(*decoder, output);
    }
    REQUIRE(decoder->drain());
    receiveAll(*decoder, output);
    CHECK(output.ended);
    CHECK(output.error == 0);
    CHECK(output.damaged.empty());
    CHECK(output.md5s() == stream.frameMd5);
    REQUIRE(headers);
    REQUIRE_FALSE(output.frames.empty());
    CHECK(headers->sameSetup(output.frames.front()->format()));
    CHECK(headers->visible.width == stream.width);
    CHECK(headers->visible.height == stream.height);
    for (const auto& frame : output.frames) {
        CHECK_FALSE(frame->damaged());
        CHECK(frame->format().sameSetup(*headers));
        CHECK(frame->tag() < buffers.size());
    }
}

/// How many units a decoder takes until it gives a frame.
size_t unitsUntilFrame(const SynthStream& stream, unsigned threads) {
    auto decoder = openDecoder(stream.codec, threads);
    Output output;
    size_t units = 0;
    while (output.frames.empty() && units < stream.units.size()) {
        REQUIRE(decoder->send(stream.units[units].bytes, units));
        ++units;
        receiveAll(*decoder, output);
    }
    return units;
}

/// With a message in each unit, before its first picture data, that asks for film grain: two intensities of it, luma and Cb.
SynthStream withFilmGrain(SynthStream stream) {
    BitWriter out;
    const auto wide = [&](uint32_t value) {  // se(v) of a value above zero
        const auto code = 2 * value;
        const auto length = static_cast<unsigned>(std::bit_width(code));
        out.bits(code, 2 * length - 1);
    };
    out.bits(0b0'00'0'00'0010'110, 13);  // frequency filtering, additive, scale, components
    for (int component = 0; component < 2; ++component) {
        out.bits(1, 8);
        out.bits(2, 3);
        for (const uint32_t from : {0U, 128U}) {
            out.bits(from, 8);
            out.bits(from + 127, 8);
            for (const uint32_t value : {100U, 8U, 8U}) wide(value);
        }
    }
    out.bits(1, 1);  // holds for the sequence; as H.264's ue(v) for this picture
    out.bits(1, 1);
    const auto payload = out.bytes();
    const bool hevc = stream.codec == v4l2::Codec::Hevc;
    std::vector<uint8_t> unit = {0, 0, 1, static_cast<uint8_t>(hevc ? 39 << 1 : 6)};
    if (hevc) unit.push_back(1);
    unit.insert(unit.end(), {19, static_cast<uint8_t>(payload.size())});
    unit.insert(unit.end(), payload.begin(), payload.end());
    unit.push_back(0x80);
    for (auto& [bytes, key] : stream.units) {
        const auto code = std::array{std::byte{0}, std::byte{0}, std::byte{1}};
        auto at = bytes.begin();
        for (;;) {
            at = std::search(at, bytes.end(), code.begin(), code.end());
            REQUIRE(bytes.end() - at > 4);
            const auto type = std::to_integer<unsigned>(at[3]);
            if (hevc ? (type >> 1) < 32 : (type & 31) == 1 || (type & 31) == 5) break;
            at += 3;
        }
        const auto* const begin = reinterpret_cast<const std::byte*>(unit.data());
        bytes.insert(at, begin, begin + unit.size());
    }
    stream.frameMd5 = referenceMd5(stream.codec, stream.units);
    return stream;
}

}  // namespace

TEST_CASE("every codec gives libavcodec's own frames") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    const unsigned threads = GENERATE(1U, 3U);
    CAPTURE(v4l2::findCoded(codec)->name, threads);
    // H.263 counts in fours.
    const uint32_t more = codec == v4l2::Codec::H263 ? 2 : 0;
    const auto stream = synth(codec, 178 + more, 98 + more, 12, {.bframes = 2, .gop = 6});
    if (!stream) return skipWithoutEncoder();
    REQUIRE(stream->frameMd5.size() == 12);
    checkStream(*stream, threads);
}

TEST_CASE("odd sizes") {
    const v4l2::Codec codec = GENERATE(v4l2::Codec::Vp8, v4l2::Codec::Vp9, v4l2::Codec::Av1, v4l2::Codec::Mpeg4,
                                       v4l2::Codec::Flv1, v4l2::Codec::Mjpeg);
    const auto stream = synth(codec, 67, 35, 3);
    if (!stream) return skipWithoutEncoder();
    checkStream(*stream);
    auto decoder = openDecoder(codec);
    const Output output = decodeAll(*decoder, buffersOf(*stream));
    REQUIRE_FALSE(output.frames.empty());
    CHECK(output.frames[0]->format().codedWidth == 68);
    CHECK(output.frames[0]->format().codedHeight == 36);
    CHECK(output.frames[0]->format().visible == v4l2::Rect{0, 0, 67, 35});
}

TEST_CASE("sizes below the smallest node size are rounded up to it, and the visible part is the stream's") {
    const auto [width, height] = GENERATE(table<uint32_t, uint32_t>({{1, 1}, {1, 10}, {8, 1}, {2, 2}, {8, 10}}));
    CAPTURE(width, height);
    const auto stream = synth(v4l2::Codec::Vp9, width, height, 3);
    if (!stream) return skipWithoutEncoder();
    checkStream(*stream);
    auto decoder = openDecoder(v4l2::Codec::Vp9);
    const Output output = decodeAll(*decoder, buffersOf(*stream));
    REQUIRE_FALSE(output.frames.empty());
    CHECK(output.frames[0]->format().codedWidth == std::max(width, 2U));
    CHECK(output.frames[0]->format().codedHeight == std::max(height, 2U));
    CHECK(output.frames[0]->format().visible == v4l2::Rect{0, 0, width, height});
}

TEST_CASE("crops on all four sides are exact") {
    const v4l2::Codec codec = GENERATE(v4l2::Codec::H264, v4l2::Codec::Hevc);
    const auto stream = synth(codec, 192, 112, 4, {.bframes = 1, .crop = {6, 4, 10, 2}});
    if (!stream) return skipWithoutEncoder();
    checkStream(*stream);
    auto decoder = openDecoder(codec);
    REQUIRE(decoder->send(stream->units[0].bytes, 0));
    const auto headers = decoder->headers();
    REQUIRE(headers);
    CHECK(headers->visible == v4l2::Rect{6, 4, 176, 106});
    CHECK(headers->codedWidth == 192);
    CHECK(headers->codedHeight == 112);
}

TEST_CASE("ten bits") {
    const v4l2::Codec codec = GENERATE(v4l2::Codec::H264, v4l2::Codec::Hevc, v4l2::Codec::Vp9, v4l2::Codec::Av1);
    const auto stream = synth(codec, 130, 66, 4, {.bitDepth = 10});
    if (!stream) return skipWithoutEncoder();
    checkStream(*stream);
}

TEST_CASE("interlaced") {
    const v4l2::Codec codec = GENERATE(v4l2::Codec::H264, v4l2::Codec::Mpeg2, v4l2::Codec::Mpeg4);
    const auto stream = synth(codec, 192, 128, 6, {.bframes = 1, .interlaced = true});
    if (!stream) return skipWithoutEncoder();
    checkStream(*stream);
    auto decoder = openDecoder(codec);
    REQUIRE(decoder->send(stream->units[0].bytes, 0));
    REQUIRE(decoder->headers());
    CHECK(decoder->headers()->interlaced);
}

TEST_CASE("film grain is what one thread puts on the pictures") {
    const v4l2::Codec codec = GENERATE(v4l2::Codec::H264, v4l2::Codec::Hevc);
    CAPTURE(v4l2::findCoded(codec)->name);
    const auto plain = synth(codec, 176, 144, 8, {.gop = 4});
    if (!plain) return skipWithoutEncoder();
    const auto grained = withFilmGrain(*plain);
    CHECK(grained.frameMd5.size() == plain->frameMd5.size());
    CHECK(grained.frameMd5 != plain->frameMd5);
    constexpr unsigned kThreads = 4;
    checkStream(grained, kThreads);
    // Frame threads put it on pictures that are not whole yet, now and then. They would show by their delay, beside that of a
    // first unit, which waits for the second.
    CHECK(unitsUntilFrame(*plain, kThreads) == 1 + kThreads);
    CHECK(unitsUntilFrame(grained, kThreads) == 1 + 1);
}

TEST_CASE("each raw format that fits holds the same samples") {
    const auto chroma = GENERATE(v4l2::Chroma::Yuv420, v4l2::Chroma::Yuv422, v4l2::Chroma::Yuv444);
    const v4l2::Codec codec = GENERATE(v4l2::Codec::H264, v4l2::Codec::Mjpeg);
    const auto stream = synth(codec, 98, 50, 2, {.chroma = chroma});
    if (!stream) return skipWithoutEncoder();
    checkStream(*stream);
    auto decoder = openDecoder(stream->codec);
    const Output output = decodeAll(*decoder, buffersOf(*stream));
    REQUIRE(output.frames.size() == stream->frameMd5.size());
    const auto formats = formatsFor(output.frames[0]->format());
    CHECK(formats.size() >= 2);
    for (const v4l2::RawFormat* raw : formats) CHECK(frameMd5(*output.frames[0], *raw) == stream->frameMd5[0]);
}

TEST_CASE("a target that does not fit is refused") {
    const auto stream = synth(v4l2::Codec::Mpeg2, 64, 48, 1);
    if (!stream) return skipWithoutEncoder();
    auto decoder = openDecoder(stream->codec);
    const Output output = decodeAll(*decoder, buffersOf(*stream));
    REQUIRE(output.frames.size() == 1);
    const codec::Frame& frame = *output.frames[0];
    const v4l2::RawFormat& nv12 = *v4l2::findRaw(V4L2_PIX_FMT_NV12);

    CaptureMemory good(nv12, 64, 48);
    CHECK(frame.copyTo(good.target));
    CaptureMemory size(nv12, 80, 48);
    CHECK_FALSE(frame.copyTo(size.target));
    for (const uint32_t other : {V4L2_PIX_FMT_P010, V4L2_PIX_FMT_NV16, V4L2_PIX_FMT_GREY, V4L2_PIX_FMT_RGB24}) {
        CaptureMemory depth(*v4l2::findRaw(other), 64, 48);
        CHECK_FALSE(frame.copyTo(depth.target));
    }
    CaptureMemory small(nv12, 64, 48);
    small.target.planes[0] = small.target.planes[0].first(small.planes[0].size() - 1);
    CHECK_FALSE(frame.copyTo(small.target));
    CaptureMemory offset(nv12, 64, 48);
    offset.target.layout.component[1].offset = SIZE_MAX - 8;
    CHECK_FALSE(frame.copyTo(offset.target));
    CaptureMemory stride(nv12, 64, 48);
    stride.target.layout.component[0].stride = 32;
    CHECK_FALSE(frame.copyTo(stride.target));
}

TEST_CASE("tags come back in display order, each once") {
    const auto stream = synth(v4l2::Codec::H264, 64, 64, 12, {.bframes = 2, .gop = 12});
    if (!stream) return skipWithoutEncoder();
    auto decoder = openDecoder(stream->codec, GENERATE(1U, 3U));
    const Output output = decodeAll(*decoder, buffersOf(*stream));
    std::set<uint64_t> tags;
    for (const auto& frame : output.frames) tags.insert(frame->tag());
    CHECK(tags.size() == 12);
    CHECK(output.frames.front()->tag() == 0);
    CHECK(output.frames.front()->pictureType() == codec::PictureType::Key);
    // With two B pictures between, the second frame shown is not the second one sent.
    CHECK(output.frames[1]->tag() != 1);
    CHECK(output.frames[1]->pictureType() == codec::PictureType::B);
}

TEST_CASE("after drain and flush the decoder goes on") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    CAPTURE(v4l2::findCoded(codec)->name);
    const auto stream = synth(codec, 96, 64, 6, {.bframes = 1, .gop = 6});
    if (!stream) return skipWithoutEncoder();
    auto decoder = openDecoder(codec, GENERATE(1U, 3U));
    for (int round = 0; round < 3; ++round) {
        const Output output = decodeAll(*decoder, buffersOf(*stream));
        CHECK(output.ended);
        CHECK(output.md5s() == stream->frameMd5);
        CHECK_FALSE(decoder->send(stream->units[0].bytes, 0));
        decoder->flush();
    }
    // Without a drain: the frames under way are gone, no frame of before comes out.
    auto some = buffersOf(*stream);
    some.resize(3);
    decodeAll(*decoder, some, false);
    decoder->flush();
    CHECK(decodeAll(*decoder, buffersOf(*stream)).md5s() == stream->frameMd5);
}

TEST_CASE("after a drain anywhere the decoder goes on with its references") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    const unsigned threads = GENERATE(1U, 3U);
    const size_t piece = GENERATE(1U, 2U, 5U, 7U);
    CAPTURE(v4l2::findCoded(codec)->name, threads, piece);
    const auto stream = synth(codec, 96, 64, 23, {.bframes = 2, .gop = 9});
    if (!stream) return skipWithoutEncoder();
    const auto buffers = buffersOf(*stream);
    const auto byTag = [](const Output& output) {
        std::map<uint64_t, std::string> md5s;
        const auto all = output.md5s();
        for (size_t i = 0; i < all.size(); ++i) md5s.emplace(output.frames[i]->tag(), all[i]);
        return md5s;
    };
    const auto whole = decodeAll(*openDecoder(codec, threads), buffers);

    auto decoder = openDecoder(codec, threads);
    Output output;
    for (size_t i = 0; i < buffers.size(); ++i) {
        REQUIRE(decoder->send(buffers[i], i));
        receiveAll(*decoder, output);
        if ((i + 1) % piece != 0 && i + 1 != buffers.size()) continue;
        REQUIRE(decoder->drain());
        receiveAll(*decoder, output);
        CHECK(output.ended);
        decoder->resume();
    }
    CHECK(output.damaged.empty());
    CHECK(output.frames.size() == whole.frames.size());
    CHECK(byTag(output) == byTag(whole));
}

TEST_CASE("a change of size in the middle") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    const unsigned threads = GENERATE(1U, 3U);
    CAPTURE(v4l2::findCoded(codec)->name, threads);
    const auto first = synth(codec, 96, 64, 5, {.bframes = 1});
    const auto second = synth(codec, 128, 96, 5, {.bframes = 1, .seed = 9});
    if (!first || !second) return skipWithoutEncoder();
    auto decoder = openDecoder(codec, threads);
    const Output output = decodeAll(*decoder, buffersOf(join(*first, *second)));
    // Also where libavcodec by itself loses the last frame of the old size (MPEG-2).
    auto expected = first->frameMd5;
    expected.insert(expected.end(), second->frameMd5.begin(), second->frameMd5.end());
    CHECK(output.md5s() == expected);
}

TEST_CASE("damage is told and survived") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    CAPTURE(v4l2::findCoded(codec)->name);
    const auto stream = synth(codec, 96, 64, 8, {.bframes = 1, .gop = 4});
    if (!stream) return skipWithoutEncoder();
    std::mt19937 random(42);
    for (int round = 0; round < 30; ++round) {
        auto buffers = buffersOf(*stream);
        for (auto& buffer : buffers) {
            if (random() % 3 == 0) buffer.resize(random() % (buffer.size() + 1));
            for (unsigned flips = random() % 4; flips && !buffer.empty(); --flips)
                buffer[random() % buffer.size()] ^= static_cast<std::byte>(1U << random() % 8);
        }
        auto decoder = openDecoder(codec, round % 2 ? 3 : 1);
        const Output output = decodeAll(*decoder, buffers);
        CHECK(output.error == 0);
        CHECK(output.ended);
        static_cast<void>(output.md5s());
        decoder->resume();
        static_cast<void>(decodeAll(*decoder, buffersOf(*stream)));
    }
}

TEST_CASE("a start that is no key frame gives no wrong frames") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    const auto stream = synth(codec, 96, 64, 8, {.gop = 4});
    if (!stream) return skipWithoutEncoder();
    auto buffers = buffersOf(*stream);
    buffers.erase(buffers.begin());
    auto decoder = openDecoder(codec);
    const Output output = decodeAll(*decoder, buffers);
    CHECK(output.ended);
    CHECK_FALSE(output.frames.empty());
}

TEST_CASE("frames outlive their decoder") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    const auto stream = synth(codec, 96, 64, 4);
    if (!stream) return skipWithoutEncoder();
    Output output;
    {
        auto decoder = openDecoder(codec, 2);
        output = decodeAll(*decoder, buffersOf(*stream));
    }
    CHECK(output.md5s() == stream->frameMd5);
    CHECK(output.frames[0]->digest() != output.frames.back()->digest());
    const char* pixels = codec == v4l2::Codec::Mjpeg ? "yuvj420p" : "yuv420p";
    CHECK(std::string(output.frames[0]->pixelFormatName()) == pixels);
}

TEST_CASE("nothing comes of nothing") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    auto decoder = openDecoder(codec);
    CHECK_FALSE(decoder->headers());
    CHECK(decoder->send({}, 1));
    Output output;
    receiveAll(*decoder, output);
    CHECK_FALSE(output.ended);
    CHECK(decoder->drain());
    receiveAll(*decoder, output);
    CHECK(output.ended);
    CHECK(output.frames.empty());
    decoder->flush();
}
