#include "src/preload/shown_node.h"

#include <fcntl.h>
#include <linux/videodev2.h>
#include <sys/sysmacros.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "src/preload/next.h"
#include "src/preload/process.h"
#include "src/preload/real.h"

namespace daedalus::preload {
namespace {

constexpr char kNodePrefix[] = "/dev/video";

/// What is known of the device; `nodePath` is empty where the environment names none.
proto::NodeEntry device;
std::atomic<bool> known{false};  // the rest of it, too
Lock deviceLock;

/// Read early: programs clear or change their environment.
__attribute__((constructor)) void configure() {
    const char* const path = ::getenv(proto::kDeviceVariable);
    if (path == nullptr || std::strncmp(path, kNodePrefix, sizeof kNodePrefix - 1) != 0) return;
    if (std::strlen(path) < sizeof device.nodePath) std::strcpy(device.nodePath, path);
}

/// Asks the device itself: one that the program may not open has no name, and is shown all the same.
bool ask() {
    struct stat status;
    if (realStat(device.nodePath, &status) != 0 || !S_ISCHR(status.st_mode)) return false;
    device.major = major(status.st_rdev);
    device.minor = minor(status.st_rdev);
    const int fd = DAEDALUS_NEXT(open)(device.nodePath, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return true;
    v4l2_capability capability{};
    if (realIoctl(fd, VIDIOC_QUERYCAP, &capability) == 0) {
        std::memcpy(device.card, capability.card, sizeof device.card);
        device.card[sizeof device.card - 1] = '\0';
    }
    realClose(fd);
    return true;
}

}  // namespace

bool showsNode() { return socketPath() != nullptr || device.nodePath[0] != '\0'; }

const proto::NodeEntry* shownNode(size_t index) {
    if (socketPath() != nullptr) {
        const Greeting* const said = index == 0 ? freshGreeting() : greeting();
        return said != nullptr && index < said->head.nodeCount ? &said->nodes[index] : nullptr;
    }
    if (index > 0 || device.nodePath[0] == '\0') return nullptr;
    if (known.load(std::memory_order_acquire)) return &device;
    const KeepErrno keep;
    const Locked locked(deviceLock);
    if (!known.load(std::memory_order_acquire) && ask()) known.store(true, std::memory_order_release);
    return known.load(std::memory_order_acquire) ? &device : nullptr;
}

}  // namespace daedalus::preload
