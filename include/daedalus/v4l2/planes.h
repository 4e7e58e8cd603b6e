// Which of V4L2's two buffer APIs a node speaks.
#pragma once

#include <cstdint>

#include "daedalus/v4l2/formats.h"

namespace daedalus::v4l2 {

/// A node speaks one of them.
enum class PlanesApi : uint8_t {
    Multi,   ///< V4L2_CAP_VIDEO_M2M_MPLANE: a buffer has one or more memory planes
    Single,  ///< V4L2_CAP_VIDEO_M2M: a buffer is one piece of memory
};

/// Whether CAPTURE can have this format.
[[nodiscard]] constexpr bool hasFormat(PlanesApi api, const RawFormat& raw) {
    return api == PlanesApi::Multi || raw.memoryPlanes == 1;
}

}  // namespace daedalus::v4l2
