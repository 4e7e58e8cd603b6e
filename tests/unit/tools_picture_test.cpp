#include <catch2/catch.hpp>
#include <cstring>

#include "src/tools/extradata.h"
#include "src/tools/picture.h"

using namespace daedalus;
using tools::Order;
using tools::Picture;

namespace {

/// A coded frame whose every sample says where it is, in the layout that the node itself uses.
struct Frame {
    Frame(uint32_t fourcc, uint32_t width, uint32_t height) {
        picture.format = v4l2::findRaw(fourcc);
        REQUIRE(picture.format != nullptr);
        const auto layout = v4l2::layoutOf(*picture.format, width, height);
        picture.codedHeight = height;
        picture.visible = {0, 0, width, height};
        for (uint32_t i = 0; i < layout.memoryPlanes; ++i) {
            memory[i].resize(layout.sizeImage[i], std::byte{0xee});
            picture.bytesPerLine[i] = layout.bytesPerLine[i];
        }
        for (uint32_t i = 0; i < layout.components; ++i) {
            const auto& component = layout.component[i];
            for (uint32_t y = 0; y < component.height; ++y)
                for (uint32_t x = 0; x < component.width; ++x)
                    memory[component.memoryPlane][component.offset + y * component.stride + x] = sample(i, x, y);
        }
        for (uint32_t i = 0; i < layout.memoryPlanes; ++i) picture.planes[i] = memory[i];
    }
    static std::byte sample(uint32_t component, uint32_t x, uint32_t y) {
        return static_cast<std::byte>(component * 64 + (y % 8) * 8 + x % 8);
    }
    Picture picture;
    std::array<std::vector<std::byte>, 3> memory;
};

std::vector<std::byte> packed(const Picture& picture, Order order) {
    std::vector<std::byte> out;
    REQUIRE(tools::packVisible(picture, order, out));
    return out;
}

std::vector<std::byte> bytes(std::initializer_list<int> values) {
    std::vector<std::byte> out;
    for (const int value : values) out.push_back(static_cast<std::byte>(value));
    return out;
}

}  // namespace

TEST_CASE("padding is left out, and one and several memory planes give the same") {
    for (const auto& [single, multiple] :
         {std::pair{V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_NV12M}, std::pair{V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_YUV420M},
          std::pair{V4L2_PIX_FMT_YUV422P, V4L2_PIX_FMT_YUV422M}}) {
        for (auto [width, height] : {std::pair{18U, 6U}, std::pair{64U, 16U}}) {
            const auto one = packed(Frame(single, width, height).picture, Order::Capture);
            CHECK(one == packed(Frame(multiple, width, height).picture, Order::Capture));
            CHECK(one.size() == (single == V4L2_PIX_FMT_YUV422P ? width * height * 2 : width * height * 3 / 2));
            CHECK(std::ranges::find(one, std::byte{0xee}) == one.end());
        }
    }
}

TEST_CASE("a crop takes the rectangle and the chroma that belongs to it") {
    Frame frame(V4L2_PIX_FMT_YUV420, 16, 8);
    frame.picture.visible = {2, 4, 3, 1};
    CHECK(packed(frame.picture, Order::Capture) == bytes({34, 35, 36, 64 + 17, 64 + 18, 128 + 17, 128 + 18}));
}

TEST_CASE("native order takes interleaved chroma apart") {
    Frame frame(V4L2_PIX_FMT_NV12, 16, 8);
    frame.picture.visible = {0, 0, 4, 2};
    CHECK(packed(frame.picture, Order::Native) == bytes({0, 1, 2, 3, 8, 9, 10, 11, 64, 66, 65, 67}));
}

TEST_CASE("native order has the samples of P010 in the low bits") {
    Frame frame(V4L2_PIX_FMT_P010, 16, 8);
    std::vector<std::byte>& memory = frame.memory[0];
    const uint16_t value = 0x3ff << 6;
    std::memcpy(memory.data(), &value, 2);
    frame.picture.visible = {0, 0, 1, 1};
    const auto out = packed(frame.picture, Order::Native);
    REQUIRE(out.size() == 6);
    CHECK(out[0] == std::byte{0xff});
    CHECK(out[1] == std::byte{0x03});
}

