#include "extradata.h"

#include <algorithm>

namespace daedalus::tools {
namespace {

using Bytes = std::span<const std::byte>;

bool starts(Bytes bytes, std::initializer_list<unsigned> with) {
    if (bytes.size() < with.size()) return false;
    return std::ranges::equal(with, bytes.first(with.size()), {}, {},
                              [](std::byte byte) { return std::to_integer<unsigned>(byte); });
}

/// The part of `extradata` that could stand in the stream itself.
Bytes streamable(v4l2::Codec codec, Bytes extradata) {
    switch (codec) {
        case v4l2::Codec::Av1:
            // An AV1CodecConfigurationRecord has its OBUs behind four bytes.
            if (starts(extradata, {0x81})) return extradata.size() > 4 ? extradata.subspan(4) : Bytes{};
            return extradata;
        case v4l2::Codec::H264:
        case v4l2::Codec::Hevc:
        case v4l2::Codec::Mpeg2:
        case v4l2::Codec::Mpeg1:
        case v4l2::Codec::Mpeg4:
        case v4l2::Codec::Xvid:
            if (starts(extradata, {0, 0, 1}) || starts(extradata, {0, 0, 0, 1})) return extradata;
            return {};
        case v4l2::Codec::Vc1G: {
            // ASF has a byte of its own in front.
            constexpr std::byte kCode[] = {std::byte{0}, std::byte{0}, std::byte{1}};
            const auto found = std::ranges::search(extradata, kCode);
            return {found.begin(), extradata.end()};
        }
        case v4l2::Codec::Vc1L:
            return extradata;
        case v4l2::Codec::Vp8:
        case v4l2::Codec::Vp9:
        case v4l2::Codec::H263:
        case v4l2::Codec::Flv1:
        case v4l2::Codec::Mjpeg:
            return {};
    }
    return {};
}

}  // namespace

std::vector<std::byte> withExtradata(v4l2::Codec codec, Bytes extradata, Bytes unit) {
    const Bytes parameters = streamable(codec, extradata);
    if (parameters.empty() || !std::ranges::search(unit, parameters).empty()) return {};
    // A temporal delimiter stays in front.
    const size_t head = codec == v4l2::Codec::Av1 && starts(unit, {0x12, 0x00}) ? 2 : 0;
    std::vector<std::byte> whole;
    whole.reserve(parameters.size() + unit.size());
    whole.insert(whole.end(), unit.begin(), unit.begin() + static_cast<std::ptrdiff_t>(head));
    whole.insert(whole.end(), parameters.begin(), parameters.end());
    whole.insert(whole.end(), unit.begin() + static_cast<std::ptrdiff_t>(head), unit.end());
    return whole;
}

}  // namespace daedalus::tools
