// What a node grants its clients.
#pragma once

#include <cstddef>
#include <cstdint>

#include "daedalus/m2m/limits.h"

namespace daedalus::device {

/// Limits of a node, and of each of its sessions.
struct Limits {
    m2m::SessionLimits session;
    /// Open sessions of the node, and of one user (uid) of it; a further open() gets EMFILE.
    size_t sessions = 4096;
    size_t sessionsPerUser = 1024;
    /// Bytes of all sessions of one user, and of all; 0: by what the machine has. Beyond them calls that want more get ENOMEM,
    /// and streams EIO.
    uint64_t userMemory = 0;
    uint64_t totalMemory = 0;
};

}  // namespace daedalus::device
