#include "contents.h"

#include <map>
#include <string_view>

#include "daedalus/v4l2/formats.h"
#include "daedalus/v4l2/uapi.h"
#include "tests/support/synth.h"

namespace daedalus::fuzz {
namespace {

constexpr auto kHeaders = std::to_array<std::string_view>({
    "size 64x48\n",
    "size 48x64 min 4\n",
    "size 96x64 crop 2,2,4,6\n",
    "size 64x48 depth 10\n",
    "size 64x64 reorder 2\n",
    "size 64x48 chroma 422\n",
    "size 64x48 interlaced\n",
    "size 16x16 chroma mono min 9\n",
});

constexpr auto kLines = std::to_array<std::string_view>({
    "frame 0 I\n",
    "frame 1 P\n",
    "frame 2 B\n",
    "frame 3\n",
    "frame 9 P\nframe 8 B\n",
    "frame 4 damaged\n",
    "damage it\n",
    "nothing\n",
    "eos\n",
    "fatal 5\n",
});

void append(std::vector<std::byte>& bytes, std::string_view text) {
    const auto more = std::as_bytes(std::span(text));
    bytes.insert(bytes.end(), more.begin(), more.end());
}

void append(std::vector<std::byte>& bytes, std::span<const uint8_t> raw) {
    const auto more = std::as_bytes(raw);
    bytes.insert(bytes.end(), more.begin(), more.end());
}

/// A small stream of every codec, made when it is first asked for.
const std::vector<test::AccessUnit>& unitsOf(uint32_t fourcc) {
    static std::map<v4l2::Codec, std::vector<test::AccessUnit>> made;
    v4l2::Codec codec = v4l2::Codec::H264;
    for (const auto& coded : v4l2::codedFormats())
        if (coded.fourcc == fourcc) codec = coded.codec;
    const auto found = made.find(codec);
    if (found != made.end()) return found->second;
    auto stream = test::synth(codec, 64, 48, 4, {.bframes = 1, .gop = 3});
    return made[codec] = stream ? std::move(stream->units) : std::vector<test::AccessUnit>{};
}

std::vector<std::byte> unit(uint32_t fourcc, size_t index) {
    const auto& units = unitsOf(fourcc);
    return units.empty() ? std::vector<std::byte>{} : units[index % units.size()].bytes;
}

}  // namespace

uint32_t pickCoded(Input& input) {
    const auto coded = v4l2::codedFormats();
    const uint8_t choice = input.byte();
    return choice < 240 ? coded[choice % coded.size()].fourcc : choice < 248 ? V4L2_PIX_FMT_NV12M : input.word();
}

uint32_t pickRaw(Input& input) {
    static constexpr auto kRaw =
        std::to_array<uint32_t>({V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_NV12M, V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_YUV420M,
                                 V4L2_PIX_FMT_P010, V4L2_PIX_FMT_P012, V4L2_PIX_FMT_H264});
    const uint8_t choice = input.byte();
    return choice < 248 ? kRaw[choice % kRaw.size()] : input.word();
}

std::vector<std::byte> streamStart(Stage::Codecs codecs, uint32_t fourcc, Input& input) {
    if (codecs == Stage::Codecs::Ffmpeg) return unit(fourcc, 0);
    std::vector<std::byte> bytes;
    append(bytes, input.pick(kHeaders));
    append(bytes, kLines[0]);
    return bytes;
}

std::vector<std::byte> streamPiece(Stage::Codecs codecs, uint32_t fourcc, Input& input) {
    std::vector<std::byte> bytes;
    if (codecs == Stage::Codecs::Ffmpeg) {
        const uint8_t choice = input.byte();
        if (choice >= 224) {
            append(bytes, input.bytes(choice));
            return bytes;
        }
        bytes = unit(choice >= 208 ? pickCoded(input) : fourcc, choice);
        if (bytes.empty() || choice < 128) return bytes;
        for (uint32_t changes = 1 + input.below(4); changes > 0; --changes) {
            const size_t at = input.half() % bytes.size();
            bytes[at] ^= static_cast<std::byte>(1 + input.byte());
        }
        if (choice % 4 == 0) bytes.resize(input.half() % bytes.size());
        return bytes;
    }
    for (uint32_t lines = 1 + input.below(6); lines > 0; --lines) {
        const uint8_t choice = input.byte();
        if (choice < 160) {
            append(bytes, kLines[choice % kLines.size()]);
        } else if (choice < 208) {
            append(bytes, kHeaders[choice % kHeaders.size()]);
        } else {
            append(bytes, input.bytes(choice - 200));
        }
    }
    return bytes;
}

}  // namespace daedalus::fuzz
