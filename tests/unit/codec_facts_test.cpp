// What streams say beside their pictures: profile and level, field order, colours, HDR10 metadata.
#include <catch2/catch.hpp>

#include "../../src/codec/bitstream/conformance.h"
#include "../../src/codec/bitstream/hdr10.h"
#include "../../src/codec/bitstream/sei.h"
#include "../../src/codec/bitstream/stream_header.h"
#include "../../src/codec/bitstream/syntax.h"
#include "codec_support.h"

using namespace daedalus;
using namespace daedalus::test;
namespace bitstream = daedalus::codec::bitstream;
using v4l2::Conformance;

namespace {

constexpr int kUnsaid = Conformance::kUnsaid;

/// What the headers said with the first access unit, and what all frames said in the end.
struct Said {
    codec::StreamFormat headers;
    std::vector<codec::StreamFormat> frames;
};

Said decode(const SynthStream& stream) {
    auto decoder = codec::makeFfmpegFactory()->open(stream.codec, {});
    REQUIRE(decoder);
    const auto buffers = buffersOf(stream);
    REQUIRE((*decoder)->send(buffers.front(), 0));
    Said said;
    REQUIRE((*decoder)->headers());
    said.headers = *(*decoder)->headers();
    Output output;
    receiveAll(**decoder, output);
    for (size_t i = 1; i < buffers.size(); ++i) {
        REQUIRE((*decoder)->send(buffers[i], i));
        receiveAll(**decoder, output);
    }
    REQUIRE((*decoder)->drain());
    receiveAll(**decoder, output);
    for (const auto& frame : output.frames) said.frames.push_back(frame->format());
    REQUIRE_FALSE(said.frames.empty());
    return said;
}

/// An SEI message behind its type and size.
void message(BitWriter& out, unsigned type, std::span<const uint32_t> words, unsigned bits) {
    out.bits(type, 8);
    out.bits(static_cast<uint32_t>(words.size() * bits / 8), 8);
    for (const uint32_t word : words) out.bits(word, bits);
}

/// An AV1 temporal unit's OBU with a size field.
std::vector<uint8_t> obu(unsigned type, const std::vector<uint8_t>& payload) {
    std::vector<uint8_t> bytes = {static_cast<uint8_t>(type << 3 | 2), static_cast<uint8_t>(payload.size())};
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    return bytes;
}

}  // namespace

TEST_CASE("profile and level numbers become V4L2's menu items") {
    using namespace bitstream;
    CHECK(h264Conformance(66, 0xC0, 30) ==
          Conformance{V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE, V4L2_MPEG_VIDEO_H264_LEVEL_3_0, kUnsaid});
    CHECK(h264Conformance(77, 0x10, 11).level == V4L2_MPEG_VIDEO_H264_LEVEL_1B);
    CHECK(h264Conformance(100, 0x10, 11).level == V4L2_MPEG_VIDEO_H264_LEVEL_1_1);
    CHECK(h264Conformance(100, 0x0C, 62) ==
          Conformance{V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_HIGH, V4L2_MPEG_VIDEO_H264_LEVEL_6_2, kUnsaid});
    CHECK(h264Conformance(122, 0x10, 41).profile == V4L2_MPEG_VIDEO_H264_PROFILE_HIGH_422_INTRA);
    CHECK(h264Conformance(1, 0, 0) == Conformance{});
    CHECK(hevcConformance(2, true, 153) ==
          Conformance{V4L2_MPEG_VIDEO_HEVC_PROFILE_MAIN_10, V4L2_MPEG_VIDEO_HEVC_LEVEL_5_1, V4L2_MPEG_VIDEO_HEVC_TIER_HIGH});
    CHECK(hevcConformance(4, false, 255).profile == kUnsaid);
    CHECK(mpeg2Conformance(0x48) == Conformance{V4L2_MPEG_VIDEO_MPEG2_PROFILE_MAIN, V4L2_MPEG_VIDEO_MPEG2_LEVEL_MAIN, kUnsaid});
    CHECK(mpeg2Conformance(0x85) == Conformance{});
    CHECK(mpeg4Conformance(0xF7) ==
          Conformance{V4L2_MPEG_VIDEO_MPEG4_PROFILE_ADVANCED_SIMPLE, V4L2_MPEG_VIDEO_MPEG4_LEVEL_3B, kUnsaid});
    CHECK(mpeg4Conformance(0x21) == Conformance{});
    CHECK(vp9Conformance(2, 1920, 1080) == Conformance{V4L2_MPEG_VIDEO_VP9_PROFILE_2, V4L2_MPEG_VIDEO_VP9_LEVEL_4_0, kUnsaid});
    CHECK(vp9Conformance(0, 600, 2).level == V4L2_MPEG_VIDEO_VP9_LEVEL_1_1);
    CHECK(vp9Conformance(0, 8192, 8192).level == V4L2_MPEG_VIDEO_VP9_LEVEL_6_0);
    CHECK(av1Conformance(0, 8).level == 8);
    CHECK(av1Conformance(0, 31).level == kUnsaid);
}

