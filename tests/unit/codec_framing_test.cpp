// Streams that clients cut elsewhere than between access units.
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "../../src/codec/bitstream/bit_reader.h"
#include "codec_support.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr v4l2::Codec kCodecs[] = {v4l2::Codec::H264, v4l2::Codec::Hevc, v4l2::Codec::Mpeg2, v4l2::Codec::Mpeg1,
                                   v4l2::Codec::Mpeg4};
using Buffers = std::vector<std::vector<std::byte>>;

std::unique_ptr<codec::Decoder> openDecoder(v4l2::Codec codec) {
    auto decoder = codec::makeFfmpegFactory()->open(codec, {});
    REQUIRE(decoder);
    return std::move(*decoder);
}

std::optional<SynthStream> makeStream(v4l2::Codec codec) {
    return synth(codec, 160, 96, 10, {.bframes = 1, .gop = 5, .slices = 3});
}

/// Start codes of the stream, at the first of their zeros.
std::vector<size_t> startCodes(const std::vector<std::byte>& bytes) {
    std::vector<size_t> found;
    for (size_t i = 0; i + 3 < bytes.size(); ++i)
        if (bytes[i] == std::byte{0} && bytes[i + 1] == std::byte{0} && bytes[i + 2] == std::byte{1})
            found.push_back(i > 0 && bytes[i - 1] == std::byte{0} ? i - 1 : i);
    return found;
}

Buffers cutAt(const std::vector<std::byte>& bytes, const std::vector<size_t>& places) {
    Buffers buffers;
    size_t begin = 0;
    for (const size_t place : places) {
        if (place > begin)
            buffers.emplace_back(bytes.begin() + static_cast<ptrdiff_t>(begin), bytes.begin() + static_cast<ptrdiff_t>(place));
        begin = std::max(begin, place);
    }
    buffers.emplace_back(bytes.begin() + static_cast<ptrdiff_t>(begin), bytes.end());
    return buffers;
}

/// The SPS of a High profile stream from libx264 without its VUI, so that it says nothing of reordering.
std::vector<std::byte> withoutVui(const std::vector<std::byte>& unit) {
    const auto* data = reinterpret_cast<const uint8_t*>(unit.data());
    const auto payload = codec::bitstream::unescape({data, unit.size()}, 4096);
    codec::bitstream::BitReader in(payload);
    in.skip(8 + 24);
    in.ue();  // id
    in.ue();  // chroma_format_idc
    in.ue();
    in.ue();
    in.skip(1);
    REQUIRE_FALSE(in.flag());  // scaling matrix
    in.ue();
    REQUIRE(in.ue() == 0);  // POC type
    in.ue();
    in.ue();
    in.skip(1);
    in.ue();
    in.ue();
    REQUIRE(in.flag());  // frames only
    in.skip(1);
    if (in.flag())
        for (int i = 0; i < 4; ++i) in.ue();
    const size_t vui = in.position();
    REQUIRE(in.flag());
    BitWriter out;
    codec::bitstream::BitReader again(payload);
    for (size_t i = 0; i < vui; ++i) out.bits(again.bits(1), 1);
    out.bits(0, 1);
    out.bits(1, 1);
    const auto raw = out.bytes();
    std::vector<std::byte> escaped;
    unsigned zeros = 0;
    for (const uint8_t byte : raw) {
        if (zeros >= 2 && byte <= 3) {
            escaped.push_back(std::byte{3});
            zeros = 0;
        }
        zeros = byte == 0 ? zeros + 1 : 0;
        escaped.push_back(static_cast<std::byte>(byte));
    }
    return escaped;
}

}  // namespace

TEST_CASE("the whole stream in one buffer") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    const auto stream = makeStream(codec);
    if (!stream) return skipWithoutEncoder();
    auto decoder = openDecoder(codec);
    const Output output = decodeAll(*decoder, {stream->bytes()});
    CHECK(output.damaged.empty());
    CHECK(output.md5s() == stream->frameMd5);
    for (const auto& frame : output.frames) CHECK(frame->tag() == 0);
}

