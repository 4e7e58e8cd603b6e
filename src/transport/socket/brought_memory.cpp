#include "src/transport/socket/brought_memory.h"

#include <algorithm>

namespace daedalus::transport::socket {
namespace {

/// Memory behind a client's USERPTR plane; tells the client when it is no longer used.
class Bounce final : public memory::Memory {
public:
    Bounce(memory::MemoryRef memory, uint32_t serial, std::shared_ptr<ReleasedBounces> released)
        : memory_(std::move(memory)), serial_(serial), released_(std::move(released)) {}
    ~Bounce() override { released_->push(serial_); }
    Bounce(const Bounce&) = delete;
    Bounce& operator=(const Bounce&) = delete;

    size_t size() const override { return memory_->size(); }
    std::span<std::byte> bytes() override { return memory_->bytes(); }
    Result<> read(size_t offset, std::span<std::byte> into) override { return memory_->read(offset, into); }
    Result<> write(size_t offset, std::span<const std::byte> from) override { return memory_->write(offset, from); }
    bool isIntact() const override { return memory_->isIntact(); }
    [[nodiscard]] uint32_t serial() const { return serial_; }

private:
    memory::MemoryRef memory_;
    uint32_t serial_;
    std::shared_ptr<ReleasedBounces> released_;
};

}  // namespace

BroughtMemory::Plane* BroughtMemory::find(uint32_t plane, proto::PlaneMemory::Source source) {
    const auto found = std::find_if(planes_.begin(), planes_.end(), [&](const Plane& candidate) {
        return candidate.header.plane == plane && candidate.header.source == source;
    });
    return found == planes_.end() ? nullptr : &*found;
}

Result<memory::MemoryRef> BroughtMemory::importUserptr(const memory::PlaneSlot& slot, uint64_t address, size_t length,
                                                       memory::Access /*access*/, const memory::MemoryRef& previous) {
    if (address == 0) return fail(EINVAL);
    Plane* const plane = find(slot.plane, proto::PlaneMemory::Source::Bounce);
    if (plane == nullptr) return fail(EFAULT);
    if (plane->fd) {
        // Writable whatever the queue wants: the next buffer at this place may be of the other kind of access.
        auto memory = memory::import(std::move(plane->fd), 0, true);
        if (!memory) return fail(memory.error());
        if ((*memory)->size() < length) return fail(EFAULT);
        return std::make_shared<Bounce>(std::move(*memory), plane->header.serial, released_);
    }
    const auto bounce = std::dynamic_pointer_cast<Bounce>(previous);
    if (bounce && bounce->serial() == plane->header.serial && bounce->size() >= length) return previous;
    incomplete_ = true;
    return fail(EFAULT);
}

Result<memory::MemoryRef> BroughtMemory::importDmabuf(const memory::PlaneSlot& slot, int /*fd*/, size_t length,
                                                      memory::Access access, const memory::MemoryRef& previous) {
    Plane* const plane = find(slot.plane, proto::PlaneMemory::Source::Dmabuf);
    if (plane == nullptr || !plane->fd) return fail(EINVAL);
    if (previous && memory::isImportOf(*previous, plane->fd.get(), length)) return previous;
    return memory::import(std::move(plane->fd), length, access == memory::Access::Write);
}

const std::shared_ptr<memory::ClientMemory>& nothingBrought() {
    static const std::shared_ptr<memory::ClientMemory> nothing =
        std::make_shared<BroughtMemory>(std::vector<BroughtMemory::Plane>{}, nullptr);
    return nothing;
}

}  // namespace daedalus::transport::socket
