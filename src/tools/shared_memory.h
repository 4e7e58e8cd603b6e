// Memory that the client brings along: mapped, allocated, or behind a descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "daedalus/base/result.h"
#include "daedalus/base/unique_fd.h"
#include "device_exporter.h"

namespace daedalus::tools {

/// A mapping of shared memory, unmapped at the end.
class Mapping {
public:
    Mapping() = default;
    /// Takes over what mmap() returned.
    Mapping(void* address, size_t length) : address_(address), length_(length) {}
    Mapping(Mapping&& other) noexcept
        : address_(std::exchange(other.address_, nullptr)), length_(std::exchange(other.length_, 0)) {}
    Mapping& operator=(Mapping&& other) noexcept {
        std::swap(address_, other.address_);
        std::swap(length_, other.length_);
        return *this;
    }
    ~Mapping();
    [[nodiscard]] std::span<std::byte> bytes() const { return {static_cast<std::byte*>(address_), length_}; }

private:
    void* address_ = nullptr;
    size_t length_ = 0;
};

/// Zeroed memory that starts and ends at page boundaries.
class Pages {
public:
    Pages() = default;
    /// ENOMEM.
    [[nodiscard]] static Result<Pages> allocate(size_t length);
    [[nodiscard]] std::span<std::byte> bytes() const { return {memory_.get(), length_}; }

private:
    struct Free {
        void operator()(std::byte* memory) const { std::free(memory); }
    };
    std::unique_ptr<std::byte, Free> memory_;
    size_t length_ = 0;
};

/// Where buffers for V4L2_MEMORY_DMABUF come from: a device that the user names, else /dev/udmabuf, else /dev/dma_heap/system,
/// else memfds, which are no dma-bufs but which Daedalus takes in their place.
class DmabufAllocator {
public:
    DmabufAllocator();
    explicit DmabufAllocator(DeviceExporter exporter) : kind_(Kind::Device), exporter_(std::move(exporter)) {}
    /// `length` bytes, rounded up to pages.
    [[nodiscard]] Result<UniqueFd> allocate(size_t length) const;
    /// "device buffer", "udmabuf", "dma-heap" or "memfd".
    [[nodiscard]] const char* kind() const;
    /// Brackets the CPU's access to a buffer, as dma-bufs want it. No effect on memfds.
    void beginAccess(int fd) const;
    void endAccess(int fd) const;

private:
    enum class Kind : uint8_t { Device, Udmabuf, DmaHeap, Memfd };
    void sync(int fd, uint64_t flags) const;
    Kind kind_ = Kind::Memfd;
    UniqueFd device_;
    std::optional<DeviceExporter> exporter_;  ///< of Kind::Device
};

}  // namespace daedalus::tools
