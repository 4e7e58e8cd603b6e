// A media device: what binds a stateless decoder's video node to requests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "daedalus/base/result.h"
#include "daedalus/media/request.h"

namespace daedalus::media {

/// Requests that one device has at most at a time.
inline constexpr size_t kMostRequests = 4096;

/// What a media device says of itself, and of the video node that it is about.
struct Identity {
    std::string driver;   ///< at most 15 bytes
    std::string model;    ///< at most 31 bytes
    std::string busInfo;  ///< at most 31 bytes
    uint32_t videoMajor = 0;
    uint32_t videoMinor = 0;
};

/// Loop thread. Its topology is in proto/media.h.
class Device {
public:
    explicit Device(Identity identity) : identity_(std::move(identity)) {}

    [[nodiscard]] const Identity& identity() const { return identity_; }
    /// A new idle request. ENOMEM at the limit.
    [[nodiscard]] Result<std::shared_ptr<Request>> makeRequest();
    /// Whether this device made the request.
    [[nodiscard]] bool owns(const Request& request) const { return request.isOf(live_.get()); }

private:
    const Identity identity_;
    std::shared_ptr<size_t> live_ = std::make_shared<size_t>(0);  ///< requests that there are; they may outlive the device
};

}  // namespace daedalus::media
