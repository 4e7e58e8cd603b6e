// The node as a character device: a /dev/videoN that every process of the machine can open, by CUSE.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/result.h"
#include "daedalus/ioctl/node.h"

namespace daedalus::transport {

/// What a kernel module adds to a CUSE node, which by itself cannot be mapped and cannot hand descriptors to clients. A thread
/// is named by its id as the kernel gives it with the call in which it waits. Loop thread.
class CuseExtension {
public:
    virtual ~CuseExtension() = default;
    /// Lets the open file whose thread `tid` waits in an ioctl map `memfd` (still the caller's) at `offset`.
    [[nodiscard]] virtual Result<> bind(pid_t tid, uint64_t offset, int memfd) = 0;
    /// The open file whose thread `tid` waits in an ioctl has freed buffers: nothing that was bound can be mapped any more.
    virtual void unbind(pid_t tid) = 0;
    /// Installs `fd` (still the caller's) in the process of the thread `tid`, which waits in an ioctl, and returns its number
    /// there. `flags`: O_CLOEXEC or 0.
    [[nodiscard]] virtual Result<int32_t> install(pid_t tid, int fd, int flags) = 0;
};

struct CuseOptions {
    std::string nodePath;                ///< "/dev/videoN"
    CuseExtension* extension = nullptr;  ///< null: mmap answers ENODEV, EXPBUF ENOTTY. Must outlive the node.
};

/// A character device, alive as long as this object. Its destruction answers all waiting calls with ENODEV and removes the
/// device file. Loop thread; must be gone before the node and the loop.
class CuseNode {
public:
    virtual ~CuseNode() = default;
    /// Number of open files.
    [[nodiscard]] virtual size_t sessions() const = 0;
    /// The path at which clients find the node.
    [[nodiscard]] virtual const std::string& nodePath() const = 0;
    /// Round trips from the kernel so far: requests of any kind that were read.
    [[nodiscard]] virtual uint64_t roundTrips() const = 0;
    /// Called once if the kernel ends the device by itself.
    virtual void onEnd(std::function<void()> callback) = 0;
};

/// Creates the device. ENOENT: this kernel has no /dev/cuse, or its module is not loaded. EACCES, EPERM: this process may not
/// open it. EEXIST: a device of that name is there. EINVAL: options.nodePath is not "/dev/videoN". EBUSY: the kernel refused
/// to register the device.
[[nodiscard]] Result<std::unique_ptr<CuseNode>> serveCuse(EventLoop& loop, ioctl::Node& node, const CuseOptions& options);

}  // namespace daedalus::transport
