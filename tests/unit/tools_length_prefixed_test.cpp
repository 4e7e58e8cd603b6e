#include <array>
#include <catch2/catch.hpp>
#include <vector>

#include "src/tools/length_prefixed.h"

using namespace daedalus;

namespace {

std::vector<std::byte> bytes(std::initializer_list<unsigned> values) {
    std::vector<std::byte> made;
    for (const unsigned value : values) made.push_back(static_cast<std::byte>(value));
    return made;
}

}  // namespace

TEST_CASE("containers tell how long lengths are") {
    CHECK(tools::lengthBytes(v4l2::Codec::H264, bytes({1, 100, 0, 30, 0xff})) == 4);
    CHECK(tools::lengthBytes(v4l2::Codec::H264, bytes({1, 100, 0, 30, 0xfd})) == 2);
    CHECK(tools::lengthBytes(v4l2::Codec::H264, bytes({1, 100, 0, 30})) == 0);
    CHECK(tools::lengthBytes(v4l2::Codec::H264, bytes({0, 0, 0, 1, 0x67})) == 0);
    CHECK(tools::lengthBytes(v4l2::Codec::Av1, bytes({1, 2, 3, 4, 5})) == 0);
    std::vector<std::byte> hevc(22);
    hevc[0] = std::byte{1};
    hevc[21] = std::byte{0x0f};
    CHECK(tools::lengthBytes(v4l2::Codec::Hevc, hevc) == 4);
}

TEST_CASE("packets whose units do not fit are found") {
    CHECK(tools::hasWholeUnits(bytes({0, 0, 0, 2, 8, 8, 0, 0, 0, 1, 9}), 4));
    CHECK_FALSE(tools::hasWholeUnits(bytes({0, 0, 0, 2, 8, 8, 0, 0, 0, 2, 9}), 4));
    CHECK_FALSE(tools::hasWholeUnits(bytes({0, 0, 0, 0, 8, 8}), 4));
    CHECK_FALSE(tools::hasWholeUnits(bytes({0xff, 0xff, 0xff, 0xff, 8}), 4));
    CHECK(tools::hasWholeUnits(bytes({0, 3, 8, 8, 8}), 2));
    // Too short for a unit: ignored.
    CHECK(tools::hasWholeUnits(bytes({0, 0, 0, 1, 9, 7, 7, 7}), 4));
    CHECK(tools::hasWholeUnits({}, 4));
}
