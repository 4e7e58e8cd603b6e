// Where the mem_offsets of MMAP buffers lie.
#pragma once

#include <cstdint>

namespace daedalus::queue {

/// All mem_offsets lie between this and 4 GiB, where next to no file is mapped: a mapping of a buffer is told by its offset.
inline constexpr uint32_t kFirstMemOffset = 1U << 31;

}  // namespace daedalus::queue
