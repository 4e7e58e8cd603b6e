// The unprivileged transport: a unix socket that the preload library in the client's process talks to.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/result.h"
#include "daedalus/base/unique_fd.h"
#include "daedalus/ioctl/node.h"
#include "daedalus/ioctl/registry.h"
#include "daedalus/memory/accounts.h"

namespace daedalus::transport {

/// How a single node looks to clients.
struct SocketOptions {
    std::string nodePath;  ///< "/dev/videoN"
    std::string card = "Daedalus decoder";
    /// Makes the node's part of /sys, in a folder beside the socket. Not for who has the preload library in the daemon's own
    /// process, as tests have: that would ask the daemon what the folder's names are before it can answer.
    bool hasSysfs = true;
};

/// Serves nodes to preload clients (proto/wire.h is the protocol, and has the names of the environment variables that a
/// client needs). Loop thread; must be gone before the nodes and the loop.
class SocketServer {
public:
    virtual ~SocketServer() = default;
    /// Number of open files.
    [[nodiscard]] virtual size_t sessions() const = 0;
    /// Called when sessions() falls to 0.
    virtual void onIdle(std::function<void()> callback) = 0;
    /// The path at which clients find the first node; empty if there is none.
    [[nodiscard]] virtual std::string nodePath() const = 0;
};

/// Listens on `path` (a socket file that this creates with mode 0600 and removes at the end; a stale one of a dead daemon is
/// replaced, a live one gives EADDRINUSE, anything else there ENOTSOCK). Clients find what `nodes` lists now and later. Their
/// connections and files are charged to `accounts`, if there are any.
[[nodiscard]] Result<std::unique_ptr<SocketServer>> listenSocket(EventLoop& loop, ioctl::Registry& nodes,
                                                                 const std::string& path,
                                                                 std::shared_ptr<memory::Accounts> accounts = nullptr);
/// The same for one node that is there all the time. EINVAL if options.nodePath is not "/dev/videoN".
[[nodiscard]] Result<std::unique_ptr<SocketServer>> listenSocket(EventLoop& loop, ioctl::Node& node, const std::string& path,
                                                                 const SocketOptions& options);

}  // namespace daedalus::transport
