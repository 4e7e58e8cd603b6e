// Tiny streams made at run time with libavcodec's encoders, so that tests need no files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daedalus/v4l2/formats.h"
#include "daedalus/v4l2/stream_facts.h"
#include "reference.h"

namespace daedalus::test {

/// Luma samples that the stream's headers cut off each side. H.264 and HEVC only; with 4:2:0 all four must be even.
struct SynthCrop {
    unsigned left = 0;
    unsigned top = 0;
    unsigned right = 0;
    unsigned bottom = 0;
};

struct SynthOptions {
    unsigned bframes = 0;  ///< consecutive B pictures; ignored by codecs without them, and by VP8, VP9 and AV1
    unsigned gop = 12;     ///< pictures from one key frame to the next
    unsigned slices = 1;   ///< H.264, MPEG-1 and MPEG-2
    uint8_t bitDepth = 8;  ///< 8 or 10; 10 for H.264, HEVC, VP9 and AV1
    v4l2::Chroma chroma = v4l2::Chroma::Yuv420;
    bool interlaced = false;   ///< H.264 (MBAFF), MPEG-2 and MPEG-4; the top field first
    bool bottomFirst = false;  ///< the bottom field first, where it is interlaced
    bool wideColours = false;  ///< BT.2020, PQ, full range, as far as the codec can say so
    uint32_t aspectNum = 0;    ///< width over height of a pixel, where the codec can say so; 0: unsaid
    uint32_t aspectDen = 1;
    bool hdr10 = false;  ///< H.264 and HEVC: kSynthDisplay and kSynthLight
    SynthCrop crop;
    uint32_t seed = 1;  ///< another seed, another picture content
};

/// The HDR10 metadata of SynthOptions::hdr10.
inline constexpr v4l2::MasteringDisplay kSynthDisplay = {
    {13250, 7500, 34000}, {34500, 3000, 16000}, 15635, 16450, 10'000'000, 50};
inline constexpr v4l2::ContentLight kSynthLight = {1000, 400};

/// A stream and what libavcodec itself decodes from it on one thread.
struct SynthStream {
    v4l2::Codec codec{};
    uint32_t width = 0;  ///< of the first frame's visible part
    uint32_t height = 0;
    std::vector<AccessUnit> units;
    /// MD5 (hex) of each decoded frame in display order: the visible samples in the native planar format, no padding between
    /// lines or planes, as FFmpeg's framemd5 computes it.
    std::vector<std::string> frameMd5;

    /// The whole elementary stream in one piece.
    [[nodiscard]] std::vector<std::byte> bytes() const;
};

/// Encodes `frames` moving pictures of `width` x `height` before cropping (H.263: multiples of 4). Nothing if this libavcodec
/// has no encoder for that.
[[nodiscard]] std::optional<SynthStream> synth(v4l2::Codec codec, uint32_t width, uint32_t height, unsigned frames,
                                               const SynthOptions& options = {});

/// `first` followed by `second`, as one stream (a change of size if theirs differ). The MD5s are computed anew.
[[nodiscard]] SynthStream join(const SynthStream& first, const SynthStream& second);

}  // namespace daedalus::test
