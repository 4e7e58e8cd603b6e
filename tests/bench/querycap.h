// The cost of one ioctl over the socket transport, beside that of a bare ping-pong over the same kind of socket.
#pragma once

#include <string>

#include "arguments.h"

namespace daedalus::bench {

/// Runs that many batches of each in turn and prints their medians. Returns the exit status.
[[nodiscard]] int measureQuerycap(const std::string& node, const Arguments& arguments);

}  // namespace daedalus::bench
