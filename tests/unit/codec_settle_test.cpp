// Pictures for a client that sends one unit and waits, whatever number of threads decodes.
#include <catch2/catch.hpp>
#include <random>

#include "codec_support.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr v4l2::Codec kCodecs[] = {v4l2::Codec::H264, v4l2::Codec::Hevc,  v4l2::Codec::Vp8,   v4l2::Codec::Vp9,
                                   v4l2::Codec::Av1,  v4l2::Codec::Mpeg2, v4l2::Codec::Mpeg1, v4l2::Codec::Mpeg4,
                                   v4l2::Codec::Xvid, v4l2::Codec::H263,  v4l2::Codec::Flv1,  v4l2::Codec::Mjpeg};

std::unique_ptr<codec::Decoder> openDecoder(v4l2::Codec codec, unsigned threads, codec::ThreadType type) {
    auto decoder = codec::makeFfmpegFactory()->open(codec, {.threads = threads, .threadType = type});
    REQUIRE(decoder);
    return std::move(*decoder);
}

std::optional<SynthStream> makeStream(v4l2::Codec codec, unsigned frames, unsigned bframes) {
    const auto size = codec == v4l2::Codec::H263 ? std::pair(176U, 144U) : std::pair(96U, 80U);
    return synth(codec, size.first, size.second, frames, {.bframes = bframes, .gop = 7});
}

void settle(codec::Decoder& decoder, Output& output) {
    receiveAll(decoder, output);
    decoder.settle();
    receiveAll(decoder, output);
}

}  // namespace

TEST_CASE("a picture comes with its own unit when no other is at hand") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    const unsigned threads = GENERATE(1U, 2U, 16U);
    CAPTURE(v4l2::findCoded(codec)->name, threads);
    const auto stream = makeStream(codec, 40, 0);
    if (!stream) return skipWithoutEncoder();
    // These show a reference picture when the next one comes: it could be a B picture that comes before it.
    const bool reorders = codec == v4l2::Codec::Mpeg2 || codec == v4l2::Codec::Mpeg1;
    auto decoder = openDecoder(codec, threads, codec::ThreadType::Auto);
    Output output;
    for (size_t i = 0; i < stream->units.size(); ++i) {
        REQUIRE(decoder->send(stream->units[i].bytes, i));
        settle(*decoder, output);
        REQUIRE(output.frames.size() == (reorders ? i : i + 1));
    }
    REQUIRE(decoder->drain());
    receiveAll(*decoder, output);
    CHECK(output.damaged.empty());
    CHECK(output.md5s() == stream->frameMd5);
    for (size_t i = 0; i < output.frames.size(); ++i) CHECK(output.frames[i]->tag() == i);
}

TEST_CASE("to settle anywhere changes nothing of what comes, or of its order") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    const auto type = GENERATE(codec::ThreadType::Auto, codec::ThreadType::Frame);
    const auto stream = makeStream(codec, 40, 2);
    if (!stream) return skipWithoutEncoder();
    std::mt19937 random(3);
    for (const unsigned threads : {1U, 2U, 3U, 16U}) {
        CAPTURE(v4l2::findCoded(codec)->name, threads);
        auto decoder = openDecoder(codec, threads, type);
        for (int round = 0; round < 2; ++round) {
            Output output;
            for (size_t i = 0; i < stream->units.size(); ++i) {
                REQUIRE(decoder->send(stream->units[i].bytes, i));
                receiveAll(*decoder, output);
                if (random() % 3 != 0) continue;
                decoder->settle();
                // Not always to its end.
                for (auto calls = random() % 20; calls > 0; --calls) {
                    auto received = decoder->receive();
                    REQUIRE(received);
                    if (auto* frame = std::get_if<std::unique_ptr<codec::Frame>>(&*received))
                        output.frames.push_back(std::move(*frame));
                    REQUIRE_FALSE(std::holds_alternative<codec::Damaged>(*received));
                }
                receiveAll(*decoder, output);
            }
            REQUIRE(decoder->drain());
            receiveAll(*decoder, output);
            CHECK(output.damaged.empty());
            CHECK(output.md5s() == stream->frameMd5);
            // After a drain, and after a seek.
            if (round == 0) decoder->resume();
            decoder->flush();
        }
    }
}

TEST_CASE("to settle around a change of size loses no picture") {
    const v4l2::Codec codec = GENERATE(from_range(std::begin(kCodecs), std::end(kCodecs)));
    const auto large = synth(codec, 128, 96, 5, {.bframes = 1, .gop = 8});
    if (!large) return skipWithoutEncoder();
    const auto one = synth(codec, 176, 144, 1);
    const auto small = synth(codec, 96, 64, 4, {.bframes = 1, .gop = 8});
    REQUIRE((one && small));
    for (const unsigned threads : {1U, 2U, 16U}) {
        CAPTURE(v4l2::findCoded(codec)->name, threads);
        auto decoder = openDecoder(codec, threads, codec::ThreadType::Auto);
        Output output;
        std::vector<std::string> expected;
        uint64_t tag = 0;
        for (const auto* stream : {&*large, &*one, &*small, &*one, &*large}) {
            for (const AccessUnit& unit : stream->units) {
                REQUIRE(decoder->send(unit.bytes, tag++));
                settle(*decoder, output);
            }
            expected.insert(expected.end(), stream->frameMd5.begin(), stream->frameMd5.end());
        }
        REQUIRE(decoder->drain());
        receiveAll(*decoder, output);
        CHECK(output.damaged.empty());
        CHECK(output.md5s() == expected);
    }
}

TEST_CASE("damage is told of the unit that has it, whatever number of threads decodes") {
    const v4l2::Codec codec = GENERATE(v4l2::Codec::H264, v4l2::Codec::Vp8);
    const auto stream = makeStream(codec, 12, 0);
    if (!stream) return skipWithoutEncoder();
    for (const unsigned threads : {1U, 2U, 16U}) {
        CAPTURE(v4l2::findCoded(codec)->name, threads);
        auto decoder = openDecoder(codec, threads, codec::ThreadType::Auto);
        Output output;
        for (size_t i = 0; i < stream->units.size(); ++i) {
            auto bytes = stream->units[i].bytes;
            // No header is left of it.
            if (i == 4 && codec == v4l2::Codec::Vp8) bytes.resize(2);
            if (i == 4 && codec == v4l2::Codec::H264)
                bytes = {std::byte{0}, std::byte{0}, std::byte{1}, std::byte{0x41}, std::byte{0xFF}};
            REQUIRE(decoder->send(bytes, i));
            settle(*decoder, output);
        }
        REQUIRE(output.damaged.size() == 1);
        CHECK(output.damaged[0].tag == 4);
    }
}
