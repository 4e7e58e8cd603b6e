// What a stream's headers say, read by ourselves: known as soon as the bytes are there, whatever delay the decoder has.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "bit_reader.h"
#include "daedalus/codec/decoder.h"

namespace daedalus::codec::bitstream {

/// The headers that are in force for an access unit.
struct StreamHeader {
    StreamFormat format;
    unsigned reorderDepth = 0;     ///< pictures that a decoder must hold back to give them in display order
    bool filmGrain = false;        ///< H.264, HEVC: the decoder puts grain on its pictures
    uint64_t maxPixels = 0;        ///< AV1: of the largest frame that the sequence may have
    std::vector<uint8_t> setup{};  ///< VC-1: what libavcodec has to know before it is opened; another one needs another decoder
};

/// V4L2_CID_MIN_BUFFERS_FOR_CAPTURE. Frames are copied out, so that no buffer is held as a reference: the depth that the client
/// would see from hardware, one buffer to fill and one on its way back.
[[nodiscard]] constexpr uint8_t minCaptureBuffers(unsigned reorderDepth) {
    return static_cast<uint8_t>(std::clamp(reorderDepth + 2, 2U, 32U));
}

/// The coded size that is shown to clients for a decoder's size in one direction.
[[nodiscard]] constexpr uint32_t codedDimension(uint32_t pixels) {
    const uint32_t rounded = (pixels + v4l2::kDimensionStep - 1) / v4l2::kDimensionStep * v4l2::kDimensionStep;
    return std::max(rounded, v4l2::kMinDimension);
}

/// False for sizes that no node of ours can have.
[[nodiscard]] constexpr bool sizeAllowed(uint64_t width, uint64_t height) {
    return width > 0 && height > 0 && width <= v4l2::kMaxDimension && height <= v4l2::kMaxDimension;
}

/// A frame of `width` x `height` without cropping.
inline void setSize(StreamFormat& format, uint32_t width, uint32_t height) {
    format.codedWidth = codedDimension(width);
    format.codedHeight = codedDimension(height);
    format.visible = {0, 0, width, height};
}

/// The header of a VP8 key frame; nothing for other frames.
[[nodiscard]] std::optional<StreamHeader> vp8Header(Bytes frame);
/// The header of the frame that a VP9 superframe shows, if it says its own size.
[[nodiscard]] std::optional<StreamHeader> vp9Header(Bytes superframe);
/// The sequence header (and the size of the first key frame) in an AV1 temporal unit, with the metadata that is in force.
/// `before`: what the units before it said.
[[nodiscard]] std::optional<StreamHeader> av1Header(Bytes temporalUnit, const std::optional<StreamHeader>& before);
/// The header of an H.263 picture, if it says its own size.
[[nodiscard]] std::optional<StreamHeader> h263Header(Bytes frame);
/// The header of a Sorenson Spark (FLV1) picture.
[[nodiscard]] std::optional<StreamHeader> flv1Header(Bytes frame);
/// The frame header of a JPEG image; nothing where only the decoder knows what it makes of its components.
[[nodiscard]] std::optional<StreamHeader> jpegHeader(Bytes image);

}  // namespace daedalus::codec::bitstream
