// Headers of codecs, written bit by bit: what is known of a stream before its first frame.
#include <catch2/catch.hpp>
#include <random>

#include "../../src/codec/bitstream/colorimetry.h"
#include "../../src/codec/bitstream/stream_header.h"
#include "../../src/codec/bitstream/syntax.h"
#include "../../src/codec/bitstream/vc1.h"
#include "codec_support.h"

using namespace daedalus;
using namespace daedalus::test;
namespace bitstream = daedalus::codec::bitstream;

namespace {

/// An H.263 picture header up to its source format.
BitWriter h263Start(unsigned source) {
    BitWriter out;
    out.bits(0x20, 22);
    out.bits(5, 8);
    out.bits(0b10000, 5);
    out.bits(source, 3);
    return out;
}

BitWriter h263Custom(unsigned aspect, uint32_t width, uint32_t height) {
    BitWriter out = h263Start(7);
    out.bits(1, 3);
    out.bits(6, 3);
    out.bits(0, 11);
    out.bits(0b1000, 4);
    out.bits(1, 9);
    out.bits(0, 1);
    out.bits(aspect, 4);
    out.bits(width / 4 - 1, 9);
    out.bits(1, 1);
    out.bits(height / 4, 9);
    return out;
}

std::vector<uint8_t> jpeg(unsigned depth, unsigned components, unsigned luma, unsigned chroma = 0x11) {
    BitWriter out;
    out.bits(0xFFD8, 16);
    out.bits(0xFFFE, 16);  // a comment, in which something looks like a frame header
    out.bits(6, 16);
    out.bits(0xFFC00011, 32);
    out.bits(0xFFC2, 16);
    out.bits(8 + 3 * components, 16);
    out.bits(depth, 8);
    out.bits(35, 16);
    out.bits(67, 16);
    out.bits(components, 8);
    for (unsigned i = 0; i < components; ++i) {
        out.bits(i + 1, 8);
        out.bits(i == 0 ? luma : chroma, 8);
        out.bits(0, 8);
    }
    return out.bytes();
}

/// VC-1, advanced profile: sequence header and entry point of a stream of this size (pixels), as units without start codes.
std::vector<uint8_t> vc1Sequence(uint32_t width, uint32_t height) {
    BitWriter out;
    out.bits(0x0F, 8);
    out.bits(3, 2);
    out.bits(2, 3);
    out.bits(1, 2);
    out.bits(0, 3 + 5 + 1);
    out.bits(width / 2 - 1, 12);
    out.bits(height / 2 - 1, 12);
    out.bits(0, 4);  // no pulldown, progressive
    out.bits(1, 1);
    out.bits(0, 1);
    out.bits(0, 1);  // nothing on the display
    out.bits(0, 1);  // no buffers
    out.bits(1, 1);
    return out.bytes();
}

std::vector<uint8_t> vc1EntryPoint() {
    BitWriter out;
    out.bits(0x0E, 8);
    out.bits(0, 1);
    out.bits(1, 1);
    out.bits(0, 11);
    out.bits(0, 1);  // the size of the sequence header
    out.bits(0, 2);
    out.bits(1, 1);
    return out.bytes();
}

void append(std::vector<std::byte>& to, std::span<const uint8_t> bytes) {
    for (const uint8_t byte : bytes) to.push_back(static_cast<std::byte>(byte));
}

void appendUnit(std::vector<std::byte>& to, std::span<const uint8_t> unit) {
    append(to, std::array<uint8_t, 3>{0, 0, 1});
    append(to, unit);
}

/// An intra picture whose bits mean nothing: the decoder conceals, always in the same way. No start codes are in it.
std::vector<uint8_t> anyPicture(uint8_t first, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<uint8_t> bytes = {first};
    for (int i = 0; i < 400; ++i) bytes.push_back(static_cast<uint8_t>(random() % 250 + 5));
    return bytes;
}

std::unique_ptr<codec::Decoder> openDecoder(v4l2::Codec codec) {
    auto decoder = codec::makeFfmpegFactory()->open(codec, {});
    REQUIRE(decoder);
    return std::move(*decoder);
}

}  // namespace

