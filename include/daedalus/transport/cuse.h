// The node as a character device: a /dev/videoN that every process of the machine can open, by CUSE.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
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
    /// Names the open file whose thread `tid` waits in an ioctl, until that file is closed. ESRCH: this file has to do without
    /// the extension.
    [[nodiscard]] virtual Result<uint64_t> fileOf(pid_t tid) = 0;
    /// Lets clients map `memfd` (still the caller's) at `offset` of an open file. EEXIST: something is bound there.
    [[nodiscard]] virtual Result<> bind(uint64_t file, uint64_t offset, int memfd) = 0;
    /// Nothing can be mapped there any more. Mappings stay.
    virtual void unbind(uint64_t file, uint64_t offset) = 0;
    /// Once the ioctl in which the thread `tid` waits is answered without an error, its process has a descriptor for
    /// `passed.fd`, the number of which is stored at `passed.offset` of the argument.
    [[nodiscard]] virtual Result<> give(uint64_t file, pid_t tid, const ioctl::PassedFd& passed) = 0;
    /// An ioctl that V4L2 does not know: 0 or an errno if it is the extension's own, nothing if it is not.
    [[nodiscard]] virtual std::optional<int> ownCall(pid_t tid, uint32_t cmd, uint64_t argument) = 0;
};

struct CuseOptions {
    std::string nodePath;  ///< "/dev/videoN"
    /// Must outlive the node. Null: the kernel module daedalus-shim, if it is loaded or while it is; files that were opened
    /// without it answer ENODEV to mmap and ENOTTY to EXPBUF.
    CuseExtension* extension = nullptr;
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
