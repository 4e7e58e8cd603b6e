// The protocol, spoken by hand: for clients that do not do it as the library does.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string>
#include <vector>

#include "proto/wire.h"
#include "tests/integration/socket/passed_fds.h"

namespace daedalus::test {

/// A connection to the daemon. Whoever waits on it for an answer that does not come fails.
inline int dial() {
    const int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, std::getenv(proto::kSocketVariable), sizeof address.sun_path - 1);
    EXPECT(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    const timeval patience{5, 0};
    EXPECT(::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
    return fd;
}

inline void sendWith(int socket, const void* bytes, size_t length, const std::vector<int>& fds) {
    FdMessage message(bytes, length, fds);
    EXPECT(::sendmsg(socket, message.head(), MSG_NOSIGNAL) == static_cast<ssize_t>(length));
}

inline proto::Reply receive(int fd) {
    proto::Reply reply{};
    char rest[32768];
    iovec parts[2] = {{&reply, sizeof reply}, {rest, sizeof rest}};
    msghdr header{};
    header.msg_iov = parts;
    header.msg_iovlen = 2;
    EXPECT(::recvmsg(fd, &header, 0) >= static_cast<ssize_t>(sizeof reply));
    return reply;
}

inline proto::Request request(proto::Kind kind) {
    proto::Request made{};
    made.kind = kind;
    return made;
}

/// The session that a file of ours names.
inline uint64_t sessionOf(int fd) {
    sockaddr_un name{};
    socklen_t length = sizeof name;
    EXPECT(::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) == 0);
    return std::strtoull(std::string(name.sun_path + 1 + proto::kFileNamePrefixLength + 17, 16).c_str(), nullptr, 16);
}

}  // namespace daedalus::test
