// Which of the coded formats ENUM_FMT tells.
#pragma once

#include "daedalus/v4l2/formats.h"

namespace daedalus::v4l2 {

/// False for formats that S_FMT takes and ENUM_FMT leaves out: with them on its list v4l2-compliance or GStreamer would take a
/// video decoder for something else (docs/deviations.md). Any thread.
[[nodiscard]] bool isListed(const CodedFormat& coded);

}  // namespace daedalus::v4l2
