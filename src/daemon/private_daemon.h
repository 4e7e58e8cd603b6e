// The daemon of one `run`, in a process of its own.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "daedalus/base/unique_fd.h"
#include "daedalus/daemon/daemon.h"
#include "node_path.h"
#include "private_folder.h"

namespace daedalus::daemon {

/// `run`'s side of its daemon process. The process lives in a session of its own, so that the terminal's signals do not reach
/// it; it ends when this object says so, or dies with `run`, but not while a file of the node is still open.
class PrivateDaemon {
public:
    /// Forks, and waits until the daemon takes clients at folder.socket(), who find `nodes` there. Must be called before this
    /// process has threads. The error is a sentence for the user.
    [[nodiscard]] static tl::expected<PrivateDaemon, std::string> start(const device::DeviceOptions& options,
                                                                        const std::vector<PlannedNode>& nodes,
                                                                        const PrivateFolder& folder);

    [[nodiscard]] pid_t pid() const { return pid_; }
    /// The program has ended: returns when the daemon has ended too (true), or when it goes on for files that the program's
    /// children keep open (false): it then removes the folder itself.
    [[nodiscard]] bool finish();

private:
    PrivateDaemon(pid_t pid, UniqueFd control) : pid_(pid), control_(std::move(control)) {}
    pid_t pid_;
    UniqueFd control_;  ///< its end of file tells the daemon that `run` is done
};

}  // namespace daedalus::daemon
