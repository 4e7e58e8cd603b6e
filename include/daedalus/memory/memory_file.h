// Which files are memory.
#pragma once

namespace daedalus::memory {

/// True for files whose pages can be had without asking anybody: memfds and dma-bufs. Everything else that a client may send
/// (a file of FUSE, a pipe, a device) could make whoever maps it wait, or change its size.
[[nodiscard]] bool isMemoryFile(int fd);

}  // namespace daedalus::memory
