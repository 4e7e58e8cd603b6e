// No access unit passes without a trace: it gives a picture, a damaged picture, or word of its damage.
#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "codec_support.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

std::unique_ptr<codec::Decoder> openDecoder(v4l2::Codec codec, unsigned threads) {
    auto decoder = codec::makeFfmpegFactory()->open(codec, {.threads = threads});
    REQUIRE(decoder);
    return std::move(*decoder);
}

bool isParameterSet(v4l2::Codec codec, std::byte first) {
    const auto byte = std::to_integer<unsigned>(first);
    switch (codec) {
        case v4l2::Codec::H264:
            return (byte & 31U) == 7 || (byte & 31U) == 8;
        case v4l2::Codec::Mpeg2:
        case v4l2::Codec::Mpeg1:
            return byte == 0xB3 || byte == 0xB5;
        default:
            return byte <= 0x2F || byte == 0xB0 || byte == 0xB5;
    }
}

/// What stands before the first picture that is no parameter set goes; so do key frames.
std::vector<std::vector<std::byte>> withoutKeyFrames(const SynthStream& stream) {
    std::vector<std::vector<std::byte>> buffers;
    std::vector<std::byte> headers;
    const auto& first = stream.units.front().bytes;
    std::vector<size_t> codes;
    for (size_t i = 0; i + 3 < first.size(); ++i)
        if (first[i] == std::byte{0} && first[i + 1] == std::byte{0} && first[i + 2] == std::byte{1}) codes.push_back(i);
    codes.push_back(first.size());
    for (size_t i = 0; i + 1 < codes.size() && isParameterSet(stream.codec, first[codes[i] + 3]); ++i)
        headers.insert(headers.end(), first.begin() + static_cast<ptrdiff_t>(codes[i]),
                       first.begin() + static_cast<ptrdiff_t>(codes[i + 1]));
    for (const AccessUnit& unit : stream.units) {
        if (unit.key) continue;
        buffers.push_back(buffers.empty() ? headers : std::vector<std::byte>{});
        buffers.back().insert(buffers.back().end(), unit.bytes.begin(), unit.bytes.end());
    }
    return buffers;
}

/// The tags that came back: of pictures that say they are damaged, and of the rest.
std::set<uint64_t> tagsOf(const Output& output) {
    std::set<uint64_t> tags;
    for (const auto& frame : output.frames) tags.insert(frame->tag());
    for (const auto& lost : output.damaged) tags.insert(lost.tag);
    return tags;
}

}  // namespace

TEST_CASE("a stream that begins in the middle and has no key frame is shown, as damaged") {
    const auto codec = GENERATE(v4l2::Codec::H264, v4l2::Codec::Mpeg2, v4l2::Codec::Mpeg1, v4l2::Codec::Mpeg4);
    const unsigned threads = GENERATE(1U, 2U, 16U);
    const bool harmed = GENERATE(false, true);
    CAPTURE(v4l2::findCoded(codec)->name, threads, harmed);
    const auto stream = synth(codec, 160, 96, 13, {.gop = 100});
    if (!stream) return skipWithoutEncoder();
    auto buffers = withoutKeyFrames(*stream);
    REQUIRE(buffers.size() == 12);
    if (harmed)
        for (auto& buffer : buffers)
            for (size_t i = buffer.size() / 2; i < buffer.size(); i += 7) buffer[i] ^= std::byte{0x55};
    auto decoder = openDecoder(codec, threads);
    const Output output = decodeAll(*decoder, buffers);
    CHECK(output.error == 0);
    CHECK(tagsOf(output).size() == buffers.size());
    if (!harmed) CHECK(output.damaged.empty());
    for (const auto& frame : output.frames) CHECK(frame->damaged());
}

TEST_CASE("behind a seek nothing is shown before a resume point") {
    const auto codec = GENERATE(v4l2::Codec::H264, v4l2::Codec::Mpeg2, v4l2::Codec::Mpeg1, v4l2::Codec::Mpeg4);
    const unsigned threads = GENERATE(1U, 2U);
    CAPTURE(v4l2::findCoded(codec)->name, threads);
    const auto stream = synth(codec, 160, 96, 24, {.gop = 8});
    if (!stream) return skipWithoutEncoder();
    auto decoder = openDecoder(codec, threads);
    for (const AccessUnit& unit : stream->units) REQUIRE(decoder->send(unit.bytes, 1000));
    decoder->flush();
    auto buffers = buffersOf(*stream);
    buffers.erase(buffers.begin(), buffers.begin() + 3);
    const Output output = decodeAll(*decoder, buffers);
    CHECK(output.damaged.empty());
    CHECK(output.md5s() == std::vector(stream->frameMd5.begin() + 8, stream->frameMd5.end()));
    for (const auto& frame : output.frames) CHECK_FALSE(frame->damaged());
}

TEST_CASE("a stream without a resume point is shown behind a seek, too, in the end") {
    const auto stream = synth(v4l2::Codec::H264, 64, 48, 301, {.gop = 1000});
    if (!stream) return skipWithoutEncoder();
    const auto buffers = withoutKeyFrames(*stream);
    REQUIRE(buffers.size() == 300);
    auto decoder = openDecoder(v4l2::Codec::H264, 1);
    REQUIRE(decoder->send(stream->units[0].bytes, 1000));
    decoder->settle();
    Output output;
    receiveAll(*decoder, output);
    REQUIRE(output.frames.size() == 1);
    decoder->flush();
    output = decodeAll(*decoder, buffers);
    CHECK(output.frames.size() == 300 - 256);
    for (const auto& frame : output.frames) CHECK(frame->damaged());
}
