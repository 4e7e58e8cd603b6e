// From a client's address space to a Payload and back, for transports that reach that address space themselves.
#pragma once

#include <linux/videodev2.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "daedalus/base/result.h"
#include "daedalus/ioctl/call.h"
#include "daedalus/memory/memory.h"
#include "proto/follow.h"

namespace daedalus::transport {

/// In place of a process's number: this one, which reaches its own memory also where the kernel refuses process_vm_readv().
inline constexpr pid_t kOwnProcess = -1;

/// Copies out of process `pid`. EFAULT if not all of it is there, EPERM if the kernel refuses or this process cannot see that
/// one.
[[nodiscard]] Result<> readProcess(pid_t pid, uint64_t address, std::span<std::byte> into);
/// Copies into process `pid`. Errors as readProcess().
[[nodiscard]] Result<> writeProcess(pid_t pid, uint64_t address, std::span<const std::byte> from);

/// Gathers the argument at `address` and all that it points to, as the ioctl table says for `cmd`. EFAULT; EINVAL and ENOMEM
/// for arrays that are too long; EPERM as readProcess().
[[nodiscard]] Result<ioctl::Payload> gather(pid_t pid, uint32_t cmd, uint64_t address);
/// Writes a payload back to where gather() found it. EFAULT.
[[nodiscard]] Result<> scatter(pid_t pid, uint64_t address, const ioctl::Payload& payload);

/// The planes of a v4l2_buffer as they were gathered, of the single-planar API its one plane; none for other calls.
[[nodiscard]] std::vector<v4l2_plane> planesOf(const ioctl::Payload& payload);

/// EFAULT unless all of `length` bytes at `address` can be read now, EINVAL for an address or a length of 0, EPERM as
/// readProcess().
[[nodiscard]] Result<> probeProcess(pid_t pid, uint64_t address, size_t length);

/// Memory of a process that is only reached by copying: it may vanish at any time, which then is EFAULT.
/// EFAULT if it is not all there now.
[[nodiscard]] Result<memory::MemoryRef> processMemory(pid_t pid, uint64_t address, size_t length);
/// True if `memory` is processMemory() of these values.
[[nodiscard]] bool isProcessMemory(const memory::MemoryRef& memory, pid_t pid, uint64_t address, size_t length);

/// USERPTR and DMABUF of a client that lives in this process.
[[nodiscard]] std::shared_ptr<memory::ClientMemory> ownMemory();

}  // namespace daedalus::transport
