// The contract's rows that depend on what real codecs do: with libavcodec, over whichever transport the environment names.
#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "skip.h"
#include "stream_player.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr v4l2::Codec kCodecs[] = {v4l2::Codec::H264, v4l2::Codec::Hevc,  v4l2::Codec::Vp8,   v4l2::Codec::Vp9,
                                   v4l2::Codec::Av1,  v4l2::Codec::Mpeg2, v4l2::Codec::Mpeg1, v4l2::Codec::Mpeg4,
                                   v4l2::Codec::H263, v4l2::Codec::Flv1,  v4l2::Codec::Mjpeg};

std::vector<std::string> md5sOf(const std::vector<Played>& played) {
    std::vector<std::string> md5s;
    for (const auto& frame : played) md5s.push_back(frame.md5);
    return md5s;
}

void append(std::vector<AccessUnit>& units, std::vector<std::string>& md5s, const SynthStream& stream) {
    units.insert(units.end(), stream.units.begin(), stream.units.end());
    md5s.insert(md5s.end(), stream.frameMd5.begin(), stream.frameMd5.end());
}

}  // namespace

TEST_CASE("S9: streams that change their size, up and down and with one frame between, lose no frame") {
    TestNode node(codec::makeFfmpegFactory());
    for (const v4l2::Codec codec : kCodecs) {
        CAPTURE(v4l2::findCoded(codec)->name);
        std::vector<AccessUnit> units;
        std::vector<std::string> md5s;
        // H.263 has a few sizes of its own, and multiples of 4.
        const uint32_t sizes[][3] = {{64, 48, 5}, {128, 96, 4}, {96, 64, 1}, {176, 144, 4}, {64, 48, 3}};
        for (const auto& [width, height, frames] : sizes)
            if (const auto stream = synth(codec, width, height, frames, {.bframes = 1, .gop = 8})) append(units, md5s, *stream);
        if (units.empty()) {
            skipWithoutEncoder();
            continue;
        }
        StreamPlayer player(node);
        player.open(codec);
        const auto played = player.play(units);
        CHECK(md5sOf(played) == md5s);
        CHECK(player.changes() == 5);
        CHECK(std::ranges::none_of(played, &Played::error));
    }
}

TEST_CASE("S12: a client that sends one unit and waits gets its picture, whatever number of threads decodes") {
    for (const unsigned threads : {2U, 16U}) {
        TestNode node(codec::makeFfmpegFactory(), 2, {.threads = threads});
        for (const v4l2::Codec codec : kCodecs) {
            CAPTURE(threads, v4l2::findCoded(codec)->name);
            const auto stream = synth(codec, 128, 96, 24, {.gop = 6});
            if (!stream) {
                skipWithoutEncoder();
                continue;
            }
            // These show a reference picture when the next one comes: it could be a B picture that comes before it.
            const long late = codec == v4l2::Codec::Mpeg2 || codec == v4l2::Codec::Mpeg1 ? 1 : 0;
            V4l2Client client(node);
            REQUIRE(client.subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0);
            REQUIRE(client.setFormat(kOutput, v4l2::findCoded(codec)->fourcc, 128, 96) == 0);
            REQUIRE(client.request(kOutput, 1) == 0);
            REQUIRE(client.streamOn(kOutput) == 0);
            long sent = 0;
            for (const AccessUnit& unit : stream->units) {
                const std::string_view bytes(reinterpret_cast<const char*>(unit.bytes.data()), unit.bytes.size());
                REQUIRE(client.feed(0, bytes, sent) == 0);
                REQUIRE(client.await(kOutput).error == 0);
                if (sent++ == 0) {
                    REQUIRE(client.event());
                    REQUIRE(client.request(kCapture, 4) == 0);
                    for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.queue(i) == 0);
                    REQUIRE(client.streamOn(kCapture) == 0);
                }
                if (sent <= late) continue;
                const auto frame = client.await(kCapture);
                REQUIRE(frame.error == 0);
                CHECK_FALSE(frame.buffer.flags & V4L2_BUF_FLAG_ERROR);
                REQUIRE(frame.buffer.timestamp.tv_usec == sent - 1 - late);
                REQUIRE(client.queue(frame.buffer.index) == 0);
            }
        }
    }
}

