// How `daedalus run --device` gets to know a device file of this host.
#pragma once

#include <string>

#include "daedalus/base/result.h"

namespace daedalus::daemon {

/// A V4L2 node that the kernel has.
struct HostDevice {
    std::string path;         ///< "/dev/videoN", links followed
    bool knownToUdev = true;  ///< false: its subsystem is another than video4linux, as a CUSE device's is
};

/// Opens and asks the device at `path`. The errors of open(); EINVAL: it is not /dev/videoN; ENOTTY: it is none of V4L2.
[[nodiscard]] Result<HostDevice> findHostDevice(const std::string& path);

/// What to tell the user of findHostDevice()'s error.
[[nodiscard]] std::string hostDeviceFailure(const std::string& path, Errno error);

}  // namespace daedalus::daemon
