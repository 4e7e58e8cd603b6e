// Logging, by spdlog, to stderr. A line names the thing, the cause and the next step.
#pragma once

#include <spdlog/spdlog.h>

#include <string>

#include "daedalus/base/result.h"

namespace daedalus::log {

using spdlog::critical;
using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::trace;
using spdlog::warn;

/// Sets the threshold: "error", "warning", "info", "debug", "trace", or "ioctl" (info, and every ioctl printed as strace
/// prints calls). Several may be joined by commas. EINVAL for any other word.
Result<> configure(const std::string& spec);

/// True if `--log ioctl` is on: the dispatcher prints every call.
[[nodiscard]] bool ioctls();
/// One line of the ioctl log.
void ioctlLine(const std::string& line);

}  // namespace daedalus::log
