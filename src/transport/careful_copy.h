// Copies within this process that survive bad addresses.
#pragma once

#include <cstddef>

#include "daedalus/base/result.h"

namespace daedalus::transport {

/// Copies `size` bytes by a pipe, so that the kernel looks at both addresses: EFAULT where either is none. Slower than
/// process_vm_readv(), for sandboxes that refuse that and for emulators that lack it. EMFILE: no descriptors left for the pipe.
[[nodiscard]] Result<> carefulCopy(void* to, const void* from, size_t size);

}  // namespace daedalus::transport
