#include "src/preload/real.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "src/preload/next.h"

namespace daedalus::preload {

int realIoctl(int fd, unsigned long cmd, void* argument) { return DAEDALUS_NEXT(ioctl)(fd, cmd, argument); }

void* realMmap(void* address, size_t length, int protection, int flags, int fd, int64_t offset) {
    return DAEDALUS_NEXT(mmap64)(address, length, protection, flags, fd, offset);
}

int realClose(int fd) { return DAEDALUS_NEXT(close)(fd); }

long realSyscall(long number, long a, long b, long c, long d, long e, long f) {
    return DAEDALUS_NEXT(syscall)(number, a, b, c, d, e, f);
}

int realFstat(int fd, struct stat* status) { return DAEDALUS_NEXT(fstat)(fd, status); }

int realStat(const char* path, struct stat* status) { return DAEDALUS_NEXT(stat)(path, status); }

ssize_t realReadlink(const char* path, char* buffer, size_t size) { return DAEDALUS_NEXT(readlink)(path, buffer, size); }

int realPoll(pollfd* fds, unsigned long count, int timeoutMs) { return DAEDALUS_NEXT(poll)(fds, count, timeoutMs); }

}  // namespace daedalus::preload
