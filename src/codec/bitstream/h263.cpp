// The picture headers of H.263 and of its cousin, Sorenson Spark (FLV1).
#include <array>

#include "stream_header.h"
#include "vui.h"

namespace daedalus::codec::bitstream {
namespace {

using Size = std::array<uint16_t, 2>;

/// The custom picture format of H.263: its size, and its aspect ratio if it has one.
bool readCustomFormat(BitReader& in, StreamFormat& format) {
    constexpr unsigned kExtendedAspect = 15;
    constexpr size_t kNamedAspects = 6;
    const unsigned code = in.bits(4);
    const uint32_t width = (in.bits(9) + 1) * 4;
    in.skip(1);
    const uint32_t height = in.bits(9) * 4;
    PixelAspect aspect = namedAspect(code, kNamedAspects);
    if (code == kExtendedAspect) {
        aspect.num = in.bits(8);
        aspect.den = in.bits(8);
    }
    if (!in.ok() || !sizeAllowed(width, height)) return false;
    setSize(format, width, height);
    setAspect(format, aspect);
    return true;
}

StreamHeader blank() {
    StreamHeader header;
    header.format.minCaptureBuffers = minCaptureBuffers(0);
    header.format.colorimetry = colorimetry(2, 2, 2, Range::Unknown);
    return header;
}

}  // namespace

std::optional<StreamHeader> h263Header(Bytes frame) {
    constexpr unsigned kStartCode = 0x20;
    constexpr std::array<Size, 6> kSizes = {{{0, 0}, {128, 96}, {176, 144}, {352, 288}, {704, 576}, {1408, 1152}}};
    constexpr unsigned kCustom = 6;
    constexpr unsigned kExtended = 7;
    BitReader in(frame);
    if (in.bits(22) != kStartCode) return std::nullopt;
    in.skip(8);  // time
    if (!in.flag() || in.flag()) return std::nullopt;
    in.skip(3);
    unsigned source = in.bits(3);
    StreamHeader header = blank();
    if (source == kExtended) {
        // Pictures that do not repeat the format have that of the picture before.
        if (in.bits(3) != 1) return std::nullopt;
        source = in.bits(3);
        in.skip(15 + 9);
        if (in.flag()) in.skip(2);
        if (source == kCustom) {
            if (!readCustomFormat(in, header.format)) return std::nullopt;
            return header;
        }
    }
    if (!in.ok() || source == 0 || source >= kSizes.size()) return std::nullopt;
    setSize(header.format, kSizes[source][0], kSizes[source][1]);
    header.format.pixelAspectNum = 12;
    header.format.pixelAspectDen = 11;
    return header;
}

std::optional<StreamHeader> flv1Header(Bytes frame) {
    constexpr std::array<Size, 7> kSizes = {{{0, 0}, {0, 0}, {352, 288}, {176, 144}, {128, 96}, {320, 240}, {160, 120}}};
    BitReader in(frame);
    if (in.bits(17) != 1 || in.bits(5) > 1) return std::nullopt;
    in.skip(8);  // time
    const unsigned code = in.bits(3);
    if (code >= kSizes.size()) return std::nullopt;
    uint32_t width = kSizes[code][0];
    uint32_t height = kSizes[code][1];
    if (code < 2) {
        const unsigned bits = code == 0 ? 8 : 16;
        width = in.bits(bits);
        height = in.bits(bits);
    }
    if (!in.ok() || !sizeAllowed(width, height)) return std::nullopt;
    StreamHeader header = blank();
    setSize(header.format, width, height);
    return header;
}

}  // namespace daedalus::codec::bitstream
