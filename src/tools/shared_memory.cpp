#include "shared_memory.h"

#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

namespace daedalus::tools {
namespace {

size_t roundToPages(size_t length) {
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    return (length + page - 1) / page * page;
}

/// A memfd that cannot shrink under whoever maps it.
Result<UniqueFd> sealedMemfd(size_t length) {
    UniqueFd fd(::memfd_create("daedalus-decode", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(length)) != 0 || ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK) != 0)
        return fail(errno);
    return fd;
}

}  // namespace

Mapping::~Mapping() {
    if (address_ != nullptr) ::munmap(address_, length_);
}

Result<Pages> Pages::allocate(size_t length) {
    Pages pages;
    pages.length_ = roundToPages(length);
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    pages.memory_.reset(static_cast<std::byte*>(std::aligned_alloc(page, pages.length_)));
    if (!pages.memory_) return fail(ENOMEM);
    std::memset(pages.memory_.get(), 0, pages.length_);
    return pages;
}

DmabufAllocator::DmabufAllocator() {
    device_.reset(::open("/dev/udmabuf", O_RDWR | O_CLOEXEC));
    if (device_) {
        kind_ = Kind::Udmabuf;
        return;
    }
    device_.reset(::open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC));
    if (device_) kind_ = Kind::DmaHeap;
}

Result<UniqueFd> DmabufAllocator::allocate(size_t length) const {
    length = roundToPages(length);
    if (exporter_) return exporter_->allocate(length);
    if (kind_ == Kind::DmaHeap) {
        dma_heap_allocation_data request{};
        request.len = length;
        request.fd_flags = O_RDWR | O_CLOEXEC;
        if (::ioctl(device_.get(), DMA_HEAP_IOCTL_ALLOC, &request) != 0) return fail(errno);
        return UniqueFd(static_cast<int>(request.fd));
    }
    auto memfd = sealedMemfd(length);
    if (!memfd || kind_ == Kind::Memfd) return memfd;
    udmabuf_create request{};
    request.memfd = static_cast<uint32_t>(memfd->get());
    request.flags = UDMABUF_FLAGS_CLOEXEC;
    request.size = length;
    const int fd = ::ioctl(device_.get(), UDMABUF_CREATE, &request);
    if (fd < 0) return fail(errno);
    return UniqueFd(fd);
}

const char* DmabufAllocator::kind() const {
    switch (kind_) {
        case Kind::Device:
            return "device buffer";
        case Kind::Udmabuf:
            return "udmabuf";
        case Kind::DmaHeap:
            return "dma-heap";
        case Kind::Memfd:
            return "memfd";
    }
    return "";
}

void DmabufAllocator::sync(int fd, uint64_t flags) const {
    if (kind_ == Kind::Memfd) return;
    dma_buf_sync request{.flags = flags | DMA_BUF_SYNC_RW};
    // Caches of memory that only CPUs touch are coherent anyway.
    (void)::ioctl(fd, DMA_BUF_IOCTL_SYNC, &request);
}

void DmabufAllocator::beginAccess(int fd) const { sync(fd, DMA_BUF_SYNC_START); }
void DmabufAllocator::endAccess(int fd) const { sync(fd, DMA_BUF_SYNC_END); }

}  // namespace daedalus::tools