TEST_CASE("two access units in a buffer") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    const auto stream = makeStream(codec);
    if (!stream) return skipWithoutEncoder();
    Buffers pairs;
    for (size_t i = 0; i < stream->units.size(); i += 2) {
        pairs.push_back(stream->units[i].bytes);
        const auto& second = stream->units[i + 1].bytes;
        pairs.back().insert(pairs.back().end(), second.begin(), second.end());
    }
    auto decoder = openDecoder(codec);
    const Output output = decodeAll(*decoder, pairs);
    CHECK(output.md5s() == stream->frameMd5);
    std::vector<int> perTag(pairs.size());
    for (const auto& frame : output.frames) ++perTag.at(frame->tag());
    CHECK(perTag == std::vector<int>(pairs.size(), 2));
}

TEST_CASE("one NAL unit in a buffer") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    const auto stream = makeStream(codec);
    if (!stream) return skipWithoutEncoder();
    const auto bytes = stream->bytes();
    auto decoder = openDecoder(codec);
    const Output output = decodeAll(*decoder, cutAt(bytes, startCodes(bytes)));
    CHECK(output.damaged.empty());
    CHECK(output.md5s() == stream->frameMd5);
}

TEST_CASE("start codes of three bytes and of four, and zeros between units") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    const size_t zeros = GENERATE(2U, 3U, 7U);
    CAPTURE(v4l2::findCoded(codec)->name, zeros);
    // A unit of H.264 and HEVC never ends with a zero; of the others one before a start code may be the unit's own.
    if (zeros == 2 && codec != v4l2::Codec::H264 && codec != v4l2::Codec::Hevc) return;
    const auto stream = makeStream(codec);
    if (!stream) return skipWithoutEncoder();
    Buffers units;
    for (const AccessUnit& unit : stream->units) {
        units.emplace_back();
        for (const auto& piece : cutAt(unit.bytes, startCodes(unit.bytes))) {
            const auto one = std::find(piece.begin(), piece.end(), std::byte{1});
            units.back().insert(units.back().end(), zeros, std::byte{0});
            units.back().insert(units.back().end(), one, piece.end());
        }
    }
    auto decoder = openDecoder(codec);
    const Output output = decodeAll(*decoder, units);
    CHECK(output.damaged.empty());
    CHECK(output.md5s() == stream->frameMd5);
}

TEST_CASE("cuts anywhere") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    const auto stream = makeStream(codec);
    if (!stream) return skipWithoutEncoder();
    const auto bytes = stream->bytes();
    std::mt19937 random(7);
    for (int round = 0; round < 40; ++round) {
        const size_t largest = round % 2 ? 6000 : 40;
        std::vector<size_t> places{1 + random() % largest};
        while (places.back() < bytes.size()) places.push_back(std::min(bytes.size(), places.back() + 1 + random() % largest));
        auto decoder = openDecoder(codec);
        const Output output = decodeAll(*decoder, cutAt(bytes, places));
        CHECK(output.damaged.empty());
        REQUIRE(output.md5s() == stream->frameMd5);
    }
}

TEST_CASE("cuts anywhere of which the decoder was told, without a delay that hides the first part") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    const auto stream = synth(codec, 160, 96, 10, {.bframes = 0, .gop = 5, .slices = 3});
    if (!stream) return skipWithoutEncoder();
    const auto bytes = stream->bytes();
    auto decoder = openDecoder(codec);
    for (int round = 0; round < 2; ++round) {
        decoder->cutAnywhere();
        std::vector<size_t> places{stream->units[0].bytes.size() / 2};
        while (places.back() < bytes.size()) places.push_back(places.back() + 500);
        places.pop_back();
        const Output output = decodeAll(*decoder, cutAt(bytes, places));
        CHECK(output.damaged.empty());
        CHECK(output.md5s() == stream->frameMd5);
        decoder->flush();
    }
}

TEST_CASE("one slice in a buffer, the first behind the headers") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    const auto stream = makeStream(codec);
    if (!stream) return skipWithoutEncoder();
    const auto bytes = stream->bytes();
    auto decoder = openDecoder(codec);
    auto places = startCodes(bytes);
    // Up to the second slice.
    const auto isSlice = [&](size_t place) {
        const size_t code = place + (bytes[place + 2] == std::byte{1} ? 3 : 4);
        const auto first = static_cast<unsigned>(bytes[code]);
        if (codec == v4l2::Codec::H264) return (first & 31U) == 5;
        if (codec == v4l2::Codec::Hevc) return (first >> 1U) < 32;
        if (codec == v4l2::Codec::Mpeg4) return first == 0xB6;
        return first >= 1 && first <= 0xAF;
    };
    const auto first = std::ranges::find_if(places, isSlice);
    places.erase(places.begin(), first + 1);
    const Output output = decodeAll(*decoder, cutAt(bytes, places));
    CHECK(output.damaged.empty());
    CHECK(output.md5s() == stream->frameMd5);
}

