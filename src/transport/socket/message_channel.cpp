#include "src/transport/socket/message_channel.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace daedalus::transport::socket {
namespace {

/// The planes of a buffer, and a memfd with a large body.
constexpr size_t kMaxFds = proto::kMaxRequestFds + 1;
/// SCM_PIDFD of Linux 6.5: comes with every message once the client has asked for it on a socket that it handed through a door.
constexpr int kPidFd = 4;

}  // namespace

ssize_t MessageChannel::receive(Message& message) const {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control;
    iovec part{message.bytes.data(), message.bytes.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t length = ::recvmsg(fd_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length < 0) return length;
    for (cmsghdr* entry = CMSG_FIRSTHDR(&header); entry != nullptr; entry = CMSG_NXTHDR(&header, entry)) {
        if (entry->cmsg_level != SOL_SOCKET || (entry->cmsg_type != SCM_RIGHTS && entry->cmsg_type != kPidFd)) continue;
        const size_t count = (entry->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(entry) + i * sizeof fd, sizeof fd);
            UniqueFd passed(fd);
            if (entry->cmsg_type == SCM_RIGHTS) message.fds.push_back(std::move(passed));
        }
    }
    message.length = static_cast<size_t>(length);
    message.truncated = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    return length;
}

int MessageChannel::send(proto::Reply reply, std::span<const std::byte> body, std::span<const int> fds) const {
    reply.bodyBytes = static_cast<uint32_t>(body.size());
    reply.fdCount = static_cast<uint32_t>(fds.size());
    std::array<iovec, 2> parts{iovec{&reply, sizeof reply}, iovec{const_cast<std::byte*>(body.data()), body.size()}};
    msghdr header{};
    header.msg_iov = parts.data();
    header.msg_iovlen = body.empty() ? 1 : 2;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(proto::kMaxReplyFds * sizeof(int))> control{};
    if (!fds.empty()) {
        header.msg_control = control.data();
        header.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* const entry = CMSG_FIRSTHDR(&header);
        entry->cmsg_level = SOL_SOCKET;
        entry->cmsg_type = SCM_RIGHTS;
        entry->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(entry), fds.data(), fds.size_bytes());
    }
    return ::sendmsg(fd_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ? 0 : errno;
}

void MessageChannel::shutDown() const { ::shutdown(fd_.get(), SHUT_RDWR); }

}  // namespace daedalus::transport::socket
