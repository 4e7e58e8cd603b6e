#include "node_path.h"

#include <spdlog/fmt/fmt.h>

#include <cstring>

namespace daedalus::daemon {

Result<std::string> chooseNode(const std::string& wanted, const v4l2::HostFolders& host) {
    if (wanted.empty()) {
        const auto free = v4l2::freeNode(host);
        return free ? Result<std::string>(v4l2::nodePath(*free)) : fail(ENOSPC);
    }
    const auto number = v4l2::nodeNumber(wanted);
    if (!number) return fail(EINVAL);
    if (v4l2::isNodeTaken(*number, host)) return fail(EEXIST);
    return wanted;
}

std::string nodeFailure(const std::string& wanted, Errno error) {
    switch (error.value) {
        case EINVAL:
            return fmt::format("--node {}: not a V4L2 node's path; give /dev/videoN with N from 0 to 255", wanted);
        case EEXIST:
            return fmt::format("--node {}: this host has a node of that name; choose another number, or leave --node out",
                               wanted);
        case ENOSPC:
            return "no number from /dev/video0 to /dev/video255 is free; force one of them with --node after removing its node";
        default:
            return fmt::format("--node {}: {}", wanted, std::strerror(error.value));
    }
}

}  // namespace daedalus::daemon
