// The flags of v4l2_buffer that tell what kind of picture it holds.
#pragma once

#include <linux/videodev2.h>

#include <cstdint>

namespace daedalus::v4l2 {

/// All of them; a client may say one of an OUTPUT buffer, a decoder says one of a CAPTURE buffer.
inline constexpr uint32_t kFrameFlags = V4L2_BUF_FLAG_KEYFRAME | V4L2_BUF_FLAG_PFRAME | V4L2_BUF_FLAG_BFRAME;

}  // namespace daedalus::v4l2
