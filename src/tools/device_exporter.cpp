#include "device_exporter.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "daedalus/v4l2/uapi.h"

namespace daedalus::tools {
namespace {

constexpr uint32_t kMultiPlanar = V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_VIDEO_M2M_MPLANE;
constexpr uint32_t kSinglePlanar = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_M2M;

}  // namespace

Outcome<DeviceExporter> DeviceExporter::open(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return failure("--export-device {}: cannot be opened: {}; choose another device", path, std::strerror(errno));
    v4l2_capability capability{};
    if (::ioctl(fd.get(), VIDIOC_QUERYCAP, &capability) != 0)
        return failure("--export-device {}: not a V4L2 device ({}); give a /dev/videoN", path, std::strerror(errno));
    const uint32_t caps =
        (capability.capabilities & V4L2_CAP_DEVICE_CAPS) != 0 ? capability.device_caps : capability.capabilities;
    if ((caps & (kMultiPlanar | kSinglePlanar)) == 0)
        return failure("--export-device {}: has no capture queue to take buffers from; choose another device", path);
    return DeviceExporter(std::move(fd), (caps & kMultiPlanar) != 0 ? uint32_t{V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE}
                                                                    : uint32_t{V4L2_BUF_TYPE_VIDEO_CAPTURE});
}

Result<uint32_t> DeviceExporter::create(size_t length) const {
    v4l2_create_buffers request{};
    request.count = 1;
    request.memory = V4L2_MEMORY_MMAP;
    request.format.type = type_;
    if (::ioctl(fd_.get(), VIDIOC_G_FMT, &request.format) != 0) return fail(errno);
    const auto wanted = static_cast<uint32_t>(length);
    auto& format = request.format.fmt;
    if (type_ == V4L2_BUF_TYPE_VIDEO_CAPTURE) {
        format.pix.sizeimage = std::max(uint32_t{format.pix.sizeimage}, wanted);
    } else {
        auto& plane = format.pix_mp.plane_fmt[0];
        plane.sizeimage = std::max(uint32_t{plane.sizeimage}, wanted);
    }
    if (::ioctl(fd_.get(), VIDIOC_CREATE_BUFS, &request) == 0) return request.index;
    // The queue may be full of buffers that only their dma-bufs keep alive.
    v4l2_requestbuffers none{};
    none.type = type_;
    none.memory = V4L2_MEMORY_MMAP;
    if (::ioctl(fd_.get(), VIDIOC_REQBUFS, &none) != 0) return fail(errno);
    request.count = 1;
    if (::ioctl(fd_.get(), VIDIOC_CREATE_BUFS, &request) != 0) return fail(errno);
    return request.index;
}

Result<UniqueFd> DeviceExporter::allocate(size_t length) const {
    const auto index = create(length);
    if (!index) return fail(index.error().value);
    v4l2_exportbuffer request{};
    request.type = type_;
    request.index = *index;
    request.flags = O_RDWR | O_CLOEXEC;
    if (::ioctl(fd_.get(), VIDIOC_EXPBUF, &request) != 0) return fail(errno);
    return UniqueFd(request.fd);
}

}  // namespace daedalus::tools
