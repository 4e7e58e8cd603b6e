// How many descriptors the daemon may have open.
#pragma once

namespace daedalus::daemon {

/// Raises this process's soft limit of open files to its hard limit: every plane of every session's MMAP buffers is a file, and
/// the usual soft limit of 1024 is for programs that use select(). Not in a process that goes on to run a user's program.
void raiseFileLimit();

}  // namespace daedalus::daemon