TEST_CASE("S8: a change of depth is a source change, there and back") {
    TestNode node(codec::makeFfmpegFactory());
    for (const v4l2::Codec codec : {v4l2::Codec::H264, v4l2::Codec::Hevc, v4l2::Codec::Vp9, v4l2::Codec::Av1}) {
        CAPTURE(v4l2::findCoded(codec)->name);
        const auto eight = synth(codec, 64, 48, 3);
        const auto ten = synth(codec, 64, 48, 3, {.bitDepth = 10});
        if (!eight || !ten) {
            skipWithoutEncoder();
            continue;
        }
        std::vector<AccessUnit> units;
        std::vector<std::string> md5s;
        append(units, md5s, *eight);
        append(units, md5s, *ten);
        append(units, md5s, *eight);
        StreamPlayer player(node);
        player.open(codec);
        const auto played = player.play(units);
        REQUIRE(played.size() == 9);
        CHECK(player.changes() == 3);
        for (const size_t i : {0U, 1U, 2U, 6U, 7U, 8U}) CHECK(played[i].md5 == md5s[i]);
    }
}

TEST_CASE("S6: a stream of bytes may be cut anywhere, from the first buffer on") {
    TestNode node(codec::makeFfmpegFactory());
    for (const v4l2::Codec codec :
         {v4l2::Codec::H264, v4l2::Codec::Hevc, v4l2::Codec::Mpeg2, v4l2::Codec::Mpeg1, v4l2::Codec::Mpeg4}) {
        for (const unsigned bframes : {0U, 1U}) {
            CAPTURE(v4l2::findCoded(codec)->name, bframes);
            const auto stream = synth(codec, 128, 96, 8, {.bframes = bframes, .gop = 4, .slices = 2});
            if (!stream) {
                skipWithoutEncoder();
                continue;
            }
            const auto bytes = stream->bytes();
            const size_t first = stream->units.front().bytes.size();
            for (const size_t size : {first / 3, first - 2, first + 5}) {
                std::vector<AccessUnit> pieces;
                for (size_t at = 0; at < bytes.size(); at += size) {
                    const auto* begin = bytes.data() + at;
                    pieces.push_back({{begin, begin + std::min(size, bytes.size() - at)}});
                }
                StreamPlayer player(node);
                player.open(codec);
                CHECK(md5sOf(player.play(pieces)) == stream->frameMd5);
                player.seek();
                // Where CAPTURE streams, a decoder without delay may give the first part before the second is here.
                if (bframes > 0) CHECK(md5sOf(player.play(pieces)) == stream->frameMd5);
            }
        }
    }
}

TEST_CASE("S12: each frame has the timestamp of its own unit, in display order") {
    TestNode node(codec::makeFfmpegFactory());
    const auto stream = synth(v4l2::Codec::H264, 64, 48, 9, {.bframes = 2, .gop = 9});
    if (!stream) return skipWithoutEncoder();
    StreamPlayer player(node);
    player.open(stream->codec);
    const auto played = player.play(stream->units, 100);
    CHECK(md5sOf(played) == stream->frameMd5);
    std::vector<long> timestamps;
    for (const auto& frame : played) timestamps.push_back(frame.timestampUs);
    CHECK_FALSE(std::ranges::is_sorted(timestamps));
    std::ranges::sort(timestamps);
    for (size_t i = 0; i < timestamps.size(); ++i) CHECK(timestamps[i] == static_cast<long>(100 + i));
}

TEST_CASE("S12 S15: a frame that came in two OUTPUT buffers has the timestamp of the first, and a seek between them drops it") {
    TestNode node(codec::makeFfmpegFactory());
    for (const v4l2::Codec codec : {v4l2::Codec::H264, v4l2::Codec::Mpeg2}) {
        const auto stream = synth(codec, 64, 48, 6);
        const auto other = synth(codec, 64, 48, 3, {.seed = 7});
        if (!stream || !other) {
            skipWithoutEncoder();
            continue;
        }
        CAPTURE(v4l2::findCoded(codec)->name);
        // The first buffer holds the first unit and half of the second, the next the other half and half of the third ...
        std::vector<AccessUnit> pieces(1);
        for (const auto& unit : stream->units) {
            const auto middle = unit.bytes.begin() + (&unit == stream->units.data() ? 0 : std::ssize(unit.bytes) / 2);
            pieces.back().bytes.insert(pieces.back().bytes.end(), unit.bytes.begin(), middle);
            if (&unit != stream->units.data()) pieces.emplace_back();
            pieces.back().bytes.insert(pieces.back().bytes.end(), middle, unit.bytes.end());
        }
        StreamPlayer player(node);
        player.open(codec);
        const auto played = player.play(pieces);
        CHECK(md5sOf(played) == stream->frameMd5);
        for (size_t i = 0; i < played.size(); ++i) CHECK(played[i].timestampUs == (i < 2 ? 0 : static_cast<long>(i) - 1));

        player.seek();
        REQUIRE(player.client().feed(0, {reinterpret_cast<const char*>(pieces[0].bytes.data()), pieces[0].bytes.size()}) == 0);
        REQUIRE(player.client().file().poll(POLLOUT, kPatienceMs) & POLLOUT);
        player.seek();
        const auto after = player.play(other->units, 1000);
        // The first picture may have been done before the seek.
        std::vector<std::string> md5s;
        for (const auto& frame : after)
            if (frame.timestampUs >= 1000) md5s.push_back(frame.md5);
        CHECK(md5s == other->frameMd5);
        CHECK(after.size() <= md5s.size() + 1);
    }
}

