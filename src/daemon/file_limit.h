// Limits that a daemon inherits from its caller.
#pragma once

#include <string>

namespace daedalus::daemon {

/// Raises this process's soft limit of open files to its hard limit: every plane of every session's MMAP buffers is a file, and
/// the usual soft limit of 1024 is for programs that use select(). Not in a process that goes on to run a user's program.
void raiseFileLimit();

/// What to tell the user if this process can never have as many files open as one decoder needs; empty if it can.
[[nodiscard]] std::string tooFewFiles();

/// Memory that would go beyond the limit of a file's size (ulimit -f) is ENOMEM for one client, instead of a signal that ends
/// this process for all. As above, not in a process that goes on to run a user's program.
void surviveFileSizeLimit();

}  // namespace daedalus::daemon
