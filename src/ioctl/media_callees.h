// Files whose calls never wait: of a media device, and of a request.
#pragma once

#include <memory>
#include <string>

#include "daedalus/base/event_loop.h"
#include "daedalus/ioctl/file.h"
#include "daedalus/media/device.h"

namespace daedalus::ioctl {

/// An open of a media device, which it must not outlive. It has no state, and is always ready.
[[nodiscard]] std::unique_ptr<File> openMedia(EventLoop& loop, media::Device& device, const std::string& client, uid_t user);

/// The descriptor of a request. Dropping it drops the request, unless that is queued.
[[nodiscard]] std::unique_ptr<File> openRequest(EventLoop& loop, std::shared_ptr<media::Request> request, uid_t user);

}  // namespace daedalus::ioctl
