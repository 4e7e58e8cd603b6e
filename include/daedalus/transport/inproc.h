// The transport inside one process: for tests, benchmarks and `daedalus decode --in-process`.
#pragma once

#include <poll.h>

#include <functional>
#include <memory>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/result.h"
#include "daedalus/ioctl/node.h"

namespace daedalus::transport {

/// System calls on a node that lives in this process, for threads other than its loop thread. Thread-safe, as an fd is.
/// USERPTR and DMABUF take this process's own memory and descriptors.
class InprocFile {
public:
    virtual ~InprocFile() = default;
    /// Like ioctl(2): 0, or -1 with errno. Waits like the kernel would unless O_NONBLOCK is set.
    virtual int ioctl(unsigned long cmd, void* argument) = 0;
    /// Like mmap(2) with MAP_SHARED: MAP_FAILED with errno, unmapped by munmap(2).
    virtual void* mmap(size_t length, int protection, uint64_t offset) = 0;
    /// Like poll(2) on this one file.
    virtual int poll(short events, short* revents, int timeoutMs) = 0;
    /// Like fcntl(F_SETFL): only O_NONBLOCK counts.
    virtual void setNonblocking(bool nonblocking) = 0;
    /// Wakes the threads that wait in ioctl() with EINTR, as a signal would.
    virtual void interrupt() = 0;
    /// The file whose descriptor an ioctl's answer has brought, as a file of its own; null if there is none of that number, or
    /// it was taken before. It blocks until setNonblocking(). The number is the file's until what is returned is gone.
    [[nodiscard]] virtual std::unique_ptr<InprocFile> take(int number) = 0;
};

/// The descriptors of one client, as far as answers have brought them: calls name files by these numbers. It must not outlive
/// all files that are opened with it.
class InprocDescriptors;
[[nodiscard]] std::shared_ptr<InprocDescriptors> makeInprocDescriptors();

/// Opens a file of `node`, whose loop is running on another thread. `flags`: O_NONBLOCK or 0. Files that are opened with the
/// same descriptors know each other's; null: its own.
[[nodiscard]] Result<std::unique_ptr<InprocFile>> openInproc(EventLoop& loop, ioctl::Node& node, int flags,
                                                             std::shared_ptr<InprocDescriptors> descriptors = nullptr);
/// The same for a file that the caller opens, on the loop thread.
[[nodiscard]] Result<std::unique_ptr<InprocFile>> openInproc(EventLoop& loop,
                                                             const std::function<Result<std::unique_ptr<ioctl::File>>()>& open,
                                                             int flags,
                                                             std::shared_ptr<InprocDescriptors> descriptors = nullptr);

}  // namespace daedalus::transport
