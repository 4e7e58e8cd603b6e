#include "link.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <tuple>

namespace daedalus::transport::notify {
namespace {

/// How late a signal may end a wait.
constexpr int kLookMs = 20;
/// How long a daemon that is stopped keeps us from seeing that nobody wants its answer any more.
constexpr timeval kPatience{.tv_sec = 1, .tv_usec = 0};

}  // namespace

bool Link::connect() {
    if (fd_) return true;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket_.size() >= sizeof address.sun_path) return false;
    std::memcpy(address.sun_path, socket_.c_str(), socket_.size() + 1);
    UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return false;
    std::ignore = ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    fd_ = std::move(fd);
    return true;
}

bool Link::send(const proto::Request& request, std::span<const std::byte> body, std::span<const int> fds) const {
    std::array<iovec, 2> parts{iovec{const_cast<proto::Request*>(&request), sizeof request},
                               iovec{const_cast<std::byte*>(body.data()), body.size()}};
    msghdr header{};
    header.msg_iov = parts.data();
    header.msg_iovlen = parts.size();
    alignas(cmsghdr) std::array<char, CMSG_SPACE((proto::kMaxRequestFds + 1) * sizeof(int))> control{};
    if (!fds.empty()) {
        header.msg_control = control.data();
        header.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* const entry = CMSG_FIRSTHDR(&header);
        entry->cmsg_level = SOL_SOCKET;
        entry->cmsg_type = SCM_RIGHTS;
        entry->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(entry), fds.data(), fds.size_bytes());
    }
    return ::sendmsg(fd_.get(), &header, MSG_NOSIGNAL) >= 0;
}

Result<Answered> Link::receive(uint32_t sequence) {
    Answered answered;
    answered.body.resize(proto::kMaxInlineBytes);
    std::array<iovec, 2> parts{iovec{&answered.head, sizeof answered.head}, iovec{answered.body.data(), answered.body.size()}};
    msghdr header{};
    header.msg_iov = parts.data();
    header.msg_iovlen = parts.size();
    alignas(cmsghdr) std::array<char, CMSG_SPACE(proto::kMaxReplyFds * sizeof(int))> control{};
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    ssize_t length = 0;
    do {
        length = ::recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC);
    } while (length < 0 && (errno == EINTR || (errno == EAGAIN && (!wanted_ || wanted_()))));
    for (cmsghdr* entry = length < 0 ? nullptr : CMSG_FIRSTHDR(&header); entry != nullptr;
         entry = CMSG_NXTHDR(&header, entry)) {
        if (entry->cmsg_level != SOL_SOCKET || entry->cmsg_type != SCM_RIGHTS) continue;
        const size_t count = (entry->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(entry) + i * sizeof fd, sizeof fd);
            answered.fds.emplace_back(fd);
        }
    }
    if (length < static_cast<ssize_t>(sizeof answered.head) || answered.head.sequence != sequence) {
        fd_.reset();
        return fail(ENODEV);
    }
    answered.body.resize(static_cast<size_t>(length) - sizeof answered.head);
    return answered;
}

Result<Answered> Link::call(proto::Request request, std::span<const std::byte> body, std::span<const int> fds) {
    return wait(request, body, fds, nullptr);
}

Result<Answered> Link::wait(proto::Request request, std::span<const std::byte> body, std::span<const int> fds,
                            const std::function<bool()>& ended) {
    request.sequence = ++sequence_;
    // The daemon may have been started anew since the last call.
    for (int attempt = 0;; ++attempt) {
        if (!connect()) return fail(ENODEV);
        if (send(request, body, fds)) break;
        fd_.reset();
        if (attempt > 0) return fail(ENODEV);
    }
    for (pollfd entry{fd_.get(), POLLIN, 0}; ended && ::poll(&entry, 1, kLookMs) <= 0;) {
        if (!ended()) continue;
        proto::Request cancel{};
        cancel.kind = proto::Kind::Cancel;
        if (!send(cancel, {}, {})) fd_.reset();
        break;
    }
    if (!fd_) return fail(ENODEV);
    return receive(request.sequence);
}

}  // namespace daedalus::transport::notify