TEST_CASE("H.263 picture headers") {
    const auto standard = bitstream::h263Header(h263Start(3).bytes());
    REQUIRE(standard);
    CHECK(standard->format.visible == v4l2::Rect{0, 0, 352, 288});
    CHECK(standard->format.pixelAspectNum == 12);
    const auto custom = bitstream::h263Header(h263Custom(2, 180, 100).bytes());
    REQUIRE(custom);
    CHECK(custom->format.visible == v4l2::Rect{0, 0, 180, 100});
    CHECK(custom->format.pixelAspectDen == 11);
    // Height 0, a reserved format, and a picture that refers to the format of the one before it.
    CHECK_FALSE(bitstream::h263Header(h263Custom(1, 180, 0).bytes()));
    CHECK_FALSE(bitstream::h263Header(h263Start(0).bytes()));
    BitWriter without = h263Start(7);
    without.bits(0, 32);
    CHECK_FALSE(bitstream::h263Header(without.bytes()));
    auto cut = h263Custom(2, 180, 100).bytes();
    cut.resize(7);
    CHECK_FALSE(bitstream::h263Header(cut));
}

TEST_CASE("Sorenson Spark picture headers") {
    const auto make = [](unsigned code, unsigned bits, uint32_t width, uint32_t height) {
        BitWriter out;
        out.bits(1, 17);
        out.bits(1, 5);
        out.bits(9, 8);
        out.bits(code, 3);
        out.bits(width, bits);
        out.bits(height, bits);
        out.bits(0, 8);
        return bitstream::flv1Header(out.bytes());
    };
    CHECK(make(0, 8, 67, 35)->format.visible == v4l2::Rect{0, 0, 67, 35});
    CHECK(make(1, 16, 1921, 1081)->format.codedWidth == 1922);
    CHECK(make(5, 0, 0, 0)->format.visible == v4l2::Rect{0, 0, 320, 240});
    CHECK_FALSE(make(7, 0, 0, 0));
    CHECK_FALSE(make(0, 8, 0, 35));
}

TEST_CASE("JPEG frame headers") {
    const auto chroma = [](unsigned components, unsigned luma) {
        const auto header = bitstream::jpegHeader(jpeg(8, components, luma));
        REQUIRE(header);
        CHECK(header->format.visible == v4l2::Rect{0, 0, 67, 35});
        CHECK(header->format.colorimetry.quantization == V4L2_QUANTIZATION_FULL_RANGE);
        return header->format.chroma;
    };
    CHECK(chroma(3, 0x22) == v4l2::Chroma::Yuv420);
    CHECK(chroma(3, 0x21) == v4l2::Chroma::Yuv422);
    CHECK(chroma(3, 0x11) == v4l2::Chroma::Yuv444);
    CHECK(chroma(1, 0x11) == v4l2::Chroma::Mono);
    CHECK(bitstream::jpegHeader(jpeg(8, 3, 0x22, 0x12))->format.chroma == v4l2::Chroma::Yuv422);
    CHECK(bitstream::jpegHeader(jpeg(8, 3, 0x22, 0x22))->format.chroma == v4l2::Chroma::Yuv444);
    // 4:1:1 and 4:4:0: no raw format holds them.
    CHECK(chroma(3, 0x41) == v4l2::Chroma::Yuv411);
    CHECK(chroma(3, 0x12) == v4l2::Chroma::Yuv440);
    CHECK(bitstream::jpegHeader(jpeg(8, 3, 0x22, 0x21))->format.chroma == v4l2::Chroma::Yuv440);
    // What the decoder makes of others, it tells with its first frame.
    CHECK_FALSE(bitstream::jpegHeader(jpeg(8, 3, 0x42, 0x11)));
    CHECK_FALSE(bitstream::jpegHeader(jpeg(8, 4, 0x11)));
    CHECK_FALSE(bitstream::jpegHeader(jpeg(12, 3, 0x22)));
    auto cut = jpeg(8, 3, 0x22);
    cut.resize(cut.size() - 1);
    CHECK_FALSE(bitstream::jpegHeader(cut));
}

TEST_CASE("MPEG-1 tells the shape of its pixels") {
    const auto syntax = bitstream::makeMpeg2Syntax();
    BitWriter out;
    out.bits(0xB3, 8);
    out.bits(352, 12);
    out.bits(288, 12);
    out.bits(8, 4);
    out.bits(0, 32);
    syntax->inspect(out.bytes());
    REQUIRE(syntax->header());
    CHECK(syntax->header()->format.pixelAspectDen == 9157);
}