TEST_CASE("one unit in a buffer comes out at once where no other is at hand") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    const auto stream = synth(codec, 64, 64, 4, {.bframes = 0, .gop = 1});
    if (!stream) return skipWithoutEncoder();
    auto decoder = openDecoder(codec);
    Output output;
    for (size_t i = 0; i < stream->units.size(); ++i) {
        REQUIRE(decoder->send(stream->units[i].bytes, i));
        receiveAll(*decoder, output);
        decoder->settle();
        receiveAll(*decoder, output);
        // MPEG-2 shows a picture when the next reference comes, HEVC encoders declare their reordering.
        if (codec == v4l2::Codec::H264) CHECK(output.frames.size() == i + 1);
    }
}

TEST_CASE("an end-of-stream mark gives all frames at once, and what comes behind it is decoded too") {
    const v4l2::Codec codec = GENERATE(v4l2::Codec::H264, v4l2::Codec::Hevc);
    const auto stream = makeStream(codec);
    if (!stream) return skipWithoutEncoder();
    const std::vector<std::byte> mark =
        codec == v4l2::Codec::H264 ? std::vector{std::byte{0}, std::byte{0}, std::byte{1}, std::byte{11}}
                                   : std::vector{std::byte{0}, std::byte{0}, std::byte{1}, std::byte{37 << 1}, std::byte{1}};
    Buffers buffers = buffersOf(*stream);
    const auto how = GENERATE(as<std::string>{}, "behind the last unit", "in a buffer of its own", "in a byte stream");
    CAPTURE(v4l2::findCoded(codec)->name, how);
    if (how == "behind the last unit") buffers.back().insert(buffers.back().end(), mark.begin(), mark.end());
    if (how == "in a buffer of its own") buffers.push_back(mark);
    if (how == "in a byte stream") {
        auto bytes = stream->bytes();
        bytes.insert(bytes.end(), mark.begin(), mark.end());
        std::vector<size_t> places;
        for (size_t place = 700; place < bytes.size(); place += 700) places.push_back(place);
        buffers = cutAt(bytes, places);
    }

    auto decoder = openDecoder(codec);
    Output output;
    uint64_t tag = 0;
    for (const auto& buffer : buffers) {
        REQUIRE_FALSE(output.ended);
        REQUIRE(decoder->send(buffer, tag++));
        receiveAll(*decoder, output);
    }
    CHECK(output.ended);
    CHECK(output.damaged.empty());
    CHECK(output.md5s() == stream->frameMd5);

    // The mark, and a second stream in the same buffer.
    auto both = mark;
    const auto bytes = stream->bytes();
    both.insert(both.end(), bytes.begin(), bytes.end());
    Output second;
    REQUIRE(decoder->send(both, tag));
    receiveAll(*decoder, second);
    CHECK(second.ended);
    CHECK(second.frames.empty());
    receiveAll(*decoder, second);
    REQUIRE(decoder->drain());
    receiveAll(*decoder, second);
    CHECK(second.damaged.empty());
    CHECK(second.md5s() == stream->frameMd5);
}

TEST_CASE("an end of sequence ends no stream") {
    const v4l2::Codec codec = GENERATE(v4l2::Codec::H264, v4l2::Codec::Hevc, v4l2::Codec::Mpeg2);
    const auto stream = makeStream(codec);
    if (!stream) return skipWithoutEncoder();
    const int unit = codec == v4l2::Codec::H264 ? 10 : codec == v4l2::Codec::Hevc ? 36 << 1 : 0xb7;
    Buffers buffers = buffersOf(*stream);
    for (const int byte : {0, 0, 1, unit, 1}) buffers.back().push_back(static_cast<std::byte>(byte));
    if (codec != v4l2::Codec::Hevc) buffers.back().pop_back();
    const size_t once = buffers.size();
    for (size_t i = 0; i < once; ++i) buffers.push_back(buffers[i]);
    auto decoder = openDecoder(codec);
    Output output;
    for (size_t i = 0; i < buffers.size(); ++i) {
        REQUIRE(decoder->send(buffers[i], i));
        receiveAll(*decoder, output);
        REQUIRE_FALSE(output.ended);
    }
    REQUIRE(decoder->drain());
    receiveAll(*decoder, output);
    CHECK(output.frames.size() == 2 * stream->frameMd5.size());
}

