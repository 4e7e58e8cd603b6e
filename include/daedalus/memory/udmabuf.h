// Real dma-bufs around our memory, where the host offers /dev/udmabuf.
#pragma once

#include "daedalus/base/result.h"
#include "daedalus/base/unique_fd.h"

namespace daedalus::memory {

/// A dma-buf over all pages of a memfd that is sealed against shrinking, so that other devices (a GPU, a display) can import
/// it. `flags`: O_CLOEXEC or 0. ENODEV where the host has no usable /dev/udmabuf; the memfd itself then has to do. Any thread.
[[nodiscard]] Result<UniqueFd> wrapAsDmabuf(int memfd, int flags);

}  // namespace daedalus::memory
