// `daedalus serve`: a decoder that stays.
#pragma once

#include <string>

#include "daedalus/base/result.h"
#include "daedalus/daemon/daemon.h"
#include "daedalus/device/device.h"

namespace daedalus::daemon {

struct ServeOptions {
    /// Empty: defaultSocketPath().
    std::string socket;
    /// "/dev/videoN" as the user forces it; empty: the first CUSE device, else the next number that the host has no node for.
    std::string node;
    /// Serve character devices too.
    bool cuse = false;
    /// Their names, "videoN", with commas between them; empty: one, the first that is free.
    std::string cuseNames;
    device::DeviceOptions decoder;
    /// One node of each, the first at `node`.
    NodeKinds nodes = defaultKinds();
};

/// /run/daedalus/daedalus.sock for root, $XDG_RUNTIME_DIR/daedalus.sock for others; ENOENT where that variable is not set.
[[nodiscard]] Result<std::string> defaultSocketPath();

/// Serves until SIGTERM or SIGINT. Returns the exit status.
[[nodiscard]] int serveMain(const ServeOptions& options);

}  // namespace daedalus::daemon
