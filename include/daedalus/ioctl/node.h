// What a transport sees of the device: a node that can be opened, and files that take calls.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <unordered_set>

#include "daedalus/base/result.h"
#include "daedalus/ioctl/call.h"
#include "daedalus/ioctl/node_kind.h"

namespace daedalus::device {
class Device;
}

namespace daedalus::ioctl {

class NodeFile;

/// One node (/dev/videoN). Files must be gone before it, unless a shared_ptr owns it: then they keep it alive. Loop thread.
class Node : public std::enable_shared_from_this<Node> {
public:
    /// The node's kind is that of nodeKinds() whose decoder the device has.
    explicit Node(device::Device& device);
    /// `kind` must outlive the node.
    Node(device::Device& device, const NodeKind& kind);
    virtual ~Node();
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    /// A new file. `client` names the client in log lines ("pid 1234 ffmpeg"), `user` is who it runs as. ENOMEM, EMFILE at
    /// a limit of sessions, ENODEV after unplug().
    [[nodiscard]] Result<std::unique_ptr<File>> open(std::string client, uid_t user);
    /// A new file of the media device beside the node. ENODEV also if it has none.
    [[nodiscard]] Result<std::unique_ptr<File>> openMedia(const std::string& client, uid_t user);
    [[nodiscard]] bool hasMedia() const { return kind_.decoder->hasRequests; }
    /// The device is gone, as far as clients see: all calls on its files are ENODEV from now on, those that wait included, and
    /// poll() says POLLHUP.
    void unplug();
    [[nodiscard]] const NodeKind& kind() const { return kind_; }
    [[nodiscard]] device::Device& device() { return device_; }

private:
    friend NodeFile;
    device::Device& device_;
    const NodeKind& kind_;
    bool unplugged_ = false;
    std::unordered_set<NodeFile*> files_;
};

}  // namespace daedalus::ioctl
