// Which /dev/videoN a daemon serves.
#pragma once

#include <optional>
#include <string>

#include "daedalus/base/result.h"

namespace daedalus::daemon {

/// The number N of "/dev/videoN", or nothing if the path is not of this form or N is not a V4L2 minor (0 to 255).
[[nodiscard]] std::optional<unsigned> nodeNumber(const std::string& path);

/// The path to serve: `wanted` if it is not empty, else the lowest number that the host has no node for. EINVAL: `wanted` is
/// not /dev/videoN; EEXIST: the host has a node there; ENOSPC: all numbers are taken. `deviceFolder` and `classFolder` are
/// for tests.
[[nodiscard]] Result<std::string> chooseNode(const std::string& wanted, const std::string& deviceFolder = "/dev",
                                             const std::string& classFolder = "/sys/class/video4linux");

/// What to tell the user of chooseNode()'s error.
[[nodiscard]] std::string nodeFailure(const std::string& wanted, Errno error);

}  // namespace daedalus::daemon
