// What is decoded again after a drain, and which access units need nothing before them.
#include <catch2/catch.hpp>

#include "../../src/codec/codec_traits.h"
#include "../../src/codec/ffmpeg/history.h"
#include "codec_support.h"

using namespace daedalus;
using namespace daedalus::test;
using codec::ffmpeg::History;
using codec::ffmpeg::PacketPtr;

namespace {

void add(History& history, int64_t pts, bool afresh = false, int bytes = 100) {
    const PacketPtr packet(av_packet_alloc());
    REQUIRE(av_new_packet(packet.get(), bytes) == 0);
    packet->pts = pts;
    REQUIRE(history.add(*packet, afresh));
}

std::vector<int64_t> again(History& history) {
    std::vector<int64_t> all;
    history.rewind();
    while (history.rewound()) all.push_back(history.next()->pts);
    CHECK(history.next() == nullptr);
    return all;
}

}  // namespace

TEST_CASE("history reaches back to where decoding started") {
    History history;
    CHECK(again(history).empty());
    for (int64_t pts = 1; pts <= 3; ++pts) add(history, pts);
    CHECK(again(history) == std::vector<int64_t>{1, 2, 3});
    add(history, 4);
    CHECK(again(history) == std::vector<int64_t>{1, 2, 3, 4});
    history.clear();
    CHECK(again(history).empty());
    add(history, 5);
    CHECK(again(history) == std::vector<int64_t>{5});
}

TEST_CASE("history keeps two key frames, or one that starts afresh") {
    History history;
    for (int64_t pts = 1; pts <= 9; ++pts) {
        add(history, pts);
        if (pts % 3 == 0) history.keyFrame(pts - 1);
    }
    // Key frames were 2, 5 and 8.
    CHECK(again(history) == std::vector<int64_t>{5, 6, 7, 8, 9});
    history.keyFrame(5);
    CHECK(again(history).size() == 5);
    add(history, 10, true);
    add(history, 11);
    CHECK(again(history) == std::vector<int64_t>{10, 11});
}

TEST_CASE("history is bounded in packets and bytes") {
    History history;
    const auto most = static_cast<int64_t>(History::kMostPackets);
    int64_t pts = 1;
    for (; pts <= most; ++pts) add(history, pts);
    CHECK(again(history).size() == History::kMostPackets);
    add(history, pts++);
    // There is no way back without the first one, until a key frame comes.
    CHECK(again(history).empty());
    for (; pts <= 2 * most; ++pts) add(history, pts);
    history.keyFrame(pts - 3);
    history.keyFrame(pts - 2);
    CHECK(again(history) == std::vector<int64_t>{pts - 3, pts - 2, pts - 1});

    // One key frame is enough where there is no room for two.
    const int64_t second = pts - 2;
    while (pts < second + most) add(history, pts++);
    REQUIRE(again(history).size() == History::kMostPackets);
    CHECK(again(history).front() == second);

    history.clear();
    add(history, pts++, true, static_cast<int>(History::kMostBytes));
    CHECK(again(history).size() == 1);
    add(history, pts++);
    CHECK(again(history).empty());
}

TEST_CASE("units that start afresh are told from the rest") {
    for (const auto codec : {v4l2::Codec::H264, v4l2::Codec::Vp8, v4l2::Codec::Av1}) {
        CAPTURE(v4l2::findCoded(codec)->name);
        const auto stream = synth(codec, 64, 48, 9, {.bframes = 1, .gop = 4});
        if (!stream) {
            skipWithoutEncoder();
            continue;
        }
        for (const AccessUnit& unit : stream->units) {
            const std::span<const std::byte> bytes(unit.bytes);
            CHECK(codec::traitsOf(codec).startsAfresh({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}) ==
                  unit.key);
        }
    }
    const auto afresh = [](v4l2::Codec codec, std::initializer_list<uint8_t> bytes) {
        return codec::traitsOf(codec).startsAfresh({bytes.begin(), bytes.size()});
    };
    // Behind parameter sets; a partition of data is no IDR picture.
    CHECK(afresh(v4l2::Codec::H264, {0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x65, 0x88}));
    CHECK_FALSE(afresh(v4l2::Codec::H264, {0, 0, 1, 0x42, 1, 0, 0, 1, 0x65, 0x88}));
    CHECK_FALSE(afresh(v4l2::Codec::H264, {0, 0, 1}));
    for (unsigned type = 0; type < 32; ++type) {
        CAPTURE(type);
        CHECK(afresh(v4l2::Codec::Hevc, {0, 0, 1, 0x42, 1, 0, 0, 1, static_cast<uint8_t>(type << 1), 1}) ==
              (type >= 16 && type <= 20));
    }
    // A shown key frame without its sequence header, one that is not shown, and an older frame that is shown.
    CHECK(afresh(v4l2::Codec::Av1, {0x0A, 1, 0, 0x32, 1, 0x10}));
    CHECK_FALSE(afresh(v4l2::Codec::Av1, {0x32, 1, 0x10}));
    CHECK_FALSE(afresh(v4l2::Codec::Av1, {0x0A, 1, 0, 0x32, 1, 0x00}));
    CHECK_FALSE(afresh(v4l2::Codec::Av1, {0x0A, 1, 0, 0x1A, 1, 0x90}));
    CHECK_FALSE(afresh(v4l2::Codec::Av1, {0x0A, 9, 0}));
    CHECK_FALSE(afresh(v4l2::Codec::Mjpeg, {0xFF, 0xD8}));
}