TEST_CASE("native order is what the stream has, not what carries it") {
    // 10 bits in a format of 12.
    Frame deep(V4L2_PIX_FMT_YUV48_12, 16, 8);
    const uint16_t words[] = {0x3ff << 6, 0x155 << 6, 1 << 6};
    std::memcpy(deep.memory[0].data(), words, sizeof words);
    deep.picture.visible = {0, 0, 1, 1};
    deep.picture.stream = {v4l2::Chroma::Yuv444, 10};
    CHECK(packed(deep.picture, Order::Native) == bytes({0xff, 3, 0x55, 1, 1, 0}));
    // 4:4:0, whose chroma lines come twice.
    Frame lines(V4L2_PIX_FMT_YUV444M, 16, 8);
    lines.picture.visible = {0, 2, 1, 3};
    lines.picture.stream = {v4l2::Chroma::Yuv440, 8};
    CHECK(packed(lines.picture, Order::Native) == bytes({16, 24, 32, 64 + 16, 64 + 32, 128 + 16, 128 + 32}));
    // A node that tells what cannot be is not believed.
    lines.picture.stream = {v4l2::Chroma::Yuv420, 8};
    CHECK(packed(lines.picture, Order::Native).size() == 9);
}

TEST_CASE("native order of RGB is green, blue, red") {
    for (const auto& [fourcc, expected] :
         {std::pair{V4L2_PIX_FMT_RGB24, bytes({1, 4, 2, 5, 0, 3})}, std::pair{V4L2_PIX_FMT_BGR24, bytes({1, 4, 0, 3, 2, 5})},
          std::pair{V4L2_PIX_FMT_XBGR32, bytes({1, 5, 0, 4, 2, 6})}}) {
        Frame frame(fourcc, 16, 8);
        frame.picture.visible = {0, 0, 2, 1};
        CHECK(packed(frame.picture, Order::Native) == expected);
    }
}

TEST_CASE("whole pixels of 4:2:2 are cut in pairs") {
    Frame frame(V4L2_PIX_FMT_Y210, 16, 8);
    frame.picture.visible = {3, 1, 2, 1};
    // Luma from column 2 on, with the chroma of that pair.
    CHECK(packed(frame.picture, Order::Capture).size() == 8);
    CHECK(packed(frame.picture, Order::Capture).front() == std::byte{8});
}

TEST_CASE("a rectangle outside of the memory is refused") {
    Frame frame(V4L2_PIX_FMT_NV12, 16, 8);
    std::vector<std::byte> out;
    for (const v4l2::Rect rect : {v4l2::Rect{-1, 0, 4, 4}, v4l2::Rect{0, 1000, 4, 4}, v4l2::Rect{0, 0, 4, 0xffffffff},
                                  v4l2::Rect{0, 0, 0xffffffff, 8}, v4l2::Rect{0x7fffffff, 0x7fffffff, 1, 1}, v4l2::Rect{}}) {
        frame.picture.visible = rect;
        CHECK_FALSE(tools::packVisible(frame.picture, Order::Capture, out));
    }
}

TEST_CASE("parameters that only the container has go in front of the stream") {
    const auto parameters = bytes({0, 0, 0, 1, 0x67, 1});
    const auto unit = bytes({0, 0, 0, 1, 0x65, 2});
    auto both = parameters;
    both.insert(both.end(), unit.begin(), unit.end());
    CHECK(tools::withExtradata(v4l2::Codec::H264, parameters, unit) == both);
    CHECK(tools::withExtradata(v4l2::Codec::H264, parameters, both).empty());
    CHECK(tools::withExtradata(v4l2::Codec::H264, bytes({1, 0x64, 0, 0}), unit).empty());
    CHECK(tools::withExtradata(v4l2::Codec::H264, {}, unit).empty());
    CHECK(tools::withExtradata(v4l2::Codec::Av1, bytes({0x81, 0, 0, 0, 0x0a, 7}), bytes({0x12, 0, 0x32})) ==
          bytes({0x12, 0, 0x0a, 7, 0x32}));
}
