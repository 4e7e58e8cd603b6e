#include "vc1_framing.h"

#include <algorithm>

namespace daedalus::tools {
namespace {

using Bytes = std::span<const std::byte>;

constexpr size_t kStructC = 4;
constexpr size_t kStructB = 12;

void append(std::vector<std::byte>& to, Bytes bytes) {
    for (const std::byte byte : bytes) to.push_back(byte);
}

void appendNumber(std::vector<std::byte>& to, uint32_t number) {
    for (unsigned shift = 0; shift < 32; shift += 8) to.push_back(static_cast<std::byte>(number >> shift & 0xFF));
}

}  // namespace

std::vector<std::byte> vc1SequenceLayer(Bytes structC, uint32_t width, uint32_t height) {
    std::vector<std::byte> layer;
    if (structC.size() < kStructC) return layer;
    constexpr uint32_t kUnknownFrames = 0xC5FFFFFF;
    appendNumber(layer, kUnknownFrames);
    appendNumber(layer, kStructC);
    append(layer, structC.first(kStructC));
    appendNumber(layer, height);
    appendNumber(layer, width);
    appendNumber(layer, kStructB);
    // Level, buffer and bit rate are unknown; so is the frame rate.
    constexpr uint32_t kUnknownRate = 0xFFFFFFFF;
    appendNumber(layer, 0);
    appendNumber(layer, 0);
    appendNumber(layer, kUnknownRate);
    return layer;
}

std::vector<std::byte> vc1FrameLayer(Bytes frame, bool isKey) {
    constexpr uint32_t kKey = 1U << 31;
    constexpr size_t kLongest = (size_t{1} << 24) - 1;
    std::vector<std::byte> layer;
    if (frame.size() > kLongest) return layer;
    layer.reserve(8 + frame.size());
    appendNumber(layer, static_cast<uint32_t>(frame.size()) | (isKey ? kKey : 0));
    appendNumber(layer, 0);  // the buffer's timestamp counts
    append(layer, frame);
    return layer;
}

std::vector<std::byte> vc1WithStartCode(Bytes frame) {
    constexpr std::byte kCode[] = {std::byte{0}, std::byte{0}, std::byte{1}, std::byte{0x0D}};
    std::vector<std::byte> whole;
    if (frame.size() >= 3 && std::ranges::equal(frame.first(3), std::span(kCode).first(3))) return whole;
    append(whole, kCode);
    append(whole, frame);
    return whole;
}

}  // namespace daedalus::tools
