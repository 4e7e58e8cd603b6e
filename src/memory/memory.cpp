#include "daedalus/memory/memory.h"

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace daedalus::memory {
namespace {

/// A file mapped shared into this process.
class MappedFile final : public Memory {
public:
    MappedFile(UniqueFd fd, void* address, size_t size, bool writable)
        : fd_(std::move(fd)), address_(static_cast<std::byte*>(address)), size_(size), writable_(writable) {}
    ~MappedFile() override { ::munmap(address_, size_); }
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    size_t size() const override { return size_; }
    std::span<std::byte> bytes() override { return {address_, size_}; }
    int fd() const override { return fd_.get(); }
    Result<> write(size_t offset, std::span<const std::byte> from) override {
        return writable_ ? Memory::write(offset, from) : fail(EFAULT);
    }

private:
    UniqueFd fd_;
    std::byte* address_;
    size_t size_;
    bool writable_;
};

size_t roundUpToPages(size_t size) {
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    return (size + page - 1) / page * page;
}

Result<MemoryRef> mapFile(UniqueFd fd, size_t size, bool writable) {
    const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void* address = ::mmap(nullptr, size, protection, MAP_SHARED, fd.get(), 0);
    if (address == MAP_FAILED) return fail(errno);
    return std::make_shared<MappedFile>(std::move(fd), address, size, writable);
}

/// True for files whose pages can be had without asking anybody: memfds and dma-bufs, by the file system that they are in,
/// which no name and no mount can pretend. Everything else that a client may send (a file of FUSE, a pipe, a device) could make
/// whoever maps it wait, or change its size; a memfd of huge pages is none either, since its holes can be out of pages
/// (SIGBUS).
bool isMemoryFile(int fd) {
    struct statfs system {};
    if (::fstatfs(fd, &system) != 0) return false;
    // The size of a dma-buf is fixed.
    if (system.f_type == DMA_BUF_MAGIC) return true;
    return system.f_type == TMPFS_MAGIC && ::fcntl(fd, F_GET_SEALS) >= 0;
}

/// How much of a file is mapped: a sparse one can be larger than the address space. 0: nothing can.
size_t importedBytes(int fd, size_t length) {
    constexpr size_t kLargestPlane = std::numeric_limits<uint32_t>::max();
    const off_t size = ::lseek(fd, 0, SEEK_END);
    return size <= 0 ? 0 : std::min({static_cast<size_t>(size), length == 0 ? kLargestPlane : length, kLargestPlane});
}

}  // namespace

Result<> Memory::read(size_t offset, std::span<std::byte> into) {
    const auto all = bytes();
    if (offset > all.size() || into.size() > all.size() - offset) return fail(EFAULT);
    if (!into.empty()) std::memcpy(into.data(), all.data() + offset, into.size());
    return {};
}

Result<> Memory::write(size_t offset, std::span<const std::byte> from) {
    const auto all = bytes();
    if (offset > all.size() || from.size() > all.size() - offset) return fail(EFAULT);
    if (!from.empty()) std::memcpy(all.data() + offset, from.data(), from.size());
    return {};
}

Result<MemoryRef> allocate(size_t size, const char* name) {
    if (size == 0 || size > std::numeric_limits<uint32_t>::max()) return fail(EINVAL);
    UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd) return fail(errno);
    if (::ftruncate(fd.get(), static_cast<off_t>(roundUpToPages(size))) != 0) return fail(ENOMEM);
    // A client that could shrink the file would kill us with SIGBUS at the next access.
    if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return fail(errno);
    return mapFile(std::move(fd), size, true);
}

Result<MemoryRef> import(UniqueFd fd, size_t length, bool writable) {
    if (!isMemoryFile(fd.get())) return fail(EINVAL);
    const int seals = ::fcntl(fd.get(), F_GET_SEALS);
    if (seals >= 0 && !(seals & F_SEAL_SHRINK) && ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK) != 0) return fail(EINVAL);
    const size_t bytes = importedBytes(fd.get(), length);
    if (bytes == 0) return fail(EINVAL);
    return mapFile(std::move(fd), bytes, writable);
}

bool isImportOf(const Memory& memory, int fd, size_t length) {
    struct stat ours {};
    struct stat theirs {};
    return memory.fd() >= 0 && ::fstat(memory.fd(), &ours) == 0 && ::fstat(fd, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
           ours.st_ino == theirs.st_ino && memory.size() == importedBytes(fd, length);
}

}  // namespace daedalus::memory
