// dma-bufs of another driver.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "daedalus/base/result.h"
#include "daedalus/base/unique_fd.h"
#include "outcome.h"

namespace daedalus::tools {

/// Buffers of a V4L2 device's capture queue, exported one by one: the device is used for nothing but its memory. One thread.
class DeviceExporter {
public:
    /// Fails if `path` is no V4L2 device, or one without a capture queue.
    [[nodiscard]] static Outcome<DeviceExporter> open(const std::string& path);
    /// A new dma-buf of at least `length` bytes. It lives as long as somebody holds it, after the device's buffers too. The
    /// errors of CREATE_BUFS and EXPBUF: ENOTTY where the device cannot export.
    [[nodiscard]] Result<UniqueFd> allocate(size_t length) const;

private:
    DeviceExporter(UniqueFd fd, uint32_t type) : fd_(std::move(fd)), type_(type) {}
    /// The index of a new buffer.
    [[nodiscard]] Result<uint32_t> create(size_t length) const;

    UniqueFd fd_;
    uint32_t type_;
};

}  // namespace daedalus::tools
