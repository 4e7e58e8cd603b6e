// What `daedalus run` asks a running daemon.
#pragma once

#include <string>

#include "daedalus/base/result.h"
#include "daedalus/base/unique_fd.h"

namespace daedalus::daemon {

/// The path of the first node that the daemon at `socket` serves. ENOENT, ECONNREFUSED: there is none; EISDIR,
/// ENOTSOCK, EPROTOTYPE: it is something else; EAGAIN: it does not answer; EPROTO: it answers, but not
/// as a daemon of this version does.
[[nodiscard]] Result<std::string> askNodePath(const std::string& socket);

/// A door to the daemon at `socket` (proto::Kind::Door): processes that have it need neither the path nor the right to it.
[[nodiscard]] Result<UniqueFd> askDoor(const std::string& socket);

/// What to tell the user of askNodePath()'s error.
[[nodiscard]] std::string attachFailure(const std::string& socket, Errno error);

}  // namespace daedalus::daemon
