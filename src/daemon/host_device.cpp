#include "host_device.h"

#include <fcntl.h>
#include <linux/videodev2.h>
#include <spdlog/fmt/fmt.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstring>
#include <filesystem>

#include "daedalus/base/unique_fd.h"
#include "daedalus/v4l2/node_name.h"

namespace daedalus::daemon {
namespace {

/// libudev lists what /sys/class/video4linux holds.
bool isVideo4linux(dev_t device) {
    std::error_code error;
    const auto subsystem =
        std::filesystem::read_symlink(fmt::format("/sys/dev/char/{}:{}/subsystem", major(device), minor(device)), error);
    return !error && subsystem.filename() == "video4linux";
}

}  // namespace

Result<HostDevice> findHostDevice(const std::string& path) {
    std::error_code error;
    const std::string node = std::filesystem::canonical(path, error).string();
    if (error) return fail(error.value());
    const UniqueFd fd(::open(node.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return fail(errno);
    v4l2_capability capability{};
    struct stat status {};
    if (::ioctl(fd.get(), VIDIOC_QUERYCAP, &capability) != 0) return fail(errno == EINVAL ? ENOTTY : errno);
    if (!v4l2::nodeNumber(node)) return fail(EINVAL);
    if (::fstat(fd.get(), &status) != 0) return fail(errno);
    return HostDevice{.path = node, .knownToUdev = isVideo4linux(status.st_rdev)};
}

std::string hostDeviceFailure(const std::string& path, Errno error) {
    switch (error.value) {
        case ENOENT:
        case ENXIO:
        case ENODEV:
            return fmt::format(
                "--device {}: no such device; `daedalus serve --cuse` makes one, or leave --device out for a decoder of your "
                "own",
                path);
        case EACCES:
        case EPERM:
            return fmt::format("--device {}: no permission to open it; join the group that owns it (often \"video\")", path);
        case EINVAL:
            return fmt::format("--device {}: programs look for V4L2 nodes as /dev/videoN; give it by such a name", path);
        case ENOTTY:
            return fmt::format("--device {}: not a V4L2 node; give the /dev/videoN of `daedalus serve --cuse`", path);
        case ECONNABORTED:
        case ENOTCONN:
            return fmt::format("--device {}: the daemon behind it has gone; start it again", path);
        default:
            return fmt::format("--device {}: {}; check the path", path, std::strerror(error.value));
    }
}

}  // namespace daedalus::daemon