TEST_CASE("profile and level of real streams are known with the headers, and the frames keep them") {
    struct Case {
        v4l2::Codec codec;
        Conformance said;
    };
    // x264 and x265 choose the lowest level, libavcodec's encoders a fixed one.
    const auto [codec, said] =
        GENERATE(Case{v4l2::Codec::H264, {V4L2_MPEG_VIDEO_H264_PROFILE_HIGH, V4L2_MPEG_VIDEO_H264_LEVEL_1_1, kUnsaid}},
                 Case{v4l2::Codec::Hevc,
                      {V4L2_MPEG_VIDEO_HEVC_PROFILE_MAIN, V4L2_MPEG_VIDEO_HEVC_LEVEL_2, V4L2_MPEG_VIDEO_HEVC_TIER_MAIN}},
                 Case{v4l2::Codec::Vp8, {V4L2_MPEG_VIDEO_VP8_PROFILE_0, kUnsaid, kUnsaid}},
                 Case{v4l2::Codec::Vp9, {V4L2_MPEG_VIDEO_VP9_PROFILE_0, V4L2_MPEG_VIDEO_VP9_LEVEL_1_0, kUnsaid}},
                 Case{v4l2::Codec::Av1, {0, 0, kUnsaid}},
                 Case{v4l2::Codec::Mpeg2, {V4L2_MPEG_VIDEO_MPEG2_PROFILE_MAIN, V4L2_MPEG_VIDEO_MPEG2_LEVEL_MAIN, kUnsaid}},
                 Case{v4l2::Codec::Mpeg4, {V4L2_MPEG_VIDEO_MPEG4_PROFILE_SIMPLE, V4L2_MPEG_VIDEO_MPEG4_LEVEL_1, kUnsaid}});
    CAPTURE(v4l2::findCoded(codec)->name);
    const auto stream = synth(codec, 192, 128, 3);
    if (!stream) return skipWithoutEncoder();
    const Said all = decode(*stream);
    CHECK(all.headers.conformance.profile == said.profile);
    CHECK(all.headers.conformance.level == said.level);
    CHECK(all.headers.conformance.tier == said.tier);
    for (const auto& frame : all.frames) CHECK(frame.conformance == all.headers.conformance);
}

TEST_CASE("the field order is known with the headers, and is the frames'") {
    const auto codec = GENERATE(v4l2::Codec::H264, v4l2::Codec::Mpeg2, v4l2::Codec::Mpeg4);
    const bool bottomFirst = GENERATE(false, true);
    CAPTURE(v4l2::findCoded(codec)->name, bottomFirst);
    const auto stream = synth(codec, 192, 128, 5, {.bframes = 1, .interlaced = true, .bottomFirst = bottomFirst});
    if (!stream) return skipWithoutEncoder();
    const Said said = decode(*stream);
    const uint32_t field = bottomFirst ? V4L2_FIELD_INTERLACED_BT : V4L2_FIELD_INTERLACED_TB;
    CHECK(said.headers.field() == field);
    for (const auto& frame : said.frames) CHECK(frame.field() == field);
}

