// Nodes of this host, by system calls.
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "daedalus/base/unique_fd.h"
#include "daedalus/v4l2/formats.h"
#include "daedalus/v4l2/node_name.h"
#include "daedalus/v4l2/uapi.h"
#include "endpoint.h"
#include "endpoint_single_planar.h"

namespace daedalus::tools {
namespace {

class DeviceEndpoint : public Endpoint {
public:
    DeviceEndpoint(std::string path, UniqueFd fd) : Endpoint(std::move(path)), fd_(std::move(fd)) {}

    int ioctl(unsigned long cmd, void* argument) override { return ::ioctl(fd_.get(), cmd, argument); }
    void* map(size_t length, uint64_t offset) override {
        return ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), static_cast<off_t>(offset));
    }
    int poll(short events, short* revents, int timeoutMs) override {
        pollfd entry{.fd = fd_.get(), .events = events, .revents = 0};
        const int ready = ::poll(&entry, 1, timeoutMs);
        *revents = entry.revents;
        return ready;
    }

private:
    UniqueFd fd_;
};

tl::unexpected<Failure> openFailure(const std::string& path, int errnoValue) {
    switch (errnoValue) {
        case ENOENT:
        case ENXIO:
        case ENODEV:
            return failure("{}: no such node; start the command under `daedalus run --`, or use --in-process", path);
        case EACCES:
        case EPERM:
            return failure("{}: no permission to open it; join the group that owns it (often \"video\")", path);
        case ECONNREFUSED:
            return failure("{}: the daemon behind it has gone; start it again", path);
        default:
            return failure("{}: cannot be opened: {}; choose another --device", path, std::strerror(errnoValue));
    }
}

}  // namespace

Outcome<std::unique_ptr<Endpoint>> openDevice(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    if (!fd) return openFailure(path, errno);
    std::unique_ptr<Endpoint> endpoint = std::make_unique<DeviceEndpoint>(path, std::move(fd));
    v4l2_capability capability{};
    if (endpoint->ioctl(VIDIOC_QUERYCAP, &capability) != 0) {
        if (errno == ENODEV) return callFailure(*endpoint, "VIDIOC_QUERYCAP", errno);
        return failure("{}: not a V4L2 node ({}); give the /dev/videoN of a decoder", path, std::strerror(errno));
    }
    const uint32_t caps =
        (capability.capabilities & V4L2_CAP_DEVICE_CAPS) != 0 ? capability.device_caps : capability.capabilities;
    const bool single = (caps & V4L2_CAP_VIDEO_M2M) != 0;
    if ((!single && (caps & V4L2_CAP_VIDEO_M2M_MPLANE) == 0) || (caps & V4L2_CAP_STREAMING) == 0)
        return failure("{}: not a decoder (not a memory-to-memory device); give the /dev/videoN of a decoder", path);
    return single ? asMultiPlanar(std::move(endpoint)) : std::move(endpoint);
}

std::vector<std::string> videoNodes() {
    std::vector<std::string> paths;
    for (unsigned number = 0; number < v4l2::kNodeNumbers; ++number)
        if (std::string path = v4l2::nodePath(number); ::access(path.c_str(), F_OK) == 0) paths.push_back(std::move(path));
    return paths;
}

bool offers(Endpoint& endpoint, uint32_t bufferType, uint32_t fourcc, std::string* offered) {
    // No device has as many formats; a hostile one could go on for ever.
    constexpr uint32_t kMost = 256;
    bool found = false;
    for (uint32_t index = 0; index < kMost; ++index) {
        v4l2_fmtdesc format{};
        format.index = index;
        format.type = bufferType;
        if (endpoint.ioctl(VIDIOC_ENUM_FMT, &format) != 0) break;
        found = found || format.pixelformat == fourcc;
        if (offered == nullptr) continue;
        if (!offered->empty()) *offered += ", ";
        *offered += v4l2::fourccName(format.pixelformat);
    }
    if (found || bufferType != V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE) return found;
    // A node may take a coded format that it does not list.
    v4l2_format format{};
    format.type = bufferType;
    format.fmt.pix_mp.pixelformat = fourcc;
    format.fmt.pix_mp.num_planes = 1;
    return endpoint.ioctl(VIDIOC_TRY_FMT, &format) == 0 && format.fmt.pix_mp.pixelformat == fourcc;
}

Outcome<std::unique_ptr<Endpoint>> findDevice(uint32_t codedFourcc) {
    std::string others;
    for (const std::string& path : videoNodes()) {
        auto endpoint = openDevice(path);
        if (endpoint && offers(**endpoint, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, codedFourcc, nullptr)) return endpoint;
        if (!others.empty()) others += ", ";
        others += path;
    }
    if (others.empty())
        return failure(
            "no such node: this host has no /dev/videoN; start the command under `daedalus run --`, or use --in-process");
    return failure("no such node: none of {} decodes {}; start the command under `daedalus run --`, or use --in-process",
                   others, v4l2::fourccName(codedFourcc));
}

tl::unexpected<Failure> callFailure(const Endpoint& endpoint, std::string_view call, int errnoValue) {
    switch (errnoValue) {
        case ENODEV:
        case ECONNABORTED:
        case ENOTCONN:
            return failure("{}: the daemon behind it has gone ({}: {}); start it again", endpoint.name(), call,
                           std::strerror(errnoValue));
        case EIO:
            return failure(
                "{}: {}: the decoder has given this stream up: its format is not supported, or its data is not that of its "
                "codec; the daemon's log says which",
                endpoint.name(), call);
        case ENOMEM:
            return failure("{}: {}: out of memory; close other sessions, or raise the memory limit", endpoint.name(), call);
        case EBUSY:
            return failure("{}: {}: the node is busy; close its other users, or choose another --device", endpoint.name(),
                           call);
        default:
            return failure("{}: {}: {}; look at the calls with `daedalus run --log ioctl`", endpoint.name(), call,
                           std::strerror(errnoValue));
    }
}

}  // namespace daedalus::tools
