// What a transport sees of the device: a node that can be opened, and files that take calls.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daedalus/base/result.h"
#include "daedalus/ioctl/call.h"
#include "daedalus/memory/memory.h"
#include "proto/follow.h"

namespace daedalus::device {
class Device;
}

namespace daedalus::ioctl {

/// One open of the node. Made by Node::open(), given to the transport. Loop thread.
class File {
public:
    /// Names one call until it is answered; 0 is none.
    using Ticket = uint64_t;

    virtual ~File() = default;
    /// Runs one call. The reply is answered before this returns or, if the call has to wait, later. The ticket (never reused)
    /// is for interrupt().
    virtual Ticket ioctl(Call&& call, Reply&& reply) = 0;
    /// A signal arrived for the thread that waits in this call: it is answered with EINTR, unless it was answered already.
    virtual void interrupt(Ticket ticket) = 0;
    /// The memory behind a mem_offset of this file's MMAP buffers. EINVAL for an offset that is not one, or a `length` (bytes)
    /// that is longer than the plane rounded up to pages.
    [[nodiscard]] virtual Result<memory::MemoryRef> mmap(uint64_t offset, size_t length) = 0;
    /// What poll() would say now: a mask of POLLIN, POLLRDNORM, POLLOUT, POLLWRNORM, POLLPRI, POLLERR. Level, without regard
    /// to what the caller asks for.
    [[nodiscard]] virtual uint32_t readiness() const = 0;
    /// Calls `listener` whenever readiness() may have changed (also inside ioctl(), before its reply is answered). The
    /// listener must not call back into the file except readiness().
    virtual void onReadiness(std::function<void()> listener) = 0;
};
// Dropping a File closes it: parked calls are answered with EBADF, buffers that a worker still has are waited for in the
// background.

/// What poll() answers to who asks for `events`, of a file's readiness(): those of them that are set, and POLLERR, asked for or
/// not. But v4l2_m2m_poll() looks at the queues only for those who ask for data: to others their error is not told.
[[nodiscard]] uint32_t answerToPoll(uint32_t readiness, uint32_t events);

/// One node (/dev/videoN). Files must be gone before it. Loop thread.
class Node {
public:
    explicit Node(device::Device& device);
    ~Node();
    /// A new session. `client` names the client in log lines ("pid 1234 ffmpeg"), `user` is who it runs as. ENOMEM, EMFILE at
    /// a limit of sessions.
    [[nodiscard]] Result<std::unique_ptr<File>> open(std::string client, uid_t user);
    /// Whether files take this ioctl at all. One that they do not take is ENOTTY before anything of its argument is read.
    [[nodiscard]] static bool takes(uint32_t cmd);
    /// For each ioctl whose argument leads to more memory: how. Transports that gather by themselves fetch this once.
    [[nodiscard]] static std::vector<std::pair<uint32_t, proto::Follow>> follows();

private:
    device::Device& device_;
};

}  // namespace daedalus::ioctl
