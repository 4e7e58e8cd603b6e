// Directory listings of the kernel.
#pragma once

#include <sys/types.h>

#include <cstddef>

namespace daedalus::preload {

/// getdents64() gave `got` bytes: adds our entries to the first of a folder that lists them, and returns what there is now.
/// `again` makes the call once more, for want of room.
ssize_t addEntries(int fd, void* buffer, size_t size, ssize_t got, ssize_t (*again)(int fd, void* buffer, size_t size));

}  // namespace daedalus::preload
