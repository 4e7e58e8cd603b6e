// What a transport sees of the device: a node that can be opened, and files that take calls.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "daedalus/base/result.h"
#include "daedalus/ioctl/call.h"
#include "daedalus/ioctl/node_kind.h"

namespace daedalus::device {
class Device;
}

namespace daedalus::ioctl {

/// One node (/dev/videoN). Files must be gone before it. Loop thread.
class Node {
public:
    explicit Node(device::Device& device);
    ~Node();
    /// A new session. `client` names the client in log lines ("pid 1234 ffmpeg"), `user` is who it runs as. ENOMEM, EMFILE at
    /// a limit of sessions.
    [[nodiscard]] Result<std::unique_ptr<File>> open(std::string client, uid_t user);
    [[nodiscard]] const NodeKind& kind() const { return kind_; }

private:
    device::Device& device_;
    const NodeKind& kind_;
};

}  // namespace daedalus::ioctl
