// A picture that libavcodec decoded.
#pragma once

#include <optional>

#include "av.h"
#include "daedalus/codec/decoder.h"

namespace daedalus::codec::ffmpeg {

/// What an access unit's headers add to what AVFrame says, and its tag.
struct UnitInfo {
    uint64_t tag = 0;
    uint8_t minCaptureBuffers = 2;
    bool interlaced = false;
};

/// The frame's format in our terms; nothing for sizes and pixel layouts that no node can have.
[[nodiscard]] std::optional<StreamFormat> formatOf(const AVFrame& frame, const UnitInfo& unit);

/// Takes over the frame. `format` is formatOf() it.
[[nodiscard]] std::unique_ptr<Frame> makeFrame(FramePtr frame, const StreamFormat& format, uint64_t tag);

}  // namespace daedalus::codec::ffmpeg
