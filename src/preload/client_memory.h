// Copies to and from the program's memory at addresses that may be wrong.
#pragma once

#include <cstddef>
#include <cstdint>

namespace daedalus::preload {

/// Each returns false (EFAULT) where the program's side is not there, instead of crashing.
bool copyIn(void* into, uint64_t from, size_t length);
bool copyOut(uint64_t into, const void* from, size_t length);

/// True if all of the range is there, and can be written if `writable`.
bool isMemory(uint64_t address, size_t length, bool writable);

}  // namespace daedalus::preload
