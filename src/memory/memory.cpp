#include "daedalus/memory/memory.h"

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "guarded_range.h"

namespace daedalus::memory {
namespace {

size_t roundUpToPages(size_t size) {
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    return (size + page - 1) / page * page;
}

/// A shared mapping of a file.
class Mapping {
public:
    /// `size` in bytes. Errors of mmap().
    [[nodiscard]] static Result<Mapping> map(int fd, size_t size, bool writable) {
        const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
        void* const address = ::mmap(nullptr, size, protection, MAP_SHARED, fd, 0);
        if (address == MAP_FAILED) return fail(errno);
        Mapping mapping(static_cast<std::byte*>(address), size);
        auto guarded = GuardedRange::guard(address, roundUpToPages(size));
        if (!guarded) return fail(guarded.error());
        mapping.guard_ = *std::move(guarded);
        return mapping;
    }
    Mapping(Mapping&& other) noexcept
        : guard_(std::move(other.guard_)), address_(std::exchange(other.address_, nullptr)), size_(other.size_) {}
    Mapping& operator=(Mapping&&) = delete;
    ~Mapping() {
        guard_ = {};
        if (address_) ::munmap(address_, size_);
    }
    [[nodiscard]] std::span<std::byte> bytes() const { return {address_, size_}; }
    [[nodiscard]] bool isIntact() const { return !guard_.isBroken(); }

private:
    Mapping(std::byte* address, size_t size) : address_(address), size_(size) {}
    GuardedRange guard_;
    std::byte* address_;
    size_t size_;
};

/// A file of ours.
class OwnFile final : public Memory {
public:
    OwnFile(UniqueFd fd, Mapping mapping) : fd_(std::move(fd)), mapping_(std::move(mapping)) {}
    size_t size() const override { return mapping_.bytes().size(); }
    std::span<std::byte> bytes() override { return mapping_.bytes(); }
    int fd() const override { return fd_.get(); }
    bool isIntact() const override { return mapping_.isIntact(); }

private:
    UniqueFd fd_;
    Mapping mapping_;
};

/// Which file: no other has both while it is mapped.
struct FileId {
    dev_t device = 0;
    ino_t inode = 0;
    [[nodiscard]] static Result<FileId> of(int fd) {
        struct stat status {};
        if (::fstat(fd, &status) != 0) return fail(errno);
        return FileId{status.st_dev, status.st_ino};
    }
    friend bool operator==(const FileId&, const FileId&) = default;
};

/// A client's file. Its descriptor is not kept: the mapping holds it.
class ImportedFile final : public Memory {
public:
    ImportedFile(const FileId& id, Mapping mapping, bool writable)
        : id_(id), mapping_(std::move(mapping)), writable_(writable) {}
    size_t size() const override { return mapping_.bytes().size(); }
    std::span<std::byte> bytes() override { return mapping_.bytes(); }
    Result<> write(size_t offset, std::span<const std::byte> from) override {
        return writable_ ? Memory::write(offset, from) : fail(EFAULT);
    }
    bool isIntact() const override { return mapping_.isIntact(); }
    [[nodiscard]] const FileId& id() const { return id_; }

private:
    FileId id_;
    Mapping mapping_;
    bool writable_;
};

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
    auto mapping = Mapping::map(fd.get(), size, true);
    if (!mapping) return fail(mapping.error());
    return std::make_shared<OwnFile>(std::move(fd), *std::move(mapping));
}

Result<MemoryRef> import(UniqueFd fd, size_t length, bool writable) {
    if (!isMemoryFile(fd.get())) return fail(EINVAL);
    const int seals = ::fcntl(fd.get(), F_GET_SEALS);
    if (seals >= 0 && !(seals & F_SEAL_SHRINK) && ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK) != 0) return fail(EINVAL);
    const size_t bytes = importedBytes(fd.get(), length);
    if (bytes == 0) return fail(EINVAL);
    const auto id = FileId::of(fd.get());
    if (!id) return fail(id.error());
    auto mapping = Mapping::map(fd.get(), bytes, writable);
    if (!mapping) return fail(mapping.error());
    return std::make_shared<ImportedFile>(*id, *std::move(mapping), writable);
}

bool isImportOf(const Memory& memory, int fd, size_t length) {
    const auto* const imported = dynamic_cast<const ImportedFile*>(&memory);
    return imported && imported->isIntact() && FileId::of(fd) == imported->id() && memory.size() == importedBytes(fd, length);
}

}  // namespace daedalus::memory
