// Messages that carry descriptors (SCM_RIGHTS), in both directions.
#pragma once

#include <sys/socket.h>

#include <vector>

#include "tests/integration/socket/client.h"

namespace daedalus::test {

/// One message, for sendmsg(), recvmsg() and what else takes a msghdr.
class FdMessage {
public:
    /// To be sent: `bytes`, which outlive it, and descriptors.
    FdMessage(const void* bytes, size_t length, const std::vector<int>& fds)
        : FdMessage(const_cast<void*>(bytes), length, fds.size()) {
        if (fds.empty()) return;
        cmsghdr* const entry = CMSG_FIRSTHDR(&head_);
        entry->cmsg_level = SOL_SOCKET;
        entry->cmsg_type = SCM_RIGHTS;
        entry->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
        std::memcpy(CMSG_DATA(entry), fds.data(), fds.size() * sizeof(int));
    }
    /// To be received into `bytes`, which outlive it, with `most` descriptors at most.
    FdMessage(void* bytes, size_t length, size_t most) : part_{bytes, length}, control_(CMSG_SPACE(most * sizeof(int))) {
        head_.msg_iov = &part_;
        head_.msg_iovlen = 1;
        if (most == 0) return;
        head_.msg_control = control_.data();
        head_.msg_controllen = control_.size();
    }
    FdMessage(const FdMessage&) = delete;
    FdMessage& operator=(const FdMessage&) = delete;

    [[nodiscard]] msghdr* head() { return &head_; }
    /// What came, the caller's.
    [[nodiscard]] std::vector<int> fds() {
        std::vector<int> all;
        for (cmsghdr* entry = CMSG_FIRSTHDR(&head_); entry != nullptr; entry = CMSG_NXTHDR(&head_, entry)) {
            EXPECT(entry->cmsg_level == SOL_SOCKET && entry->cmsg_type == SCM_RIGHTS);
            const size_t before = all.size();
            all.resize(before + (entry->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            std::memcpy(all.data() + before, CMSG_DATA(entry), (all.size() - before) * sizeof(int));
        }
        return all;
    }
    /// The one that came.
    [[nodiscard]] int fd() {
        const auto all = fds();
        EXPECT(all.size() == 1);
        return all.front();
    }

private:
    iovec part_;
    std::vector<char> control_;
    msghdr head_{};
};

/// Sends a byte and one descriptor.
inline void sendFd(int through, int fd) {
    const char byte = 'x';
    FdMessage message(&byte, 1, std::vector{fd});
    EXPECT(::sendmsg(through, message.head(), MSG_NOSIGNAL) == 1);
}

}  // namespace daedalus::test
