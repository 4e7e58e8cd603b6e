// What a client can hold: an open file, whatever it is an open of.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "daedalus/base/result.h"
#include "daedalus/media/request.h"
#include "daedalus/memory/memory.h"

namespace daedalus::ioctl {

struct Call;
class Reply;

/// What poll() says of a file whose node was unplugged.
inline constexpr uint32_t kUnplugged = POLLHUP | POLLERR | POLLPRI;

/// Of a file that poll() tells of only to those who ask for POLLPRI, as requests are: stands in readiness().
inline constexpr uint32_t kOnlyForPriority = 1U << 16;

/// One open file: which ioctls it takes, whether it is ready, whose it is. Made by Node::open(), or brought by an Answer; the
/// transport owns it. Dropping a File closes it: parked calls are answered with EBADF, buffers that a worker still has are
/// waited for in the background. Loop thread.
class File {
public:
    /// Names one call until it is answered; 0 is none.
    using Ticket = uint64_t;

    virtual ~File() = default;
    /// Whether it takes this ioctl at all. One that it does not take is ENOTTY before anything of its argument is read.
    [[nodiscard]] virtual bool takes(uint32_t cmd) const = 0;
    /// Runs one call. The reply is answered before this returns or, if the call has to wait, later. The ticket (never reused)
    /// is for interrupt().
    virtual Ticket ioctl(Call&& call, Reply&& reply) = 0;
    /// A signal arrived for the thread that waits in this call: it is answered with EINTR, unless it was answered already.
    virtual void interrupt(Ticket ticket) = 0;
    /// The memory behind a mem_offset of this file's MMAP buffers, for the client to map: its buffer counts as mapped. EINVAL
    /// for an offset that is not one, or a `length` (bytes) that is longer than the plane rounded up to pages.
    [[nodiscard]] virtual Result<memory::MemoryRef> mmap(uint64_t offset, size_t length) = 0;
    /// The same for whoever only wants to know what is there.
    [[nodiscard]] virtual Result<memory::MemoryRef> memoryAt(uint64_t offset, size_t length) const = 0;
    /// What poll() would say now: a mask of POLLIN, POLLRDNORM, POLLOUT, POLLWRNORM, POLLPRI, POLLERR; POLLHUP once its node is
    /// unplugged. Level, without regard to what the caller asks for.
    [[nodiscard]] virtual uint32_t readiness() const = 0;
    /// Calls `listener` whenever readiness() may have changed (also inside ioctl(), before its reply is answered). The
    /// listener must not call back into the file except readiness().
    virtual void onReadiness(std::function<void()> listener) = 0;
    /// Answers the calls that wait with this errno.
    virtual void endCalls(int error) = 0;
    /// Who opened it.
    [[nodiscard]] virtual uid_t owner() const = 0;
    /// The request that it is a file of; null for every other file.
    [[nodiscard]] virtual std::shared_ptr<media::Request> request() const { return nullptr; }
};

/// What poll() answers to who asks for `events`, of a file's readiness(): those of them that are set, and POLLERR and
/// POLLHUP, asked for or not. But v4l2_m2m_poll() looks at the queues only for those who ask for data: to others their error is
/// not told.
[[nodiscard]] uint32_t answerToPoll(uint32_t readiness, uint32_t events);

}  // namespace daedalus::ioctl
