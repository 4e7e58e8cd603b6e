// The memory that a client brings along with QBUF and PREPARE_BUF, as descriptors that came with the request.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <vector>

#include "daedalus/base/mailbox.h"
#include "daedalus/base/unique_fd.h"
#include "daedalus/memory/memory.h"
#include "proto/wire.h"

namespace daedalus::transport::socket {

/// Serials of bounces that nobody here uses any more: the client may unmap them. Any thread.
class ReleasedBounces {
public:
    void push(uint32_t serial) {
        serials_.push(serial);
        any_.store(true, std::memory_order_release);
    }
    [[nodiscard]] bool any() const { return any_.load(std::memory_order_acquire); }
    /// All of them, which are no longer any().
    [[nodiscard]] std::deque<uint32_t> takeAll() {
        any_.store(false, std::memory_order_release);
        return serials_.takeAll();
    }

private:
    Mailbox<uint32_t> serials_;
    std::atomic<bool> any_ = false;
};

/// The planes of one request. USERPTR planes are bounces: memfds that the preload made, with the client's data copied in
/// before the call, or copied out after DQBUF. A bounce's descriptor comes only when it is new. Loop thread.
class BroughtMemory final : public memory::ClientMemory {
public:
    struct Plane {
        proto::PlaneMemory header{};
        UniqueFd fd;
    };

    BroughtMemory(std::vector<Plane> planes, std::shared_ptr<ReleasedBounces> released)
        : planes_(std::move(planes)), released_(std::move(released)) {}

    Result<memory::MemoryRef> importUserptr(const memory::PlaneSlot& slot, uint64_t address, size_t length,
                                            memory::Access access, const memory::MemoryRef& previous) override;
    Result<memory::MemoryRef> importDmabuf(const memory::PlaneSlot& slot, int fd, size_t length, memory::Access access,
                                           const memory::MemoryRef& previous) override;

    /// True if a bounce was missing: the client shall send the call again with descriptors.
    [[nodiscard]] bool incomplete() const { return incomplete_; }

private:
    [[nodiscard]] Plane* find(uint32_t plane, proto::PlaneMemory::Source source);

    std::vector<Plane> planes_;
    std::shared_ptr<ReleasedBounces> released_;
    bool incomplete_ = false;
};

/// Of the many calls that bring no memory: what an address is that comes without some is EFAULT. Any thread.
[[nodiscard]] const std::shared_ptr<memory::ClientMemory>& nothingBrought();

}  // namespace daedalus::transport::socket
