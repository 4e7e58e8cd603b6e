// A picture that libavcodec decoded.
#pragma once

#include <optional>

#include "av.h"
#include "daedalus/codec/decoder.h"

namespace daedalus::codec::ffmpeg {

/// An access unit that was sent to libavcodec: its tag, and what its headers add to what AVFrame says.
struct UnitInfo {
    uint64_t tag = 0;
    uint8_t minCaptureBuffers = StreamFormat{}.minCaptureBuffers;
    bool interlaced = false;
    bool bottomFirst = false;
    v4l2::Conformance conformance;
    v4l2::Hdr10 hdr10;
};

/// True if libavcodec takes it for a picture from which decoding can start.
[[nodiscard]] bool isMarkedKey(const AVFrame& frame);

/// Which of the frame's fields is the older one; nothing if it is not known to have two.
enum class FieldOrder : uint8_t { Unsaid, TopFirst, BottomFirst };
[[nodiscard]] FieldOrder fieldOrderOf(const AVFrame& frame);

/// The frame's format in our terms; nothing for sizes and pixel layouts that no node can have.
[[nodiscard]] std::optional<StreamFormat> formatOf(const AVFrame& frame, const UnitInfo& unit);

/// Takes over the frame. `format` is formatOf() it.
[[nodiscard]] std::unique_ptr<Frame> makeFrame(FramePtr frame, const StreamFormat& format, uint64_t tag);

}  // namespace daedalus::codec::ffmpeg
