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

/// What a kernel module adds to a CUSE node, which by itself cannot be mapped and cannot hand descriptors to clients. Loop
/// thread.
class CuseExtension {
public:
    /// What to make of an ioctl that is the extension's own.
    struct OwnCall {
        int result = 0;  ///< the ioctl's; -errno for an error
        /// Names the open file of the ioctl in the other calls, until it is closed. A file without a name has to do without the
        /// extension.
        std::optional<uint64_t> file;
    };

    virtual ~CuseExtension() = default;
    /// An ioctl that V4L2 does not know, in which the thread `tid` waits (as the kernel numbers it): nothing if it is not the
    /// extension's own.
    [[nodiscard]] virtual std::optional<OwnCall> ownCall(pid_t tid, uint32_t cmd, uint64_t argument) = 0;
    /// Lets clients map `memfd` (still the caller's) at `offset` of an open file. EEXIST: something is bound there.
    [[nodiscard]] virtual Result<> bind(uint64_t file, uint64_t offset, int memfd) = 0;
    /// Nothing can be mapped there any more. Mappings stay.
    virtual void unbind(uint64_t file, uint64_t offset) = 0;
    /// Once the VIDIOC_EXPBUF of that file, of which one at a time is under way, is answered without an error, its caller has a
    /// descriptor for `passed.fd`, the number of which is stored at `passed.offset` of the argument.
    [[nodiscard]] virtual Result<> give(uint64_t file, const ioctl::PassedFd& passed) = 0;
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
