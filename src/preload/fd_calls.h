// System calls on descriptors, however they are made.
#pragma once

#include <cstddef>
#include <cstdint>

namespace daedalus::preload {

/// ioctl() and mmap(), on whatever file.
int callIoctl(int fd, unsigned long cmd, void* argument);
void* callMmap(void* address, size_t length, int protection, int flags, int fd, int64_t offset);
/// True, with errno, if `fd` is a file of ours, which can neither be read nor written.
bool refusesTransfer(int fd);

}  // namespace daedalus::preload
