// Which /dev/videoN a daemon serves.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "daedalus/base/result.h"
#include "daedalus/daemon/daemon.h"
#include "daedalus/v4l2/node_name.h"

namespace daedalus::daemon {

/// The path to serve: `wanted` if it is not empty, else the lowest number that the host has no node for. EINVAL: `wanted` is
/// not /dev/videoN; EEXIST: the host has a node there; ENOSPC: all numbers are taken. `host` is for tests; `isHeld` tells
/// which numbers are taken beside the host's.
[[nodiscard]] Result<std::string> chooseNode(const std::string& wanted, const v4l2::HostFolders& host = {},
                                             const std::function<bool(unsigned)>& isHeld = {});

/// A node that a daemon is to serve.
struct PlannedNode {
    const ioctl::NodeKind* kind = nullptr;
    std::string path;
};
/// One node of each kind: the first at `wanted`, if that is not empty, the others at free numbers. Errors as chooseNode().
[[nodiscard]] Result<std::vector<PlannedNode>> planNodes(const NodeKinds& kinds, const std::string& wanted);
/// "/dev/video0", or "/dev/video0 (stateful), /dev/video1 (jpeg)".
[[nodiscard]] std::string listed(const std::vector<PlannedNode>& nodes);

/// What to tell the user of chooseNode()'s error.
[[nodiscard]] std::string nodeFailure(const std::string& wanted, Errno error);

}  // namespace daedalus::daemon
