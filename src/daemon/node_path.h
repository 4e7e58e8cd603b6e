// Which /dev/videoN a daemon serves.
#pragma once

#include <string>

#include "daedalus/base/result.h"
#include "daedalus/v4l2/node_name.h"

namespace daedalus::daemon {

/// The path to serve: `wanted` if it is not empty, else the lowest number that the host has no node for. EINVAL: `wanted` is
/// not /dev/videoN; EEXIST: the host has a node there; ENOSPC: all numbers are taken. `host` is for tests.
[[nodiscard]] Result<std::string> chooseNode(const std::string& wanted, const v4l2::HostFolders& host = {});

/// What to tell the user of chooseNode()'s error.
[[nodiscard]] std::string nodeFailure(const std::string& wanted, Errno error);

}  // namespace daedalus::daemon
