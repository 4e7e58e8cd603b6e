// An open decoder node, whichever way its calls travel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "daedalus/daemon/daemon.h"
#include "outcome.h"

namespace daedalus::tools {

/// One open of a node, non-blocking. Each call is as the system call of its name: -1 (MAP_FAILED) and errno for an error.
class Endpoint {
public:
    explicit Endpoint(std::string name) : name_(std::move(name)) {}
    virtual ~Endpoint() = default;
    Endpoint(const Endpoint&) = delete;
    Endpoint& operator=(const Endpoint&) = delete;

    [[nodiscard]] virtual int ioctl(unsigned long cmd, void* argument) = 0;
    /// Shared and writable; unmapped by munmap().
    [[nodiscard]] virtual void* map(size_t length, uint64_t offset) = 0;
    [[nodiscard]] virtual int poll(short events, short* revents, int timeoutMs) = 0;

    /// For messages: "/dev/video0".
    [[nodiscard]] const std::string& name() const { return name_; }

private:
    std::string name_;
};

/// Opens a node of this host by system calls, and checks that it is a memory-to-memory device. One of the single-planar API is
/// given as one of the multi-planar API.
[[nodiscard]] Outcome<std::unique_ptr<Endpoint>> openDevice(const std::string& path);
/// Makes a decoder in this process and opens it.
[[nodiscard]] Outcome<std::unique_ptr<Endpoint>> openInProcess(const device::DeviceOptions& options);
/// Opens the first /dev/videoN (by number) that decodes the coded format.
[[nodiscard]] Outcome<std::unique_ptr<Endpoint>> findDevice(uint32_t codedFourcc);

/// The paths of all /dev/videoN that there are, in the order of their numbers.
[[nodiscard]] std::vector<std::string> videoNodes();
/// True if ENUM_FMT lists the format. `offered`, if not null, gets the names of all formats of the queue: "H264, HEVC".
[[nodiscard]] bool offers(Endpoint& endpoint, uint32_t bufferType, uint32_t fourcc, std::string* offered);

/// What to tell the user when a call fails: `call` is "VIDIOC_QBUF(CAPTURE)".
[[nodiscard]] tl::unexpected<Failure> callFailure(const Endpoint& endpoint, std::string_view call, int errnoValue);

}  // namespace daedalus::tools