TEST_CASE("headers alone are kept for the picture that follows") {
    const auto stream = makeStream(v4l2::Codec::H264);
    if (!stream) return skipWithoutEncoder();
    auto buffers = buffersOf(*stream);
    const auto codes = startCodes(buffers[0]);
    // SPS and PPS in one buffer, the rest of the first unit in the next.
    size_t picture = 0;
    for (const size_t code : codes) {
        const size_t byte = buffers[0][code + 2] == std::byte{1} ? code + 3 : code + 4;
        if (const auto type = static_cast<unsigned>(buffers[0][byte]) & 31; type == 6 || type == 5) {
            picture = code;
            break;
        }
    }
    REQUIRE(picture > 0);
    auto parts = cutAt(buffers[0], {picture});
    parts.insert(parts.end(), buffers.begin() + 1, buffers.end());
    auto decoder = openDecoder(v4l2::Codec::H264);
    REQUIRE(decoder->send(parts[0], 77));
    REQUIRE(decoder->headers());
    CHECK(decoder->headers()->visible.width == 160);
    Output output;
    receiveAll(*decoder, output);
    CHECK(output.damaged.empty());
    decoder->flush();
    CHECK(decodeAll(*decoder, parts).md5s() == stream->frameMd5);
}

TEST_CASE("H.264 without a word on reordering loses no frame") {
    auto stream = synth(v4l2::Codec::H264, 160, 96, 24, {.bframes = 3, .gop = 24});
    if (!stream) return skipWithoutEncoder();
    const auto expected = stream->frameMd5;
    auto buffers = buffersOf(*stream);
    for (auto& buffer : buffers) {
        const auto codes = startCodes(buffer);
        std::vector<std::byte> rewritten;
        for (size_t i = 0; i < codes.size(); ++i) {
            const size_t begin = buffer[codes[i] + 2] == std::byte{1} ? codes[i] + 3 : codes[i] + 4;
            const size_t end = i + 1 < codes.size() ? codes[i + 1] : buffer.size();
            std::vector<std::byte> unit(buffer.begin() + static_cast<ptrdiff_t>(begin),
                                        buffer.begin() + static_cast<ptrdiff_t>(end));
            if ((static_cast<unsigned>(unit[0]) & 31) == 7) unit = withoutVui(unit);
            for (const int byte : {0, 0, 0, 1}) rewritten.push_back(static_cast<std::byte>(byte));
            rewritten.insert(rewritten.end(), unit.begin(), unit.end());
        }
        buffer = rewritten;
    }
    for (const unsigned threads : {1U, 3U}) {
        auto decoder = codec::makeFfmpegFactory()->open(v4l2::Codec::H264, {.threads = threads});
        REQUIRE(decoder);
        CHECK(decodeAll(**decoder, buffers).md5s() == expected);
    }
}

TEST_CASE("MPEG-4 with a B picture behind its reference in one buffer, as DivX packs them") {
    const auto stream = synth(v4l2::Codec::Mpeg4, 160, 96, 9, {.bframes = 1, .gop = 9});
    if (!stream) return skipWithoutEncoder();
    const auto plain = buffersOf(*stream);
    REQUIRE(plain.size() == 9);
    Buffers packed = {plain[0]};
    for (size_t i = 1; i + 1 < plain.size(); i += 2) {
        packed.push_back(plain[i]);
        packed.back().insert(packed.back().end(), plain[i + 1].begin(), plain[i + 1].end());
        // A picture that is not coded, of the same time, takes the place of the one that came too early.
        packed.emplace_back(plain[i].begin(), plain[i].begin() + 6);
        packed.back()[5] = (packed.back()[5] & std::byte{0xC0}) | std::byte{0x0F};
    }
    auto decoder = openDecoder(v4l2::Codec::Mpeg4);
    const Output output = decodeAll(*decoder, packed);
    CHECK(output.damaged.empty());
    CHECK(output.md5s() == stream->frameMd5);
}
