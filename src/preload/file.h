// What is done with a file of ours.
#pragma once

#include <cstdint>

#include "src/preload/known_files.h"
#include "src/preload/rpc.h"

namespace daedalus::preload {

/// A call about the session behind `fd`: exchange(), then what the reply says about readiness.
Outcome exchangeFor(int fd, uint64_t session, Exchange& exchange);

/// Opens a node: an fd, or -1 with errno.
int openNode(const proto::NodeEntry& node, int flags);

/// The interposed system calls on a file of ours. Each returns as its system call does.
int ioctlFile(int fd, uint64_t session, uint32_t cmd, void* argument);
void* mmapFile(int fd, uint64_t session, void* address, size_t length, int protection, int flags, int64_t offset);

/// The file's poll mask as the daemon sees it now. False if the daemon is gone.
bool readinessOf(int fd, uint64_t session, uint32_t& mask);

/// A descriptor on which POLLPRI is the session's; -1 if there is none. Stays the library's, and is good for one use.
int priorityFdOf(int fd, uint64_t session);

}  // namespace daedalus::preload
