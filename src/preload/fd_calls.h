// System calls on descriptors, however they are made.
#pragma once

#include <cstddef>
#include <cstdint>

#include "src/preload/next.h"

namespace daedalus::preload {

/// On whatever file. Each returns as its function does.
long callIoctl(By by, int fd, unsigned long cmd, void* argument);
void* callMmap(By by, void* address, size_t length, int protection, int flags, int fd, int64_t offset);
long callClose(By by, int fd);
/// True, with errno, if `fd` is a file of ours, which can neither be read nor written.
bool refusesTransfer(int fd);

}  // namespace daedalus::preload
