// What one session is granted.
#pragma once

#include <chrono>
#include <cstdint>

#include "daedalus/v4l2/formats.h"

namespace daedalus::m2m {

/// Limits of one session. A stream that goes beyond them makes both of its queues answer EIO until they are stopped.
struct SessionLimits {
    /// Largest coded size in pixels.
    uint32_t maxWidth = v4l2::kMaxDimension;
    uint32_t maxHeight = v4l2::kMaxDimension;
    /// Bytes of MMAP buffers and of pictures that libavcodec holds; a call that wants more gets ENOMEM.
    uint64_t memory = uint64_t{4} << 30;
    /// The longest that the decoder may be busy with one access unit; 0: for ever.
    std::chrono::milliseconds decodeTime{30'000};
    /// How long a question for CAPTURE's format may wait for the headers of what OUTPUT got last.
    std::chrono::milliseconds headersTime{100};
};

}  // namespace daedalus::m2m