TEST_CASE("colours of the stream are known with the headers, and are the frames'") {
    const auto codec = GENERATE(v4l2::Codec::H264, v4l2::Codec::Hevc, v4l2::Codec::Av1, v4l2::Codec::Mpeg2);
    CAPTURE(v4l2::findCoded(codec)->name);
    const auto stream = synth(codec, 192, 128, 3, {.wideColours = true});
    if (!stream) return skipWithoutEncoder();
    const Said said = decode(*stream);
    CHECK(said.headers.colorimetry.colorspace == V4L2_COLORSPACE_BT2020);
    CHECK(said.headers.colorimetry.xferFunc == V4L2_XFER_FUNC_SMPTE2084);
    CHECK(said.headers.colorimetry.ycbcrEnc == V4L2_YCBCR_ENC_BT2020);
    // MPEG-2 has no full range.
    CHECK(said.headers.colorimetry.quantization ==
          (codec == v4l2::Codec::Mpeg2 ? V4L2_QUANTIZATION_LIM_RANGE : V4L2_QUANTIZATION_FULL_RANGE));
    for (const auto& frame : said.frames) CHECK(frame.colorimetry == said.headers.colorimetry);
}

TEST_CASE("the pixel aspect is known with the headers, and is the frames'") {
    const auto codec = GENERATE(v4l2::Codec::H264, v4l2::Codec::Hevc, v4l2::Codec::Mpeg4);
    const auto [num, den] = GENERATE(std::pair(16U, 11U), std::pair(7U, 5U));  // by name and by numbers
    CAPTURE(v4l2::findCoded(codec)->name, num);
    const auto stream = synth(codec, 192, 128, 3, {.aspectNum = num, .aspectDen = den});
    if (!stream) return skipWithoutEncoder();
    const Said said = decode(*stream);
    CHECK(said.headers.pixelAspectNum == num);
    CHECK(said.headers.pixelAspectDen == den);
    CHECK(said.frames.back().pixelAspectNum == num);
    CHECK(said.frames.back().pixelAspectDen == den);
}

TEST_CASE("VP9 says its matrix and range, VP8 has one matrix") {
    const auto vp9 = synth(v4l2::Codec::Vp9, 192, 128, 3, {.wideColours = true});
    const auto vp8 = synth(v4l2::Codec::Vp8, 192, 128, 3);
    if (!vp9 || !vp8) return skipWithoutEncoder();
    const Said said = decode(*vp9);
    CHECK(said.headers.colorimetry.ycbcrEnc == V4L2_YCBCR_ENC_BT2020);
    CHECK(said.headers.colorimetry.quantization == V4L2_QUANTIZATION_FULL_RANGE);
    CHECK(said.frames.back().colorimetry == said.headers.colorimetry);
    CHECK(decode(*vp8).headers.colorimetry.ycbcrEnc == V4L2_YCBCR_ENC_601);
}

TEST_CASE("HDR10 metadata of H.264 and HEVC") {
    const auto codec = GENERATE(v4l2::Codec::H264, v4l2::Codec::Hevc);
    CAPTURE(v4l2::findCoded(codec)->name);
    const auto with = synth(codec, 192, 128, 5, {.bframes = 1, .gop = 5, .hdr10 = true});
    const auto without = synth(codec, 192, 128, 2, {.gop = 2});
    if (!with || !without) return skipWithoutEncoder();
    const Said said = decode(join(*with, *without));
    const v4l2::Hdr10 hdr10{kSynthLight, kSynthDisplay};
    CHECK(said.headers.hdr10 == hdr10);
    REQUIRE(said.frames.size() == 7);
    for (size_t i = 0; i < 5; ++i) CHECK(said.frames[i].hdr10 == hdr10);
    // Another sequence that says nothing of it has none.
    CHECK(said.frames[5].hdr10 == v4l2::Hdr10{});
}

