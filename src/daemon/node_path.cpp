#include "node_path.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cstring>

namespace daedalus::daemon {

Result<std::string> chooseNode(const std::string& wanted, const v4l2::HostFolders& host,
                               const std::function<bool(unsigned)>& isHeld) {
    if (wanted.empty()) {
        const auto free = v4l2::freeNode(host, isHeld);
        return free ? Result<std::string>(v4l2::nodePath(*free)) : fail(ENOSPC);
    }
    const auto number = v4l2::nodeNumber(wanted);
    if (!number) return fail(EINVAL);
    if ((isHeld && isHeld(*number)) || v4l2::isNodeTaken(*number, host)) return fail(EEXIST);
    return wanted;
}

Result<std::vector<PlannedNode>> planNodes(const NodeKinds& kinds, const std::string& wanted) {
    std::vector<PlannedNode> nodes;
    const auto isPlanned = [&nodes](unsigned number) {
        return std::ranges::find(nodes, v4l2::nodePath(number), &PlannedNode::path) != nodes.end();
    };
    for (const ioctl::NodeKind* kind : kinds) {
        auto path = chooseNode(nodes.empty() ? wanted : std::string(), {}, isPlanned);
        if (!path) return fail(path.error());
        nodes.push_back({kind, *std::move(path)});
    }
    return nodes;
}

std::string listed(const std::vector<PlannedNode>& nodes) {
    std::string text;
    for (const auto& node : nodes) {
        if (!text.empty()) text += ", ";
        text += node.path;
        if (nodes.size() > 1 || node.kind != defaultKinds().front()) text += fmt::format(" ({})", node.kind->name);
    }
    return text;
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