TEST_CASE("S14: the end of stream of H.264 and the end of bitstream of HEVC drain without STOP") {
    TestNode node(codec::makeFfmpegFactory());
    const std::pair<v4l2::Codec, std::vector<int>> ends[] = {{v4l2::Codec::H264, {0, 0, 0, 1, 0x0B}},
                                                             {v4l2::Codec::Hevc, {0, 0, 0, 1, 0x4A, 0x01}}};
    for (const auto& [codec, end] : ends) {
        const auto stream = synth(codec, 64, 48, 4, {.bframes = 1, .gop = 4});
        if (!stream) {
            skipWithoutEncoder();
            continue;
        }
        CAPTURE(v4l2::findCoded(codec)->name);
        auto units = stream->units;
        for (const int byte : end) units.back().bytes.push_back(static_cast<std::byte>(byte));
        StreamPlayer player(node);
        player.open(codec);
        player.sendNoStop();
        CHECK(md5sOf(player.play(units)) == stream->frameMd5);
        CHECK(md5sOf(player.play(units, 100)) == stream->frameMd5);
    }
}

TEST_CASE("S13: a stream in pieces, a drain after each, loses no frame") {
    TestNode node(codec::makeFfmpegFactory());
    for (const v4l2::Codec codec : kCodecs) {
        CAPTURE(v4l2::findCoded(codec)->name);
        const auto stream = synth(codec, 64, 48, 9, {.gop = 3});
        if (!stream) {
            skipWithoutEncoder();
            continue;
        }
        StreamPlayer player(node);
        player.open(codec);
        std::vector<AccessUnit> piece;
        size_t frames = 0;
        for (const auto& unit : stream->units) {
            if (unit.key && !piece.empty()) {
                frames += player.play(piece).size();
                piece.clear();
            }
            piece.push_back(unit);
        }
        frames += player.play(piece).size();
        CHECK(frames == stream->frameMd5.size());
        CHECK(player.changes() == 1);
    }
}

TEST_CASE("S13: a drain between any two units loses no frame, and none that refers to one before it") {
    TestNode node(codec::makeFfmpegFactory());
    for (const v4l2::Codec codec : kCodecs) {
        CAPTURE(v4l2::findCoded(codec)->name);
        const auto stream = synth(codec, 64, 48, 15, {.bframes = 1, .gop = 6});
        if (!stream) {
            skipWithoutEncoder();
            continue;
        }
        StreamPlayer player(node);
        player.open(codec);
        auto whole = player.play(stream->units);
        player.seek();
        std::vector<Played> pieces;
        long timestampUs = 0;
        for (auto unit = stream->units.begin(); unit != stream->units.end();) {
            // Pieces of 1, 2, 3 and 4 units.
            const auto left = stream->units.end() - unit;
            const auto size = std::min<ptrdiff_t>(left, 1 + timestampUs % 4);
            const auto goOn = size % 2 == 0 ? GoOn::Start : GoOn::RestartCapture;
            const auto played = player.play({unit, unit + size}, timestampUs, goOn);
            pieces.insert(pieces.end(), played.begin(), played.end());
            unit += size;
            timestampUs += size;
        }
        // A drain shows frames earlier than others that come before them in display order.
        std::ranges::sort(whole, {}, &Played::timestampUs);
        std::ranges::sort(pieces, {}, &Played::timestampUs);
        CHECK(md5sOf(pieces) == md5sOf(whole));
        CHECK(std::ranges::none_of(pieces, &Played::error));
    }
}

