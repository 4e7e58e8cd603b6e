// The retry protocol: the kernel copies what we ask for, in one more round trip for each level of pointers. For clients whose
// memory this process may not read.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "../compat32.h"
#include "daedalus/base/result.h"
#include "daedalus/ioctl/call.h"

namespace daedalus::transport::cuse {

/// What the kernel shall copy before it asks again: from the client, and to it with the answer. Addresses are the client's.
struct Wanted {
    std::vector<iovec> in;
    std::vector<iovec> out;
};

/// The payload of one ioctl from what the kernel has copied so far (`in`, and room for `outSize` bytes), or what it shall copy.
/// A client that changes its memory between two trips is asked again for what the last state says. EINVAL and ENOMEM for
/// arrays that are too long, as gather(), and ENOMEM for more than the kernel copies at once. Any thread.
[[nodiscard]] Result<std::variant<ioctl::Payload, Wanted>> assemble(uint32_t cmd, uint64_t address,
                                                                    std::span<const std::byte> in, size_t outSize);

/// The payload as the kernel copies it back to where assemble() found it.
[[nodiscard]] std::vector<std::byte> disassemble(const ioctl::Payload& payload);

/// assemble() for a 32-bit program. `ranges`: where the pieces of the last trip lie, in the order in which they are copied.
[[nodiscard]] Result<std::variant<ioctl::Payload, Wanted>> assemble(const Compat32& compat, uint64_t address,
                                                                    std::span<const std::byte> in, size_t outSize,
                                                                    std::vector<iovec>& ranges);
/// disassemble() for it. EFAULT: the payload has other pieces by now.
[[nodiscard]] Result<std::vector<std::byte>> disassemble(const Compat32& compat, uint64_t address,
                                                         const ioctl::Payload& payload, std::vector<iovec> ranges);

}  // namespace daedalus::transport::cuse
