// AV1 streams cut and layered in other ways than one temporal unit of one layer a buffer.
#include <catch2/catch.hpp>

#include "../../src/codec/bitstream/bit_reader.h"
#include "codec_support.h"

using namespace daedalus;
using namespace daedalus::test;
namespace bitstream = daedalus::codec::bitstream;

namespace {

using Buffers = std::vector<std::vector<std::byte>>;

enum ObuType : unsigned { kSequenceHeader = 1, kTemporalDelimiter = 2 };

/// One open bitstream unit with a size field, as libaom writes them.
struct Obu {
    unsigned type = 0;
    std::vector<uint8_t> payload;
};

std::vector<Obu> obus(const std::vector<std::byte>& unit) {
    std::vector<Obu> found;
    size_t at = 0;
    const auto next = [&] { return std::to_integer<unsigned>(unit.at(at++)); };
    while (at < unit.size()) {
        Obu obu;
        const unsigned head = next();
        REQUIRE((head & 6) == 2);  // a size, no extension
        obu.type = head >> 3 & 15;
        size_t size = 0;
        for (unsigned shift = 0, byte = 0x80; byte & 0x80; shift += 7) {
            byte = next();
            size |= static_cast<size_t>(byte & 0x7F) << shift;
        }
        for (size_t i = 0; i < size; ++i) obu.payload.push_back(static_cast<uint8_t>(next()));
        found.push_back(obu);
    }
    return found;
}

/// `layer`: of a temporal layer; nothing writes no extension.
void append(std::vector<std::byte>& to, const Obu& obu, std::optional<unsigned> layer = {}) {
    to.push_back(static_cast<std::byte>(obu.type << 3 | (layer ? 4 : 0) | 2));
    if (layer) to.push_back(static_cast<std::byte>(*layer << 5));
    size_t size = obu.payload.size();
    do {
        to.push_back(static_cast<std::byte>((size & 0x7F) | (size > 0x7F ? 0x80 : 0)));
        size >>= 7;
    } while (size > 0);
    for (const uint8_t byte : obu.payload) to.push_back(static_cast<std::byte>(byte));
}

/// The sequence header with two operating points of temporal layers instead of one; each a mask of layers.
Obu withOperatingPoints(const Obu& sequence, unsigned first, unsigned second) {
    constexpr unsigned kSpatialLayer = 0x100;
    bitstream::BitReader in(sequence.payload);
    BitWriter out;
    out.bits(in.bits(3), 3);  // profile
    REQUIRE(in.bits(2) == 0);
    out.bits(0, 2);
    REQUIRE(in.bits(2) == 0);  // neither timing nor delay
    out.bits(0, 2);
    REQUIRE(in.bits(5) == 0);  // one operating point
    out.bits(1, 5);
    in.skip(12);
    const unsigned level = in.bits(5);
    REQUIRE(level <= 7);
    for (const unsigned layers : {first, second}) {
        out.bits(kSpatialLayer | layers, 12);
        out.bits(level, 5);
    }
    // Without its trailing bits the rest ends in the middle of a byte.
    size_t bits = sequence.payload.size() * 8;
    while (!(sequence.payload[(bits - 1) / 8] >> (7 - (bits - 1) % 8) & 1)) --bits;
    while (in.position() < bits) out.bits(in.bits(1), 1);
    return {kSequenceHeader, out.bytes()};
}

/// Pictures of two temporal layers in turn, in a stream of two operating points.
std::optional<SynthStream> layered(unsigned first, unsigned second) {
    auto stream = synth(v4l2::Codec::Av1, 192, 128, 6, {.gop = 1});
    if (!stream) return std::nullopt;
    unsigned layer = 0;
    for (AccessUnit& unit : stream->units) {
        std::vector<std::byte> bytes;
        for (const Obu& obu : obus(unit.bytes)) {
            if (obu.type == kSequenceHeader)
                append(bytes, withOperatingPoints(obu, first, second));
            else
                append(bytes, obu, obu.type == kTemporalDelimiter ? std::nullopt : std::optional(layer));
        }
        unit.bytes = bytes;
        layer ^= 1;
    }
    stream->frameMd5 = referenceMd5(v4l2::Codec::Av1, stream->units);
    return stream;
}

Output decode(const Buffers& buffers) {
    auto decoder = codec::makeFfmpegFactory()->open(v4l2::Codec::Av1, {});
    REQUIRE(decoder);
    return decodeAll(**decoder, buffers);
}

}  // namespace

TEST_CASE("AV1: one OBU in a buffer") {
    const auto stream = synth(v4l2::Codec::Av1, 192, 128, 6);
    if (!stream) return skipWithoutEncoder();
    Buffers buffers;
    for (const AccessUnit& unit : stream->units)
        for (const Obu& obu : obus(unit.bytes)) append(buffers.emplace_back(), obu);
    CHECK(buffers.size() > 2 * stream->units.size() - 1);
    const Output output = decode(buffers);
    CHECK(output.damaged.empty());
    CHECK(output.md5s() == stream->frameMd5);
    for (const auto& frame : output.frames) CHECK(frame->format().sameSetup(output.frames.front()->format()));
}

TEST_CASE("AV1: two temporal units in a buffer") {
    const auto stream = synth(v4l2::Codec::Av1, 192, 128, 6);
    if (!stream) return skipWithoutEncoder();
    Buffers pairs;
    for (size_t i = 0; i < stream->units.size(); ++i) {
        if (i % 2 == 0) pairs.emplace_back();
        const auto& bytes = stream->units[i].bytes;
        pairs.back().insert(pairs.back().end(), bytes.begin(), bytes.end());
    }
    const Output output = decode(pairs);
    CHECK(output.damaged.empty());
    CHECK(output.md5s() == stream->frameMd5);
}

TEST_CASE("AV1: of several operating points the first is decoded, as FFmpeg does") {
    const auto all = layered(0b11, 0b01);
    const auto base = layered(0b01, 0b11);
    if (!all || !base) return skipWithoutEncoder();
    REQUIRE(all->frameMd5.size() == 6);
    REQUIRE(base->frameMd5.size() == 3);
    for (const auto* stream : {&*all, &*base}) {
        const Output output = decode(buffersOf(*stream));
        CHECK(output.damaged.empty());
        CHECK(output.md5s() == stream->frameMd5);
        CHECK(output.frames.front()->format().conformance.level == 0);
    }
}
