// What a transport has to know of an ioctl beside its number: columns of the ioctl table (src/ioctl/table.cpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "proto/follow.h"

namespace daedalus::ioctl {

/// Buffers that a call has made.
struct Allocation {
    uint32_t memory = 0;  ///< V4L2_MEMORY_*
    uint32_t count = 0;
};

/// Columns of an ioctl's row, of whatever kinds of files it is.
struct CallTraits {
    proto::Follow follow = proto::Follow::None;        ///< the memory that its argument leads to
    proto::MemoryRole role = proto::MemoryRole::None;  ///< what it does with the client's own memory
    bool frees = false;                                ///< buffers may be gone afterwards
    bool tellsOffsets = false;                         ///< its answer tells where a buffer can be mapped
    bool exports = false;                              ///< its answer brings a descriptor
    /// Of a call that makes buffers: which, by its answered argument (of the size that the number says). Null for others.
    Allocation (*allocated)(const std::byte* argument) = nullptr;
};

/// The traits of an ioctl; those of a flat one that does nothing of all this if there is none of that number. Any thread.
[[nodiscard]] const CallTraits& traitsOf(uint32_t cmd);

/// An ioctl with its traits.
struct KnownCall {
    uint32_t cmd = 0;
    CallTraits traits;
};
/// All ioctls whose argument leads to more memory. Transports that gather by themselves fetch this once.
[[nodiscard]] std::vector<KnownCall> followedCalls();
/// The ioctl that exports a buffer.
[[nodiscard]] uint32_t exportingCall();

}  // namespace daedalus::ioctl
