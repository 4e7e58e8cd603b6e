#include "container_traits.h"

extern "C" {
#include <libavutil/macros.h>
}

#include <algorithm>

#include "vc1_framing.h"

namespace daedalus::tools {
namespace {

using v4l2::Codec;
using Bytes = ContainerTraits::Bytes;

bool starts(Bytes bytes, std::initializer_list<unsigned> with) {
    if (bytes.size() < with.size()) return false;
    return std::ranges::equal(with, bytes.first(with.size()), {}, {},
                              [](std::byte byte) { return std::to_integer<unsigned>(byte); });
}

Bytes withStartCodes(Bytes headers) { return starts(headers, {0, 0, 1}) || starts(headers, {0, 0, 0, 1}) ? headers : Bytes{}; }

Bytes asTheyAre(Bytes headers) { return headers; }

/// An AV1CodecConfigurationRecord has its OBUs behind four bytes.
Bytes ofAv1(Bytes headers) {
    if (starts(headers, {0x81})) return headers.size() > 4 ? headers.subspan(4) : Bytes{};
    return headers;
}

/// ASF has a byte of its own in front.
Bytes fromStartCode(Bytes headers) {
    constexpr std::byte kCode[] = {std::byte{0}, std::byte{0}, std::byte{1}};
    const auto found = std::ranges::search(headers, kCode);
    return {found.begin(), headers.end()};
}

/// A temporal delimiter stays in front.
size_t temporalDelimiter(Bytes unit) { return starts(unit, {0x12, 0x00}) ? 2 : 0; }

/// The names by which a container says that Xvid made an MPEG-4 stream.
constexpr uint32_t kXvid[] = {MKTAG('X', 'V', 'I', 'D'), MKTAG('X', 'V', 'I', 'X'), MKTAG('R', 'M', 'P', '4'),
                              MKTAG('Z', 'M', 'P', '4'), MKTAG('S', 'I', 'P', 'P')};

/// Those with names before those of any name.
constexpr ContainerTraits kTable[] = {
    {
        .codec = Codec::H264,
        .ids = {AV_CODEC_ID_H264},
        .streamable = withStartCodes,
        .lengthsAt = 4,
        .startCodeFilter = "h264_mp4toannexb",
    },
    {
        .codec = Codec::Hevc,
        .ids = {AV_CODEC_ID_HEVC},
        .streamable = withStartCodes,
        .lengthsAt = 21,
        .startCodeFilter = "hevc_mp4toannexb",
    },
    {.codec = Codec::Vp8, .ids = {AV_CODEC_ID_VP8}},
    {.codec = Codec::Vp9, .ids = {AV_CODEC_ID_VP9}},
    {
        .codec = Codec::Av1,
        .ids = {AV_CODEC_ID_AV1},
        .streamable = ofAv1,
        .ahead = temporalDelimiter,
        // After frames before the first key frame libdav1d would refuse that, too.
        .headersWithKeyOnly = true,
    },
    // Pictures before the first sequence header lack their references: with a header they would come out as garbage.
    {.codec = Codec::Mpeg2, .ids = {AV_CODEC_ID_MPEG2VIDEO}, .streamable = withStartCodes, .headersWithKeyOnly = true},
    {.codec = Codec::Mpeg1, .ids = {AV_CODEC_ID_MPEG1VIDEO}, .streamable = withStartCodes, .headersWithKeyOnly = true},
    {.codec = Codec::Xvid, .ids = {AV_CODEC_ID_MPEG4}, .tags = kXvid, .streamable = withStartCodes},
    {.codec = Codec::Mpeg4, .ids = {AV_CODEC_ID_MPEG4}, .streamable = withStartCodes},
    {.codec = Codec::H263, .ids = {AV_CODEC_ID_H263, AV_CODEC_ID_H263P}},
    {.codec = Codec::Flv1, .ids = {AV_CODEC_ID_FLV1}},
    {.codec = Codec::Mjpeg, .ids = {AV_CODEC_ID_MJPEG}},
    {
        .codec = Codec::Vc1G,
        .ids = {AV_CODEC_ID_VC1},
        .streamable = fromStartCode,
        .framed = [](Bytes frame, bool) { return vc1WithStartCode(frame); },
    },
    {
        .codec = Codec::Vc1L,
        .ids = {AV_CODEC_ID_WMV3},
        .streamable = asTheyAre,
        .sequence = vc1SequenceLayer,
        .framed = vc1FrameLayer,
    },
};

constexpr bool hasAll() {
    for (size_t codec = 0; codec <= static_cast<size_t>(Codec::Vc1L); ++codec)
        if (std::ranges::count(kTable, static_cast<Codec>(codec), &ContainerTraits::codec) != 1) return false;
    return true;
}
static_assert(hasAll());

}  // namespace

const ContainerTraits& containerTraitsOf(v4l2::Codec codec) {
    return *std::ranges::find(kTable, codec, &ContainerTraits::codec);
}

std::optional<v4l2::Codec> codecOf(const AVCodecParameters& parameters) {
    const auto* const found = std::ranges::find_if(kTable, [&](const ContainerTraits& row) {
        const bool isId = parameters.codec_id != AV_CODEC_ID_NONE && std::ranges::count(row.ids, parameters.codec_id) > 0;
        return isId && (row.tags.empty() || std::ranges::count(row.tags, parameters.codec_tag) > 0);
    });
    return found == std::end(kTable) ? std::nullopt : std::optional(found->codec);
}

}  // namespace daedalus::tools
