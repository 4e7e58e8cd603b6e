// One RPC connection's socket: whole messages, with the descriptors that come along.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "daedalus/base/unique_fd.h"
#include "proto/wire.h"

namespace daedalus::transport::socket {

/// What a client sent at once.
struct Message {
    std::array<std::byte, sizeof(proto::Request) + proto::kMaxInlineBytes> bytes;
    size_t length = 0;
    bool truncated = false;
    std::vector<UniqueFd> fds;
};

/// Never waits. The client may hold the socket too, and set what it likes on it. Loop thread.
class MessageChannel {
public:
    explicit MessageChannel(UniqueFd fd) : fd_(std::move(fd)) {}

    [[nodiscard]] int fd() const { return fd_.get(); }
    /// Bytes; 0 at the end, or -1 with errno.
    [[nodiscard]] ssize_t receive(Message& message) const;
    /// Fills in the reply's counts and sends it: 0, or an errno.
    [[nodiscard]] int send(proto::Reply reply, std::span<const std::byte> body, std::span<const int> fds) const;
    /// Nothing comes or goes any more.
    void shutDown() const;

private:
    UniqueFd fd_;
};

}  // namespace daedalus::transport::socket
