// Interposed system calls on descriptors.
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "src/preload/fd_calls.h"
#include "src/preload/file.h"
#include "src/preload/kernel.h"
#include "src/preload/next.h"
#include "src/preload/real.h"
#include "src/preload/sweep.h"

namespace daedalus::preload {
namespace {

/// A descriptor that EXPBUF gave out, where the host has no real dma-bufs: a memfd of the daemon.
bool isOurMemfd(int fd) {
    const long seals = kernel(SYS_fcntl, fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) return false;
    char link[32];
    char target[32];
    ::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const long length = kernel(SYS_readlinkat, AT_FDCWD, link, target, sizeof target);
    return length > 15 && std::memcmp(target, "/memfd:daedalus", 15) == 0;
}

bool isDmabufCall(uint32_t cmd) { return _IOC_TYPE(cmd) == DMA_BUF_BASE && _IOC_NR(cmd) <= 1; }

/// Calls of V4L2, and of media devices and requests.
bool isCallOfOurs(uint32_t cmd) { return _IOC_TYPE(cmd) == 'V' || _IOC_TYPE(cmd) == '|'; }

/// Calls that a socket answers and a video node does not.
bool isSocketCall(uint32_t cmd) { return cmd == FIONREAD || cmd == TIOCOUTQ || _IOC_TYPE(cmd) == 0x89; }

}  // namespace

long callIoctl(By by, int fd, unsigned long cmd, void* argument) {
    const auto cmd32 = static_cast<uint32_t>(cmd);
    uint64_t session = 0;
    if (isCallOfOurs(cmd32) && isOurFileForSure(fd, session)) return ioctlFile(fd, session, cmd32, argument);
    if (isSocketCall(cmd32) && isOurFile(fd, session)) return errno = ENOTTY, -1;
    const int before = errno;
    const long result = by == By::Function ? realIoctl(fd, cmd, argument) : withErrno(kernel(SYS_ioctl, fd, cmd, argument));
    if (result >= 0 || errno != ENOTTY || !isDmabufCall(cmd32) || !haveFiles() || !isOurMemfd(fd)) return result;
    // Memory of the same host needs no cache maintenance, and a memfd has no name to set.
    errno = before;
    return 0;
}

void* callMmap(By by, void* address, size_t length, int protection, int flags, int fd, int64_t offset) {
    const int before = errno;
    void* const result =
        by == By::Function
            ? realMmap(address, length, protection, flags, fd, offset)
            : reinterpret_cast<void*>(withErrno(kernel(SYS_mmap, address, length, protection, flags, fd, offset)));
    uint64_t session = 0;
    if (result != MAP_FAILED || (flags & MAP_ANONYMOUS) != 0 || (errno != ENODEV && errno != EACCES)) return result;
    const int error = errno;
    if (!isOurFileForSure(fd, session)) return errno = error, result;
    errno = before;
    return mmapFile(fd, session, address, length, protection, flags, offset);
}

long callClose(By by, int fd) {
    uint64_t session = 0;
    const bool ours = mayBeFile(fd) && haveSessions() && isOurFile(fd, session);
    if (fd >= 0) noteClosed(static_cast<unsigned>(fd), static_cast<unsigned>(fd));
    const long result = by == By::Function ? realClose(fd) : withErrno(kernel(SYS_close, fd));
    if (ours) forgetClosedSessions();
    return result;
}

bool refusesTransfer(int fd) {
    uint64_t session = 0;
    if (!isOurFile(fd, session)) return false;
    errno = EINVAL;
    return true;
}

}  // namespace daedalus::preload

using namespace daedalus::preload;

DAEDALUS_EXPORT int ioctl(int fd, unsigned long request, ...) noexcept {
    va_list arguments;
    va_start(arguments, request);
    void* const argument = va_arg(arguments, void*);
    va_end(arguments);
    return static_cast<int>(callIoctl(By::Function, fd, request, argument));
}

DAEDALUS_EXPORT void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) noexcept {
    return callMmap(By::Function, address, length, protection, flags, fd, offset);
}

DAEDALUS_EXPORT void* mmap64(void* address, size_t length, int protection, int flags, int fd, off64_t offset) noexcept {
    return callMmap(By::Function, address, length, protection, flags, fd, offset);
}

DAEDALUS_EXPORT ssize_t read(int fd, void* buffer, size_t size) {
    return refusesTransfer(fd) ? -1 : DAEDALUS_NEXT(read)(fd, buffer, size);
}

DAEDALUS_EXPORT ssize_t write(int fd, const void* buffer, size_t size) {
    return refusesTransfer(fd) ? -1 : DAEDALUS_NEXT(write)(fd, buffer, size);
}

DAEDALUS_EXPORT ssize_t readv(int fd, const iovec* parts, int count) {
    return refusesTransfer(fd) ? -1 : DAEDALUS_NEXT(readv)(fd, parts, count);
}

DAEDALUS_EXPORT ssize_t writev(int fd, const iovec* parts, int count) {
    return refusesTransfer(fd) ? -1 : DAEDALUS_NEXT(writev)(fd, parts, count);
}

DAEDALUS_EXPORT ssize_t __read_chk(int fd, void* buffer, size_t size, size_t room);
DAEDALUS_EXPORT ssize_t __read_chk(int fd, void* buffer, size_t size, size_t room) {
    return refusesTransfer(fd) ? -1 : DAEDALUS_NEXT(__read_chk)(fd, buffer, size, room);
}

DAEDALUS_EXPORT int close(int fd) { return static_cast<int>(callClose(By::Function, fd)); }