TEST_CASE("S15: a seek in the middle of a stream leaves nothing of what was under way") {
    TestNode node(codec::makeFfmpegFactory());
    for (const v4l2::Codec codec : {v4l2::Codec::H264, v4l2::Codec::Hevc, v4l2::Codec::Mpeg2, v4l2::Codec::Mpeg4}) {
        CAPTURE(v4l2::findCoded(codec)->name);
        const auto stream = synth(codec, 64, 48, 12, {.bframes = 2});
        if (!stream) {
            skipWithoutEncoder();
            continue;
        }
        StreamPlayer player(node);
        player.open(codec);
        // Pictures that wait for their turn, and the first part of one.
        const auto bytes = stream->bytes();
        const size_t headers = stream->units.front().bytes.size() + stream->units[1].bytes.size() / 2;
        for (int round = 0; round < 3; ++round) {
            const auto middle = bytes.begin() + static_cast<ptrdiff_t>(bytes.size() / 2 + static_cast<size_t>(round));
            player.begin({{{bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(headers)}},
                          {{bytes.begin() + static_cast<ptrdiff_t>(headers), middle}}});
            player.seekAtOnce();
            const auto played = player.play(stream->units, 3000);
            CHECK(md5sOf(played) == stream->frameMd5);
            CHECK(std::ranges::all_of(played, [](const Played& frame) { return frame.timestampUs >= 3000; }));
            player.seek();
        }
    }
}

TEST_CASE("S15: after a seek to anywhere there is no frame from before it, and from the next resume point on all are right") {
    TestNode node(codec::makeFfmpegFactory());
    for (const v4l2::Codec codec : kCodecs) {
        CAPTURE(v4l2::findCoded(codec)->name);
        const auto stream = synth(codec, 64, 48, 8, {.gop = 4});
        const auto other = synth(codec, 128, 96, 4, {.gop = 4, .seed = 7});
        if (!stream || !other) {
            skipWithoutEncoder();
            continue;
        }
        StreamPlayer player(node);
        player.open(codec);
        CHECK(md5sOf(player.play(stream->units)) == stream->frameMd5);
        // Into another part of the stream, of another size.
        player.seek();
        CHECK(md5sOf(player.play(other->units, 1000)) == other->frameMd5);
        CHECK(player.changes() == 2);
        // Between two resume points.
        player.seek();
        const std::vector<AccessUnit> rest(stream->units.begin() + 2, stream->units.end());
        const auto played = player.play(rest, 2000);
        REQUIRE(played.size() >= 4);
        for (const auto& frame : played) CHECK(frame.timestampUs >= 2000);
        const std::vector<std::string> last(stream->frameMd5.end() - 4, stream->frameMd5.end());
        const auto md5s = md5sOf(played);
        CHECK(std::vector<std::string>(md5s.end() - 4, md5s.end()) == last);
    }
}

TEST_CASE("S17: a stream of any codec goes on after damage at the next point that decodes") {
    // One thread: what is concealed does not depend on chance.
    TestNode node(codec::makeFfmpegFactory(), 1);
    for (const v4l2::Codec codec : kCodecs) {
        CAPTURE(v4l2::findCoded(codec)->name);
        const auto stream = synth(codec, 64, 48, 12, {.gop = 4});
        if (!stream) {
            skipWithoutEncoder();
            continue;
        }
        ptrdiff_t errors = 0;
        for (const bool garbage : {false, true}) {
            CAPTURE(garbage);
            auto units = stream->units;
            auto& damaged = units[4].bytes;
            // The second key frame: cut off, or nonsense behind what tells where it starts.
            if (garbage)
                std::fill(damaged.begin() + std::min<ptrdiff_t>(8, std::ssize(damaged)), damaged.end(), std::byte{0x55});
            if (!garbage) damaged.resize(damaged.size() / 3);
            StreamPlayer player(node);
            player.open(codec);
            const auto played = player.play(units);
            const auto md5s = md5sOf(played);
            REQUIRE(md5s.size() >= 8);
            CHECK(std::equal(md5s.begin(), md5s.begin() + 4, stream->frameMd5.begin()));
            CHECK(std::equal(md5s.end() - 4, md5s.end(), stream->frameMd5.end() - 4));
            errors += std::ranges::count_if(played, &Played::error);
        }
        // No codec notices every damage; each notices one of these.
        CHECK(errors > 0);
    }
}