TEST_CASE("SEI messages: what is about HDR10 is found among others, and what is cut short is not taken") {
    BitWriter out;
    out.bits(0xFF05, 16);  // a type of more than a byte, 260
    out.bits(2, 8);
    out.bits(137, 16);
    message(out, 144, std::array<uint32_t, 2>{4000, 200}, 16);
    message(out, 137, std::array<uint32_t, 12>{1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 0, 10}, 16);
    out.bits(0x80, 8);
    const auto read = [](const std::vector<uint8_t>& unit) {
        v4l2::Hdr10 said;
        bitstream::forEachSei(unit, [&](uint32_t type, bitstream::Bytes bytes) { bitstream::readHdr10Sei(type, bytes, said); });
        return said;
    };
    const v4l2::Hdr10 hdr10 = read(out.bytes());
    CHECK(hdr10.contentLight == v4l2::ContentLight{4000, 200});
    CHECK(hdr10.masteringDisplay == v4l2::MasteringDisplay{{1, 3, 5}, {2, 4, 6}, 7, 8, 9, 10});

    for (size_t size = 0; size < out.bytes().size(); ++size) {
        auto cut = out.bytes();
        cut.resize(size);
        const v4l2::Hdr10 partly = read(cut);
        CHECK((partly.masteringDisplay == v4l2::MasteringDisplay{} || partly == hdr10));
    }
}

TEST_CASE("AV1 metadata is in V4L2's units, and holds until another sequence begins") {
    const auto stream = synth(v4l2::Codec::Av1, 192, 128, 1);
    const auto other = synth(v4l2::Codec::Av1, 192, 128, 1, {.wideColours = true});
    if (!stream || !other) return skipWithoutEncoder();
    BitWriter light;
    light.bits(1, 8);
    light.bits(1000, 16);
    light.bits(400, 16);
    light.bits(0x80, 8);
    BitWriter display;
    display.bits(2, 8);
    // Red, green, blue, white in 1/65536; 1000 cd/m2 in 1/256, 0.005 in 1/16384.
    for (const uint32_t sixteenth : {44564U, 20972U, 17367U, 45220U, 9830U, 3932U, 20493U, 21561U}) display.bits(sixteenth, 16);
    display.bits(1000U << 8, 32);
    display.bits(82, 32);
    display.bits(0x80, 8);

    auto unit = [](const SynthStream& from) {
        const auto& bytes = from.units.front().bytes;
        const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
        return std::vector<uint8_t>(data, data + bytes.size());
    };
    const auto plain = bitstream::av1Header(unit(*stream), std::nullopt);
    REQUIRE(plain);
    CHECK(plain->format.hdr10 == v4l2::Hdr10{});
    std::vector<uint8_t> metadata = obu(5, light.bytes());
    const auto more = obu(5, display.bytes());
    metadata.insert(metadata.end(), more.begin(), more.end());
    const auto told = bitstream::av1Header(metadata, plain);
    REQUIRE(told);
    CHECK(told->format.sameSetup(plain->format));
    CHECK(told->format.hdr10.contentLight == v4l2::ContentLight{1000, 400});
    CHECK(told->format.hdr10.masteringDisplay == kSynthDisplay);
    // The same sequence header again, and another one.
    CHECK(bitstream::av1Header(unit(*stream), told)->format.hdr10 == told->format.hdr10);
    CHECK(bitstream::av1Header(unit(*other), told)->format.hdr10 == v4l2::Hdr10{});
}

TEST_CASE("film grain counts from the first picture, and else from a sequence with its parameter sets") {
    constexpr std::array<uint8_t, 2> kGrain = {0x04, 0xF0};
    constexpr std::array<uint8_t, 2> kCancelled = {0x84, 0xF0};
    bitstream::FilmGrain grain;
    grain.sei(19, kCancelled);
    grain.sei(137, kGrain);
    grain.sei(19, {});
    grain.picture(true);
    CHECK_FALSE(grain.inForce());

    grain.sei(19, kGrain);
    grain.picture(false);
    grain.picture(true);
    CHECK_FALSE(grain.inForce());
    grain.parameterSet();
    grain.picture(false);
    CHECK_FALSE(grain.inForce());
    grain.parameterSet();
    grain.picture(true);
    CHECK(grain.inForce());

    bitstream::FilmGrain fromTheStart;
    fromTheStart.sei(19, kGrain);
    fromTheStart.picture(false);
    CHECK(fromTheStart.inForce());
}
