// The connection to the kernel's CUSE: one device, its requests and their dispatch to libfuse's callbacks.
#pragma once

#include <memory>
#include <string>

#include "daedalus/base/result.h"
#include "fuse.h"

namespace daedalus::transport::cuse {

/// Owns a libfuse session on /dev/cuse without libfuse's loop and signal handling. Loop thread.
class Channel {
public:
    /// Registers the device /dev/NAME with the kernel, `number` being N of its name. `operations` are called with `user` from
    /// dispatch(). Errors as serveCuse().
    [[nodiscard]] static Result<std::unique_ptr<Channel>> open(const std::string& name, unsigned number,
                                                               const cuse_lowlevel_ops& operations, void* user);
    /// Removes the device. All requests must have been answered.
    ~Channel();
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    /// Readable while requests wait.
    [[nodiscard]] int fd() const;
    /// Handles one request, if there is one. ENODEV: the kernel has ended the device.
    [[nodiscard]] Result<> dispatch();

private:
    explicit Channel(fuse_session* session) : session_(session) {}
    [[nodiscard]] static Result<std::unique_ptr<Channel>> tryOpen(const cuse_info& info, const cuse_lowlevel_ops& operations,
                                                                  void* user);

    fuse_session* session_;
    fuse_buf buffer_{};
};

}  // namespace daedalus::transport::cuse
