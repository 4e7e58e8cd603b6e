// What plain libavcodec decodes from a stream: what tests hold the product's frames against.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "daedalus/v4l2/formats.h"

namespace daedalus::test {

/// One encoded picture (VP8, VP9: a frame or superframe; AV1: a temporal unit; H.264, HEVC: Annex B; else a picture with its
/// headers).
struct AccessUnit {
    std::vector<std::byte> bytes;
    bool key = false;
};

/// One decoded frame: the size of its visible part, and the MD5 (hex) of its samples as FFmpeg's framemd5 computes it.
struct ReferenceFrame {
    uint32_t width = 0;
    uint32_t height = 0;
    std::string md5;
};

/// Decodes the units with plain libavcodec: one thread, default flags, crops that misalign lines not dropped. In display order.
[[nodiscard]] std::vector<ReferenceFrame> referenceFrames(v4l2::Codec codec, std::span<const AccessUnit> units);

/// The MD5s of referenceFrames().
[[nodiscard]] std::vector<std::string> referenceMd5(v4l2::Codec codec, std::span<const AccessUnit> units);

/// MD5 as 32 hex digits.
[[nodiscard]] std::string md5(std::span<const std::byte> bytes);

}  // namespace daedalus::test
