// The socket file that the daemon listens on.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "src/transport/socket/server.h"

namespace daedalus::transport::socket {
namespace {

/// True if somebody answers at `address`.
bool isLive(const sockaddr_un& address) {
    const UniqueFd probe(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe) return true;
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
    return errno != ECONNREFUSED;
}

}  // namespace

Result<UniqueFd> bindListener(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) return fail(ENAMETOOLONG);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);

    UniqueFd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!listener) return fail(errno);
    // The mode of the socket becomes the mode of its file, so that it is never open to others.
    if (::fchmod(listener.get(), 0600) != 0) return fail(errno);
    const auto bind = [&] {
        return ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : errno;
    };
    int error = bind();
    if (error == EADDRINUSE) {
        struct stat status {};
        if (::lstat(path.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode)) return fail(ENOTSOCK);
        if (isLive(address)) return fail(EADDRINUSE);
        if (::unlink(path.c_str()) != 0) return fail(errno);
        error = bind();
    }
    if (error != 0) return fail(error);
    if (::listen(listener.get(), SOMAXCONN) != 0) return fail(errno);
    return listener;
}

}  // namespace daedalus::transport::socket
