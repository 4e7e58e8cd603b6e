// Which descriptors are files of ours, and what every reply about them asks for.
#pragma once

#include <cstdint>

#include "src/preload/rpc.h"

namespace daedalus::preload {

/// True if `fd` is a client's end of a session, whoever opened it. Keeps errno.
bool findSession(int fd, uint64_t& session);

/// As findSession(), but free of cost in a process that has never had a file of ours.
bool isOurFile(int fd, uint64_t& session);

/// A call about the session behind `fd`: exchange(), then what the reply says about readiness.
Outcome exchangeFor(int fd, uint64_t session, Exchange& exchange);

/// Opens the node: an fd, or -1 with errno.
int openNode(int flags);

/// The interposed system calls on a file of ours. Each returns as its system call does.
int ioctlFile(int fd, uint64_t session, uint32_t cmd, void* argument);
void* mmapFile(int fd, uint64_t session, void* address, size_t length, int protection, int flags, int64_t offset);

/// The file's poll mask as the daemon sees it now. False if the daemon is gone.
bool readinessOf(int fd, uint64_t session, uint32_t& mask);

}  // namespace daedalus::preload
