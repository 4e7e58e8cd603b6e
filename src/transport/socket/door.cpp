#include "src/transport/socket/door.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

namespace daedalus::transport::socket {
namespace {

/// Connections that are taken at once, so that a flood of them does not keep the others waiting.
constexpr int kAtOnce = 16;

/// What one message brought.
struct Passed {
    std::vector<UniqueFd> fds;
    std::optional<ucred> sender;
};

/// False with errno if there is no message; 0 is the end.
bool receive(int end, Passed& passed) {
    char byte = 0;
    iovec part{&byte, 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(ucred))> control;
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t length = ::recvmsg(end, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length == 0) errno = 0;
    if (length <= 0) return false;
    for (cmsghdr* entry = CMSG_FIRSTHDR(&header); entry != nullptr; entry = CMSG_NXTHDR(&header, entry)) {
        if (entry->cmsg_level != SOL_SOCKET) continue;
        if (entry->cmsg_type == SCM_CREDENTIALS) {
            std::memcpy(&passed.sender.emplace(), CMSG_DATA(entry), sizeof(ucred));
        } else if (entry->cmsg_type == SCM_RIGHTS) {
            const size_t count = (entry->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (size_t i = 0; i < count; ++i) {
                int fd = -1;
                std::memcpy(&fd, CMSG_DATA(entry) + i * sizeof fd, sizeof fd);
                passed.fds.emplace_back(fd);
            }
        }
    }
    return true;
}

/// True for one end of a SOCK_SEQPACKET pair of unix sockets that no daemon made: those are doors, and have names.
bool isConnection(int fd) {
    sockaddr_un name{};
    socklen_t nameLength = sizeof name;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &nameLength) != 0 || nameLength != sizeof name.sun_family)
        return false;
    const auto option = [fd](int name) {
        int value = -1;
        socklen_t length = sizeof value;
        return ::getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0 ? value : -1;
    };
    return option(SO_DOMAIN) == AF_UNIX && option(SO_TYPE) == SOCK_SEQPACKET && option(SO_ACCEPTCONN) == 0;
}

/// Who made the pair counts, as with connect(); but nobody gets another's rights by passing that one's pair on.
uid_t userOf(int fd, const ucred& sender) {
    ucred maker{};
    socklen_t length = sizeof maker;
    if (sender.uid != 0 || ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &maker, &length) != 0) return sender.uid;
    return maker.uid;
}

}  // namespace

Result<Door::Made> Door::make(EventLoop& loop, OnConnection onConnection) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return fail(errno);
    std::unique_ptr<Door> door(new Door(UniqueFd(ends[0]), std::move(onConnection)));
    UniqueFd clientEnd(ends[1]);
    // The kernel makes up a name. It shall not be handed through itself, or it would never close.
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    if (::bind(clientEnd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name.sun_family) != 0) return fail(errno);
    const int yes = 1;
    if (::setsockopt(door->end_.get(), SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) != 0) return fail(errno);
    auto watch = loop.watch(door->end_.get(), EventLoop::Readable | EventLoop::HangUp,
                            [raw = door.get()](uint32_t) { raw->onReadable(); });
    if (!watch) return fail(watch.error());
    door->watch_ = std::move(*watch);
    return Made{std::move(door), std::move(clientEnd)};
}

void Door::onReadable() {
    for (int i = 0; i < kAtOnce; ++i) {
        Passed passed;
        if (!receive(end_.get(), passed)) {
            if (errno == EAGAIN || errno == EINTR) return;
            watch_.setEvents(0);
            // May end this object.
            if (onHangUp_) onHangUp_();
            return;
        }
        if (passed.fds.size() != 1 || !passed.sender || !isConnection(passed.fds.front().get())) continue;
        const int fd = passed.fds.front().get();
        onConnection_(std::move(passed.fds.front()), passed.sender->pid, userOf(fd, *passed.sender));
    }
}

}  // namespace daedalus::transport::socket
