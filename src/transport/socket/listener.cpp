// Names: the socket file that the daemon listens on, and the node path that its clients see.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <string_view>

#include "src/transport/socket/server.h"

namespace daedalus::transport {
namespace {

constexpr std::string_view kNodePrefix = "/dev/video";

bool exists(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0;
}

}  // namespace

std::string freeNodePath() {
    for (unsigned number = 0;; ++number) {
        const std::string digits = std::to_string(number);
        if (exists("/dev/video" + digits) || exists("/sys/class/video4linux/video" + digits) ||
            exists("/sys/dev/char/81:" + digits)) {
            continue;
        }
        return std::string(kNodePrefix) + digits;
    }
}

namespace socket {
namespace {

/// True if somebody answers at `address`.
bool isLive(const sockaddr_un& address) {
    const UniqueFd probe(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe) return true;
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
    return errno != ECONNREFUSED;
}

}  // namespace

Result<uint32_t> nodeNumber(const std::string& nodePath) {
    if (!nodePath.starts_with(kNodePrefix) || nodePath.size() >= sizeof(proto::HelloBody::nodePath)) return fail(EINVAL);
    const std::string_view digits = std::string_view(nodePath).substr(kNodePrefix.size());
    uint32_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size() || number > 0xFFFFF) return fail(EINVAL);
    if (std::to_string(number) != digits) return fail(EINVAL);
    return number;
}

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

}  // namespace socket
}  // namespace daedalus::transport
