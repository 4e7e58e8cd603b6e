// The C library's own versions of functions that this library interposes and also needs itself.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

struct pollfd;
struct epoll_event;

namespace daedalus::preload {

int realIoctl(int fd, unsigned long cmd, void* argument);
void* realMmap(void* address, size_t length, int protection, int flags, int fd, int64_t offset);
int realClose(int fd);
long realSyscall(long number, long a, long b, long c, long d, long e, long f);
int realFstat(int fd, struct stat* status);
int realStat(const char* path, struct stat* status);
int realLstat(const char* path, struct stat* status);
int realStatAt(int directory, const char* path, struct stat* status, int flags);
ssize_t realGetcwd(char* buffer, size_t size);
ssize_t realReadlink(const char* path, char* buffer, size_t size);
int realPoll(pollfd* fds, unsigned long count, int timeoutMs);

}  // namespace daedalus::preload
