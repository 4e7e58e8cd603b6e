// The memory behind a plane of a buffer, whoever allocated it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "daedalus/base/result.h"
#include "daedalus/base/unique_fd.h"

namespace daedalus::memory {

/// One plane's memory. Shared: a queue holds it while the buffer exists, a worker while it fills it, a transport while a
/// client may still map it. What is in it can change under our eyes at any time (the client has it too), so nothing is parsed
/// in place. Any thread.
class Memory {
public:
    virtual ~Memory() = default;
    /// Bytes; never changes.
    [[nodiscard]] virtual size_t size() const = 0;
    /// The memory in this process, size() bytes; empty where it can only be reached by read() and write().
    [[nodiscard]] virtual std::span<std::byte> bytes() = 0;
    /// Copies out of the memory. EFAULT if it is gone or too short.
    [[nodiscard]] virtual Result<> read(size_t offset, std::span<std::byte> into);
    /// Copies into the memory. EFAULT if it is gone, too short or read-only.
    [[nodiscard]] virtual Result<> write(size_t offset, std::span<const std::byte> from);
    /// The file that can be mapped or exported (still owned by this object), or -1.
    [[nodiscard]] virtual int fd() const { return -1; }
    /// False once an access to bytes() has found pages that its file could not give: what was read there was nothing, and what
    /// was written is lost.
    [[nodiscard]] virtual bool isIntact() const { return true; }
};

using MemoryRef = std::shared_ptr<Memory>;

/// New zeroed memory behind a memfd that is sealed against shrinking and growing. `size` in bytes, rounded up to pages for the
/// file, not for size(). ENOMEM, EMFILE.
[[nodiscard]] Result<MemoryRef> allocate(size_t size, const char* name);

/// The first `length` bytes (0: all, but no more than a plane can have) of a file that a client gave us, dma-buf or memfd; all
/// of a file that is shorter. A file that could shrink under our mapping is refused with EINVAL: dma-bufs cannot, memfds must
/// have (or get) F_SEAL_SHRINK. A file that cannot be mapped writable is mapped read-only if `writable` is false, else refused
/// with EACCES.
[[nodiscard]] Result<MemoryRef> import(UniqueFd fd, size_t length, bool writable);

/// True if `memory` is a mapping of this file (same device and inode), and as long as import(fd, length) would make it.
[[nodiscard]] bool isImportOf(const Memory& memory, int fd, size_t length);

/// The position of a plane: which queue (V4L2_BUF_TYPE_*), which buffer, which plane.
struct PlaneSlot {
    uint32_t bufferType = 0;
    uint32_t index = 0;
    uint32_t plane = 0;
};

/// What the memory will be used for.
enum class Access : uint8_t { Read, Write };

/// How a transport reaches memory that the client brings along (USERPTR, DMABUF). The queue calls it within QBUF and
/// PREPARE_BUF, on the loop thread. `previous` is what the slot held before (or null): where the client brought the same
/// memory again, it is returned as it is.
class ClientMemory {
public:
    virtual ~ClientMemory() = default;
    /// `length` bytes at `address` of the client. EFAULT if they are not all there, EINVAL if address is 0.
    [[nodiscard]] virtual Result<MemoryRef> importUserptr(const PlaneSlot& slot, uint64_t address, size_t length, Access access,
                                                          const MemoryRef& previous) = 0;
    /// The first `length` bytes (0: all) of the file behind the client's descriptor `fd`, fewer where it is shorter. EINVAL if
    /// it is not one, or not memory.
    [[nodiscard]] virtual Result<MemoryRef> importDmabuf(const PlaneSlot& slot, int fd, size_t length, Access access,
                                                         const MemoryRef& previous) = 0;
};

}  // namespace daedalus::memory