TEST_CASE("VC-1 sequence headers and entry points") {
    const auto syntax = bitstream::makeVc1Syntax();
    CHECK(syntax->inspect(vc1EntryPoint()) == bitstream::UnitKind::Leading);
    CHECK_FALSE(syntax->header());
    CHECK(syntax->inspect(vc1Sequence(178, 98)) == bitstream::UnitKind::Leading);
    CHECK_FALSE(syntax->header());
    syntax->inspect(vc1EntryPoint());
    REQUIRE(syntax->header());
    CHECK(syntax->header()->format.visible == v4l2::Rect{0, 0, 178, 98});
    const auto setup = syntax->header()->setup;
    CHECK(setup.size() == 3 + vc1Sequence(178, 98).size() + 3 + vc1EntryPoint().size());
    CHECK(syntax->inspect(std::array<uint8_t, 2>{0x0D, 0}) == bitstream::UnitKind::PictureStart);
    CHECK(syntax->inspect(std::array<uint8_t, 2>{0x0C, 0}) == bitstream::UnitKind::Picture);
    // The same again is no news; another size is.
    syntax->inspect(vc1Sequence(178, 98));
    syntax->inspect(vc1EntryPoint());
    CHECK(syntax->header()->setup == setup);
    syntax->inspect(vc1Sequence(64, 48));
    syntax->inspect(vc1EntryPoint());
    CHECK(syntax->header()->setup != setup);
}

TEST_CASE("VC-1 of Annex G is decoded, and again where its sequence header changes") {
    auto decoder = openDecoder(v4l2::Codec::Vc1G);
    std::vector<std::vector<std::byte>> buffers(1);
    // A picture before any header is damage, not the end.
    appendUnit(buffers[0], anyPicture(0x0D, 1));
    for (const auto& [width, height] : {std::pair(176U, 96U), std::pair(64U, 48U)}) {
        buffers.emplace_back();
        appendUnit(buffers.back(), vc1Sequence(width, height));
        appendUnit(buffers.back(), vc1EntryPoint());
        auto picture = anyPicture(0x0D, width);
        picture[1] = 0b11000010;  // an I picture
        appendUnit(buffers.back(), picture);
    }
    const Output output = decodeAll(*decoder, buffers);
    CHECK(output.error == 0);
    CHECK(output.ended);
    CHECK_FALSE(output.damaged.empty());
    REQUIRE(output.frames.size() == 2);
    CHECK(output.frames[0]->format().visible == v4l2::Rect{0, 0, 176, 96});
    CHECK(output.frames[1]->format().visible == v4l2::Rect{0, 0, 64, 48});
    CHECK(output.frames[0]->tag() == 1);
}

TEST_CASE("VC-1 of Annex L: the sequence layer, and frame layers around frames") {
    std::vector<uint8_t> sequence(36);
    sequence[3] = 0xC5;
    sequence[4] = 4;
    sequence[8] = 0x4E;  // main profile
    sequence[12] = 98;
    sequence[16] = 178;
    sequence[20] = 12;
    std::vector<uint8_t> bytes = sequence;
    for (const unsigned size : {3U, 2U}) {
        bytes.insert(bytes.end(), {static_cast<uint8_t>(size), 0, 0, 0x80, 0, 0, 0, 0});
        bytes.insert(bytes.end(), size, static_cast<uint8_t>(size));
    }
    bitstream::Bytes rest = bytes;
    const auto header = bitstream::takeVc1SequenceLayer(rest);
    REQUIRE(header);
    CHECK(header->format.visible == v4l2::Rect{0, 0, 178, 98});
    CHECK(header->setup == std::vector<uint8_t>{0x4E, 0, 0, 0});
    CHECK(bitstream::takeVc1Frame(rest).size() == 3);
    CHECK(bitstream::takeVc1Frame(rest).size() == 2);
    CHECK(rest.empty());
    // Without layers it is a frame to its end.
    rest = bitstream::Bytes(bytes).last(2);
    CHECK_FALSE(bitstream::takeVc1SequenceLayer(rest));
    CHECK(bitstream::takeVc1Frame(rest).size() == 2);
    CHECK(rest.empty());

    auto decoder = openDecoder(v4l2::Codec::Vc1L);
    std::vector<std::vector<std::byte>> buffers(2);
    append(buffers[0], sequence);
    append(buffers[1], anyPicture(0x04, 3));
    const Output output = decodeAll(*decoder, buffers);
    CHECK(output.error == 0);
    CHECK(output.ended);
    REQUIRE(decoder->headers());
    CHECK(decoder->headers()->visible.width == 178);
}
