// Every way to cut a stream of bytes at its start codes gives the same access units.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "../../src/codec/bitstream/access_units.h"
#include "codec_support.h"

using namespace daedalus;
using namespace daedalus::test;
using codec::bitstream::AccessUnits;

namespace {

using Stream = std::vector<uint8_t>;
using Places = std::vector<size_t>;

/// Start codes, at the first of their zeros.
Places startCodes(const Stream& bytes) {
    Places found;
    for (size_t i = 0; i + 3 < bytes.size(); ++i)
        if (bytes[i] == 0 && bytes[i + 1] == 0 && bytes[i + 2] == 1) found.push_back(i > 0 && bytes[i - 1] == 0 ? i - 1 : i);
    return found;
}

/// What the unit behind a start code is, by its first byte.
unsigned kindOf(v4l2::Codec codec, const Stream& bytes, size_t place) {
    const unsigned first = bytes[place + (bytes[place + 2] == 1 ? 3 : 4)];
    if (codec == v4l2::Codec::H264) return first & 31U;
    if (codec == v4l2::Codec::Hevc) return first >> 1 & 63U;
    const bool slice = (codec == v4l2::Codec::Mpeg1 || codec == v4l2::Codec::Mpeg2) && first >= 1 && first <= 0xAF;
    return slice ? 1 : first;
}

/// The units of the stream cut at `places`, without the zeros around them, and the buffer that each starts in.
std::vector<Stream> unitsOf(v4l2::Codec codec, const Stream& bytes, const Places& places) {
    AccessUnits units(codec::traitsOf(codec));
    std::vector<Stream> all;
    const auto take = [&] {
        while (auto unit = units.pop()) {
            auto& data = unit->bytes;
            while (!data.empty() && data.back() == 0) data.pop_back();
            while (data.size() > 3 && data[2] == 0) data.erase(data.begin());
            all.push_back(std::move(data));
        }
    };
    size_t begin = 0;
    uint64_t tag = 0;
    const auto push = [&](size_t end) {
        CHECK(units.push(Stream(bytes.begin() + static_cast<ptrdiff_t>(begin), bytes.begin() + static_cast<ptrdiff_t>(end)),
                         tag++));
        if (units.tookBack()) all.clear();
        take();
        begin = end;
    };
    for (const size_t place : places)
        if (place > begin) push(place);
    push(bytes.size());
    units.finish();
    take();
    return all;
}

struct Named {
    const char* name;
    v4l2::Codec codec;
    Stream bytes;
    size_t pictures;
};

Stream bytesOf(const SynthStream& stream) {
    const auto bytes = stream.bytes();
    const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
    return {data, data + bytes.size()};
}

/// Units of these first bytes, each with a payload that says nothing to the syntax.
Stream made(std::initializer_list<uint8_t> firstBytes) {
    Stream bytes;
    uint8_t number = 0x40;
    for (const uint8_t first : firstBytes) {
        bytes.insert(bytes.end(), {0, 0, 1, first});
        for (int i = 0; i < 70; ++i) bytes.push_back(static_cast<uint8_t>(0x80 | (number + i)));
        ++number;
    }
    return bytes;
}

std::vector<Named> streams() {
    using v4l2::Codec;
    std::vector<Named> all;
    const auto add = [&](const char* name, Codec codec, unsigned frames, const SynthOptions& options) {
        const auto stream = synth(codec, 96, 80, frames, options);
        if (!stream) return skipWithoutEncoder();
        all.push_back({name, codec, bytesOf(*stream), frames});
    };
    add("H.264", Codec::H264, 6, {.bframes = 1, .gop = 3});
    add("H.264 of slices", Codec::H264, 6, {.gop = 3, .slices = 3});
    add("H.264 of interlaced pictures", Codec::H264, 6, {.gop = 3, .slices = 2, .interlaced = true});
    add("HEVC", Codec::Hevc, 6, {.bframes = 1, .gop = 3});
    add("MPEG-1", Codec::Mpeg1, 6, {.bframes = 1, .gop = 3});
    add("MPEG-2", Codec::Mpeg2, 6, {.bframes = 1, .gop = 3});
    add("MPEG-2 of interlaced pictures", Codec::Mpeg2, 6, {.gop = 3, .interlaced = true});
    add("MPEG-4", Codec::Mpeg4, 6, {.bframes = 1, .gop = 3});
    all.push_back({"VC-1", Codec::Vc1G, made({0x0F, 0x0E, 0x0D, 0x0D, 0x0E, 0x0D, 0x0F, 0x0E, 0x0D}), 4});
    all.push_back({"VC-1 of slices, fields and user data", Codec::Vc1G,
                   made({0x0F, 0x1F, 0x0E, 0x1E, 0x0D, 0x1D, 0x0B, 0x1B, 0x0B, 0x0C, 0x0B, 0x0D, 0x0B, 0x0C, 0x0B, 0x0E, 0x0D,
                         0x0C, 0x0A}),
                   3});
    return all;
}

}  // namespace

TEST_CASE("cuts at start codes") {
    for (const auto& [name, codec, bytes, pictures] : streams()) {
        const Places codes = startCodes(bytes);
        const auto whole = unitsOf(codec, bytes, {});
        CHECK(whole.size() == pictures);
        const auto same = [&, &label = name](const std::string& how, const Places& places) {
            CAPTURE(label, how);
            CHECK(unitsOf(codec, bytes, places) == whole);
        };
        same("at every one", codes);
        std::set<unsigned> kinds;
        for (const size_t code : codes) kinds.insert(kindOf(codec, bytes, code));
        for (const unsigned kind : kinds) {
            Places before;
            Places behind;
            for (size_t i = 0; i < codes.size(); ++i) {
                if (kindOf(codec, bytes, codes[i]) != kind) continue;
                before.push_back(codes[i]);
                if (i + 1 < codes.size()) behind.push_back(codes[i + 1]);
            }
            same("before each of kind " + std::to_string(kind), before);
            same("behind each of kind " + std::to_string(kind), behind);
        }
        for (size_t step = 2; step <= 8; ++step)
            for (size_t first = 0; first < step; ++first) {
                Places places;
                for (size_t i = first; i < codes.size(); i += step) places.push_back(codes[i]);
                same("every " + std::to_string(step) + " from " + std::to_string(first), places);
            }
        for (size_t i = 0; i < codes.size(); ++i) {
            same("once, at " + std::to_string(i), {codes[i]});
            for (size_t k = i + 1; k < codes.size(); ++k)
                same("twice, at " + std::to_string(i) + " and " + std::to_string(k), {codes[i], codes[k]});
        }
    }
}
