#include "attach.h"

#include <spdlog/fmt/fmt.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>

#include "daedalus/base/unique_fd.h"
#include "daedalus/v4l2/node_name.h"
#include "proto/wire.h"

namespace daedalus::daemon {
namespace {

constexpr int kPatienceSeconds = 5;

Result<UniqueFd> connectTo(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return fail(ENAMETOOLONG);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return fail(errno);
    if (S_ISDIR(status.st_mode)) return fail(EISDIR);
    if (!S_ISSOCK(status.st_mode)) return fail(ENOTSOCK);
    UniqueFd connection(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!connection) return fail(errno);
    const timeval patience{.tv_sec = kPatienceSeconds, .tv_usec = 0};
    ::setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(connection.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (::connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return fail(errno);
    // Who listens gets all that the program decodes, and memory of its own: not a stranger who was there first.
    ucred daemon{};
    socklen_t length = sizeof daemon;
    if (::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &daemon, &length) != 0) return fail(errno);
    if (daemon.uid != 0 && daemon.uid != ::geteuid()) return fail(EPERM);
    return connection;
}

Result<> sendRequest(int connection, proto::Kind kind, uint64_t value) {
    proto::Request request{};
    request.kind = kind;
    request.value = value;
    request.sequence = 1;
    if (::send(connection, &request, sizeof request, MSG_NOSIGNAL) != static_cast<ssize_t>(sizeof request)) return fail(errno);
    return {};
}

}  // namespace

Result<std::string> askNodePath(const std::string& socket) {
    const auto connection = connectTo(socket);
    if (!connection) return fail(connection.error());
    if (const auto sent = sendRequest(connection->get(), proto::Kind::Hello, proto::kProtocolVersion); !sent)
        return fail(sent.error());

    std::array<std::byte, sizeof(proto::Reply) + proto::kMaxInlineBytes> message{};
    const ssize_t size = ::recv(connection->get(), message.data(), message.size(), 0);
    if (size < 0) return fail(errno);
    proto::Reply reply{};
    proto::HelloBody hello{};
    proto::NodeEntry first{};
    if (static_cast<size_t>(size) < sizeof reply + sizeof hello + sizeof first) return fail(EPROTO);
    std::memcpy(&reply, message.data(), sizeof reply);
    std::memcpy(&hello, message.data() + sizeof reply, sizeof hello);
    std::memcpy(&first, message.data() + sizeof reply + sizeof hello, sizeof first);
    if (reply.error != 0 || hello.version != proto::kProtocolVersion || hello.nodeCount == 0) return fail(EPROTO);
    std::string nodePath(first.nodePath, ::strnlen(first.nodePath, sizeof first.nodePath));
    if (!v4l2::nodeNumber(nodePath)) return fail(EPROTO);
    return nodePath;
}

Result<UniqueFd> askDoor(const std::string& socket) {
    const auto connection = connectTo(socket);
    if (!connection) return fail(connection.error());
    if (const auto sent = sendRequest(connection->get(), proto::Kind::Door, 0); !sent) return fail(sent.error());

    proto::Reply reply{};
    iovec part{&reply, sizeof reply};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control;
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(connection->get(), &header, MSG_CMSG_CLOEXEC);
    if (size < 0) return fail(errno);
    const cmsghdr* const entry = CMSG_FIRSTHDR(&header);
    if (entry == nullptr || entry->cmsg_type != SCM_RIGHTS || entry->cmsg_len != CMSG_LEN(sizeof(int))) return fail(EPROTO);
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(entry), sizeof fd);
    return UniqueFd(fd);
}

std::string attachFailure(const std::string& socket, Errno error) {
    switch (error.value) {
        case ENOENT:
        case ECONNREFUSED:
            return fmt::format("--attach {}: no daemon there; start one with `daedalus serve --socket {}`", socket, socket);
        case EPROTO:
            return fmt::format("--attach {}: not a daemon of this version; restart it from the same build", socket);
        case EISDIR:
            return fmt::format("--attach {}: is a folder; give the socket in it that `daedalus serve` was told by --socket",
                               socket);
        case ENOTSOCK:
            return fmt::format("--attach {}: is a file, not a socket; give the one that `daedalus serve` was told by --socket",
                               socket);
        case EPROTOTYPE:
            return fmt::format("--attach {}: is the socket of another program; give that of `daedalus serve`", socket);
        case EAGAIN:
            return fmt::format(
                "--attach {}: nobody answers within {} s; if it is the socket of `daedalus serve`, restart that daemon", socket,
                kPatienceSeconds);
        case EPERM:
            return fmt::format(
                "--attach {}: the daemon there is another user's, neither root's nor yours; start one of your own with "
                "`daedalus serve`",
                socket);
        case EACCES:
            return fmt::format("--attach {}: this socket is another user's; start a daemon of your own with `daedalus serve`",
                               socket);
        default:
            return fmt::format("--attach {}: {}; check the path", socket, std::strerror(error.value));
    }
}

}  // namespace daedalus::daemon
