#include "gather.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "careful_copy.h"
#include "daedalus/ioctl/call_traits.h"

namespace daedalus::transport {
namespace {

constexpr uint64_t kPage = 4096;

void* pointer(uint64_t address) { return reinterpret_cast<void*>(static_cast<uintptr_t>(address)); }

/// EPERM where another way to the memory may work: a filter, another user's process, or one of a PID namespace outside ours.
int refusal(int error) { return error == EPERM || error == ENOSYS || error == ESRCH ? EPERM : EFAULT; }

/// A call was refused that would have had to reach no further than this process.
bool isRefusedOwn(const Result<>& call, pid_t pid) { return !call && call.error().value == EPERM && pid == kOwnProcess; }

pid_t numberOf(pid_t pid) { return pid == kOwnProcess ? ::getpid() : pid; }

/// process_vm_readv and process_vm_writev move at most MAX_RW_COUNT at once, so larger copies go in pieces.
template <class Move>
Result<> inPieces(size_t size, Move move) {
    constexpr size_t kPiece = size_t{1} << 30;
    for (size_t done = 0; done < size;) {
        const size_t piece = std::min(kPiece, size - done);
        const ssize_t moved = move(done, piece);
        if (moved < 0) return fail(refusal(errno));
        if (static_cast<size_t>(moved) < piece) return fail(EFAULT);
        done += piece;
    }
    return {};
}

class ProcessMemory final : public memory::Memory {
public:
    ProcessMemory(pid_t pid, uint64_t address, size_t length) : pid_(pid), address_(address), length_(length) {}
    size_t size() const override { return length_; }
    std::span<std::byte> bytes() override { return {}; }
    Result<> read(size_t offset, std::span<std::byte> into) override {
        if (offset > length_ || into.size() > length_ - offset) return fail(EFAULT);
        return readProcess(pid_, address_ + offset, into);
    }
    Result<> write(size_t offset, std::span<const std::byte> from) override {
        if (offset > length_ || from.size() > length_ - offset) return fail(EFAULT);
        return writeProcess(pid_, address_ + offset, from);
    }
    [[nodiscard]] bool is(pid_t pid, uint64_t address, size_t length) const {
        return pid == pid_ && address == address_ && length == length_;
    }

private:
    const pid_t pid_;
    const uint64_t address_;
    const size_t length_;
};

Result<std::vector<std::byte>> readNested(pid_t pid, std::span<const std::byte> parent, const proto::NestedRef& ref) {
    uint64_t address = 0;
    std::memcpy(&address, parent.data() + ref.offset, sizeof address);
    std::vector<std::byte> bytes(ref.length);
    if (auto ok = readProcess(pid, address, bytes); !ok) return fail(ok.error());
    return bytes;
}

class OwnMemory final : public memory::ClientMemory {
public:
    Result<memory::MemoryRef> importUserptr(const memory::PlaneSlot&, uint64_t address, size_t length, memory::Access,
                                            const memory::MemoryRef& previous) override {
        if (isProcessMemory(previous, kOwnProcess, address, length)) return previous;
        return processMemory(kOwnProcess, address, length);
    }
    Result<memory::MemoryRef> importDmabuf(const memory::PlaneSlot&, int fd, size_t length, memory::Access access,
                                           const memory::MemoryRef& previous) override {
        if (previous && memory::isImportOf(*previous, fd, length)) return previous;
        UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
        if (!copy) return fail(EINVAL);
        return memory::import(std::move(copy), length, access == memory::Access::Write);
    }
};

}  // namespace

Result<> readProcess(pid_t pid, uint64_t address, std::span<std::byte> into) {
    const auto read = inPieces(into.size(), [&](size_t done, size_t piece) {
        const iovec local{into.data() + done, piece};
        const iovec remote{pointer(address + done), piece};
        return ::process_vm_readv(numberOf(pid), &local, 1, &remote, 1, 0);
    });
    return isRefusedOwn(read, pid) ? carefulCopy(into.data(), pointer(address), into.size()) : read;
}

Result<> writeProcess(pid_t pid, uint64_t address, std::span<const std::byte> from) {
    const auto written = inPieces(from.size(), [&](size_t done, size_t piece) {
        const iovec local{const_cast<std::byte*>(from.data()) + done, piece};
        const iovec remote{pointer(address + done), piece};
        return ::process_vm_writev(numberOf(pid), &local, 1, &remote, 1, 0);
    });
    return isRefusedOwn(written, pid) ? carefulCopy(pointer(address), from.data(), from.size()) : written;
}

Result<ioctl::Payload> gather(pid_t pid, uint32_t cmd, uint64_t address) {
    ioctl::Payload payload;
    payload.argument.resize(_IOC_SIZE(cmd));
    // What the kernel only writes it does not read first, but it must be there.
    if (auto ok = readProcess(pid, address, payload.argument); !ok) return fail(ok.error());

    const auto follow = ioctl::traitsOf(cmd).follow;
    std::array<proto::NestedRef, proto::kMaxArrays> arrays;
    const size_t count = proto::followArrays(follow, payload.argument.data(), payload.argument.size(), arrays.data());
    for (const auto& ref : std::span(arrays).first(count)) {
        auto bytes = readNested(pid, payload.argument, ref);
        if (!bytes) return fail(bytes.error());
        payload.nested.push_back({ref.parent, ref.offset, *std::move(bytes)});
    }
    if (count > 0) return payload;
    proto::NestedRef first;
    const int found = proto::followArgument(follow, payload.argument.data(), payload.argument.size(), &first);
    if (found < 0) return fail(-found);
    if (found == 0) return payload;
    auto array = readNested(pid, payload.argument, first);
    if (!array) return fail(array.error());

    std::vector<proto::NestedRef> refs(proto::kMaxNested);
    refs.resize(proto::followNested(follow, array->data(), array->size(), refs.data(), refs.size()));
    payload.nested.push_back({first.parent, first.offset, *std::move(array)});
    for (const auto& ref : refs) {
        auto bytes = readNested(pid, payload.nested.front().bytes, ref);
        if (!bytes) return fail(bytes.error());
        payload.nested.push_back({ref.parent, ref.offset, *std::move(bytes)});
    }
    return payload;
}

Result<> scatter(pid_t pid, uint64_t address, const ioctl::Payload& payload) {
    for (const auto& nested : payload.nested) {
        const auto& parent = nested.parent == 0 ? payload.argument : payload.nested[nested.parent - 1].bytes;
        uint64_t where = 0;
        std::memcpy(&where, parent.data() + nested.offset, sizeof where);
        if (auto ok = writeProcess(pid, where, nested.bytes); !ok) return ok;
    }
    return writeProcess(pid, address, payload.argument);
}

std::vector<v4l2_plane> planesOf(const ioctl::Payload& payload) {
    v4l2_buffer buffer;
    if (payload.argument.size() != sizeof buffer) return {};
    std::memcpy(&buffer, payload.argument.data(), sizeof buffer);
    if (!V4L2_TYPE_IS_MULTIPLANAR(buffer.type)) return {proto::onlyPlane(buffer)};
    if (payload.nested.empty()) return {};
    const auto& bytes = payload.nested.front().bytes;
    std::vector<v4l2_plane> planes(std::min<size_t>(bytes.size() / sizeof(v4l2_plane), buffer.length));
    const auto filled = std::as_writable_bytes(std::span(planes));
    std::ranges::copy(std::span(bytes).first(filled.size()), filled.begin());
    return planes;
}

Result<> probeProcess(pid_t pid, uint64_t address, size_t length) {
    if (address == 0 || length == 0) return fail(EINVAL);
    if (address + length < address) return fail(EFAULT);
    // One byte of every page, a bounded number of pages at a time.
    constexpr size_t kBatch = 512;
    std::vector<iovec> remote;
    const uint64_t end = address + length;
    for (uint64_t page = address; page < end;) {
        remote.clear();
        for (; page < end && remote.size() < kBatch; page = page / kPage * kPage + kPage) remote.push_back({pointer(page), 1});
        std::byte touched[kBatch];
        const iovec local{touched, remote.size()};
        const ssize_t got = ::process_vm_readv(numberOf(pid), &local, 1, remote.data(), remote.size(), 0);
        if (const Result<> read = got < 0 ? Result<>(fail(refusal(errno))) : Result<>(); !read) {
            if (!isRefusedOwn(read, pid)) return read;
            for (size_t i = 0; i < remote.size(); ++i)
                if (const auto copied = carefulCopy(&touched[i], remote[i].iov_base, 1); !copied) return copied;
            continue;
        }
        if (got != static_cast<ssize_t>(remote.size())) return fail(EFAULT);
    }
    return {};
}

Result<memory::MemoryRef> processMemory(pid_t pid, uint64_t address, size_t length) {
    if (auto ok = probeProcess(pid, address, length); !ok) return fail(ok.error());
    return std::make_shared<ProcessMemory>(pid, address, length);
}

bool isProcessMemory(const memory::MemoryRef& memory, pid_t pid, uint64_t address, size_t length) {
    const auto* known = dynamic_cast<const ProcessMemory*>(memory.get());
    return known && known->is(pid, address, length);
}

std::shared_ptr<memory::ClientMemory> ownMemory() { return std::make_shared<OwnMemory>(); }

}  // namespace daedalus::transport
