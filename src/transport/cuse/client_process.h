// What the daemon takes from a client's process while one of its threads waits in a call: who it is, its memory, its files.
// Nothing reaches into a process at any other time: its id may by then be another program's, or the same program's after
// exec() with more rights.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "daedalus/ioctl/call.h"
#include "daedalus/memory/memory.h"
#include "daedalus/v4l2/uapi.h"

namespace daedalus::transport::cuse {

/// For log lines: "pid 1234 ffmpeg". `tid` is a thread of the client, 0 if it lives in a PID namespace that we do not see.
[[nodiscard]] std::string describeClient(pid_t tid);

/// Whether O_NONBLOCK is set on the file of `nodePath` with which the thread `tid` waits in ioctl(2) with this argument. The
/// kernel does not tell CUSE, so it is read from /proc; nothing if that is not allowed, or leaves a doubt.
[[nodiscard]] std::optional<bool> waitsNonblocking(pid_t tid, uint64_t argument, const std::string& nodePath);

/// The USERPTR buffers of one open file. Each is memory of our own: filled from the client's at QBUF, copied to the client's
/// at DQBUF. Loop thread.
class UserBuffers {
public:
    /// Memory that stands for `length` bytes at `address`, of which the first `used` are read now if `access` is Read. EFAULT
    /// if they are not all there, EPERM if the kernel refuses, EINVAL if the address is 0. `previous` as in ClientMemory.
    [[nodiscard]] Result<memory::MemoryRef> take(pid_t tid, const memory::PlaneSlot& slot, uint64_t address, size_t length,
                                                 size_t used, memory::Access access, const memory::MemoryRef& previous);
    /// DQBUF is being answered with `payload`: copies a CAPTURE buffer to the client. EFAULT.
    [[nodiscard]] Result<> giveBack(pid_t tid, const ioctl::Payload& payload);

private:
    class Bounce;
    using Place = std::tuple<bool, uint32_t, uint32_t>;
    std::map<Place, std::weak_ptr<Bounce>> bounces_;  ///< by whether it is OUTPUT's, index and plane
};

/// The USERPTR and DMABUF memory that one call brings. Made while the thread `tid` waits in that call; loop thread.
class CallMemory final : public memory::ClientMemory {
public:
    /// `payload` is the call's. `refused` is called with what was wanted ("USERPTR") when the kernel does not let us at the
    /// client.
    CallMemory(pid_t tid, UserBuffers& buffers, const ioctl::Payload& payload, std::function<void(const char* wanted)> refused);

    /// EFAULT also where the kernel refuses.
    Result<memory::MemoryRef> importUserptr(const memory::PlaneSlot& slot, uint64_t address, size_t length,
                                            memory::Access access, const memory::MemoryRef& previous) override;
    /// EINVAL also where the kernel refuses.
    Result<memory::MemoryRef> importDmabuf(const memory::PlaneSlot& slot, int fd, size_t length, memory::Access access,
                                           const memory::MemoryRef& previous) override;

private:
    const pid_t tid_;
    UserBuffers& buffers_;
    std::array<uint32_t, VIDEO_MAX_PLANES> used_{};  ///< bytes of each plane that the client says it has filled
    std::function<void(const char* wanted)> refused_;
};

}  // namespace daedalus::transport::cuse
