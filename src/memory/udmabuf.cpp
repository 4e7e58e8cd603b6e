#include "daedalus/memory/udmabuf.h"

#include <fcntl.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cstdint>

namespace daedalus::memory {

Result<UniqueFd> wrapAsDmabuf(int memfd, int flags) {
    // Opened once: the device keeps no state, and a host does not grow one while we run.
    static const UniqueFd device(::open("/dev/udmabuf", O_RDWR | O_CLOEXEC));
    if (!device) return fail(ENODEV);
    struct stat status {};
    if (::fstat(memfd, &status) != 0) return fail(errno);
    udmabuf_create request{};
    request.memfd = static_cast<uint32_t>(memfd);
    request.flags = (flags & O_CLOEXEC) != 0 ? UDMABUF_FLAGS_CLOEXEC : 0;
    request.size = static_cast<uint64_t>(status.st_size);
    const int fd = ::ioctl(device.get(), UDMABUF_CREATE, &request);
    if (fd < 0) return fail(errno);
    return UniqueFd(fd);
}

}  // namespace daedalus::memory
