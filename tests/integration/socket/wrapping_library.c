// Stands in front of mmap() and ioctl() and goes to the kernel by syscall(), as allocators and converters that are preloaded do.
#define _GNU_SOURCE
#include <stdarg.h>
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

ssize_t read(int fd, void* buffer, size_t size) { return syscall(SYS_read, fd, buffer, size); }

int close(int fd) { return (int)syscall(SYS_close, fd); }
