// What a path means to a thread of a program.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "daedalus/base/result.h"
#include "thread_view.h"

namespace daedalus::transport::notify {

/// The path at `address` of the thread's memory. EFAULT, ENAMETOOLONG, EPERM.
[[nodiscard]] Result<std::string> readPath(pid_t tid, uint64_t address);
/// True if `path`, which the thread looks up in its descriptor `folder` (or AT_FDCWD), leads to `wanted`, which does not exist
/// as a file: spelled otherwise, or by symbolic links at its end.
[[nodiscard]] bool leadsTo(const std::string& wanted, const std::string& path, int folder, const ThreadView& thread);
/// The thread's descriptor that a path like /proc/self/fd/7 names; nothing if it is no such path.
[[nodiscard]] std::optional<int> reopened(const std::string& path, const ThreadView& thread);

}  // namespace daedalus::transport::notify
