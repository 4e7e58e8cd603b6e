// Stands in front of the calls that a client makes and goes to the kernel by syscall(), or on by another name, as allocators,
// converters and sanitizers do.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
    return (void*)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

void* mmap64(void* address, size_t length, int protection, int flags, int fd, off_t offset) {
    return (void*)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

int ioctl(int fd, unsigned long request, ...) {
    va_list arguments;
    va_start(arguments, request);
    void* const argument = va_arg(arguments, void*);
    va_end(arguments);
    return (int)syscall(SYS_ioctl, fd, request, argument);
}

/// By the name that it had before glibc 2.33, as sanitizers and fakeroot do. Here files have 64-bit sizes: it is fstat64().
int fstat(int fd, struct stat* status) {
    int (*next)(int, int, struct stat*);
    void* const found = dlsym(RTLD_NEXT, "__fxstat64");
    memcpy(&next, &found, sizeof next);
    return next(1, fd, status);
}

ssize_t read(int fd, void* buffer, size_t size) { return syscall(SYS_read, fd, buffer, size); }

int close(int fd) { return (int)syscall(SYS_close, fd); }

int dup(int fd) { return (int)syscall(SYS_dup, fd); }

int poll(struct pollfd* fds, nfds_t count, int timeout_ms) {
    struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    return (int)syscall(SYS_ppoll, fds, count, timeout_ms < 0 ? NULL : &timeout, NULL, 8);
}

int ppoll(struct pollfd* fds, nfds_t count, const struct timespec* timeout, const sigset_t* mask) {
    struct timespec left = timeout != NULL ? *timeout : (struct timespec){0, 0};
    return (int)syscall(SYS_ppoll, fds, count, timeout != NULL ? &left : NULL, mask, 8);
}

int select(int count, fd_set* reads, fd_set* writes, fd_set* exceptions, struct timeval* timeout) {
    struct timespec left = {0, 0};
    if (timeout != NULL) left = (struct timespec){timeout->tv_sec, timeout->tv_usec * 1000};
    return (int)syscall(SYS_pselect6, count, reads, writes, exceptions, timeout != NULL ? &left : NULL, NULL);
}

int epoll_ctl(int set, int operation, int fd, struct epoll_event* event) {
    return (int)syscall(SYS_epoll_ctl, set, operation, fd, event);
}

int epoll_wait(int set, struct epoll_event* events, int max, int timeout_ms) {
    return (int)syscall(SYS_epoll_pwait, set, events, max, timeout_ms, NULL, 8);
}

int epoll_pwait(int set, struct epoll_event* events, int max, int timeout_ms, const sigset_t* mask) {
    return (int)syscall(SYS_epoll_pwait, set, events, max, timeout_ms, mask, 8);
}
