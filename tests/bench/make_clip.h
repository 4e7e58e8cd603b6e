// The clips that are decoded: made here, so that the figures can be had anywhere.
#pragma once

#include <string>

namespace daedalus::bench {

/// Makes the clip of a codec in `folder` with the ffmpeg command, unless it is there already, and returns its path; empty if
/// that failed, which is said on stderr.
[[nodiscard]] std::string makeClip(const std::string& codec, const std::string& folder);

}  // namespace daedalus::bench
