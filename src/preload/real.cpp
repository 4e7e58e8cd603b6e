#include "src/preload/real.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "src/preload/next.h"
#include "src/preload/process.h"

// Before glibc 2.33 the stat family had other names, with a version in front.
extern "C" {
int __fxstat(int version, int fd, struct stat* status);
int __xstat(int version, const char* path, struct stat* status);
int __lxstat(int version, const char* path, struct stat* status);
int __fxstatat(int version, int directory, const char* path, struct stat* status, int flags);
}

namespace daedalus::preload {
namespace {

/// What children and signal handlers call: there is no looking up there, and in some not even a thread's own memory.
__attribute__((constructor)) void lookUpEarly() {
    if (socketPath() == nullptr) return;
    (void)DAEDALUS_NEXT(chdir);
    (void)DAEDALUS_NEXT(close);
    (void)DAEDALUS_NEXT(dup2);
    (void)DAEDALUS_NEXT(fcntl);
    (void)DAEDALUS_NEXT(fcntl64);
    (void)DAEDALUS_NEXT(open);
    (void)DAEDALUS_NEXT(open64);
    (void)DAEDALUS_NEXT(openat);
    (void)DAEDALUS_NEXT(read);
    (void)DAEDALUS_NEXT(syscall);
    (void)DAEDALUS_NEXT(write);
}

}  // namespace
namespace {

#ifdef __x86_64__
constexpr int kStatVersion = 1;
#else
constexpr int kStatVersion = 0;
#endif

}  // namespace

int realIoctl(int fd, unsigned long cmd, void* argument) { return DAEDALUS_NEXT(ioctl)(fd, cmd, argument); }

void* realMmap(void* address, size_t length, int protection, int flags, int fd, int64_t offset) {
    return DAEDALUS_NEXT(mmap64)(address, length, protection, flags, fd, offset);
}

int realClose(int fd) { return DAEDALUS_NEXT(close)(fd); }

long realSyscall(long number, long a, long b, long c, long d, long e, long f) {
    return DAEDALUS_NEXT(syscall)(number, a, b, c, d, e, f);
}

int realFstat(int fd, struct stat* status) {
    const auto next = DAEDALUS_NEXT(fstat);
    return next != nullptr ? next(fd, status) : DAEDALUS_NEXT(__fxstat)(kStatVersion, fd, status);
}

int realStat(const char* path, struct stat* status) {
    const auto next = DAEDALUS_NEXT(stat);
    return next != nullptr ? next(path, status) : DAEDALUS_NEXT(__xstat)(kStatVersion, path, status);
}

int realLstat(const char* path, struct stat* status) {
    const auto next = DAEDALUS_NEXT(lstat);
    return next != nullptr ? next(path, status) : DAEDALUS_NEXT(__lxstat)(kStatVersion, path, status);
}

int realStatAt(int directory, const char* path, struct stat* status, int flags) {
    const auto next = DAEDALUS_NEXT(fstatat);
    return next != nullptr ? next(directory, path, status, flags)
                           : DAEDALUS_NEXT(__fxstatat)(kStatVersion, directory, path, status, flags);
}

ssize_t realGetcwd(char* buffer, size_t size) {
    return realSyscall(SYS_getcwd, reinterpret_cast<long>(buffer), static_cast<long>(size), 0, 0, 0, 0);
}

ssize_t realReadlink(const char* path, char* buffer, size_t size) { return DAEDALUS_NEXT(readlink)(path, buffer, size); }

int realPoll(pollfd* fds, unsigned long count, int timeoutMs) { return DAEDALUS_NEXT(poll)(fds, count, timeoutMs); }

}  // namespace daedalus::preload
