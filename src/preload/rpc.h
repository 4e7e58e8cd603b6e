// Calls to the daemon. Each thread has a connection of its own, so that a call which waits in the daemon just blocks its
// thread. What talks here are plain system calls: none is a cancellation point, as those that we stand for are none.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "proto/wire.h"

namespace daedalus::preload {

/// One request and its reply.
struct Exchange {
    proto::Request request{};
    /// The body of the request; may point to memory that cannot be read.
    const iovec* out = nullptr;
    size_t outCount = 0;
    const int* sendFds = nullptr;
    size_t sendFdCount = 0;
    /// Where the body of the reply goes; may point to memory that cannot be written.
    const iovec* in = nullptr;
    size_t inCount = 0;
    /// A signal ends the wait: the call is cancelled, and its answer is what the daemon says then.
    bool interruptible = false;
    /// The descriptor of the file that the call is about, or -1: it proves the right to another user's session.
    int file = -1;

    proto::Reply reply{};
    size_t received = 0;  ///< bytes of the body
    /// Descriptors of the reply, close-on-exec; the caller's.
    int fds[proto::kMaxReplyFds] = {-1, -1, -1, -1};
    size_t fdCount = 0;
    /// It went over a connection that others need too, and so without waiting: EAGAIN may not be the call's answer.
    bool hurried = false;
};

enum class Outcome {
    Answered,
    CannotRead,   ///< `out` led to bad memory; nothing was sent
    CannotWrite,  ///< `in` leads to bad memory; the reply's head is there, its fds are not
    BadFd,        ///< one of sendFds cannot be sent; nothing was sent
    Gone,         ///< there is no daemon, or it died before it answered
};

/// Most pieces that `out` and `in` may have.
inline constexpr size_t kMaxPieces = 24;

Outcome exchange(Exchange& exchange);

/// Why the last exchange() of this thread found no daemon: an errno.
int whyGone();

}  // namespace daedalus::preload
