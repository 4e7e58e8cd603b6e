// Which system calls of a program come to the supervisor, and the filter that brings them.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

#include "daedalus/base/result.h"
#include "daedalus/base/unique_fd.h"

namespace daedalus::transport::notify {

/// What a trapped call is, whichever architecture's number it has.
enum class Trap : uint8_t { None, Ioctl, Mmap, Open, OpenAt, OpenAt2, Poll, Ppoll, Select, Pselect, EpollCtl };

/// A call and how its 32-bit variants differ.
struct Trapped {
    Trap trap = Trap::None;
    bool is32Bit = false;      ///< pointers and longs of the program have 32 bits
    bool hasTime64 = false;    ///< struct timespec of 64-bit fields
    unsigned offsetShift = 0;  ///< Mmap: the offset counts units of 1 << offsetShift bytes
};

/// What came, by seccomp_data::arch and nr.
[[nodiscard]] Trapped trapped(uint32_t architecture, int number);

/// The filter: for all architectures of this machine, everything but the trapped calls is allowed.
[[nodiscard]] std::vector<sock_filter> filterProgram();

/// Puts the filter on the calling thread, and on all that it will start: no way leads back. Returns the listener. Sets
/// no_new_privs if it must. EBUSY: somebody listens already; ENOSYS, EINVAL: the kernel cannot do it; EPERM, EACCES.
[[nodiscard]] Result<UniqueFd> installFilter();

}  // namespace daedalus::transport::notify
