// ioctls of 32-bit programs (i386), whose structs have another layout where they hold pointers, times or 64-bit numbers.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "daedalus/base/result.h"
#include "daedalus/ioctl/call.h"

namespace daedalus::transport {

/// An ioctl whose struct differs. Pure conversion; what it reads and writes lies in another process.
class Compat32 {
public:
    /// The call `cmd` of a 32-bit program; nothing if its struct is the same in both worlds.
    [[nodiscard]] static std::optional<Compat32> of(uint32_t cmd);

    /// The number that the same call has in a 64-bit program.
    [[nodiscard]] uint32_t cmd() const { return cmd_; }
    /// As transport::gather(): the payload is that of a 64-bit program.
    [[nodiscard]] Result<ioctl::Payload> gather(pid_t pid, uint64_t address) const;
    /// As transport::scatter(), for a payload of gather().
    [[nodiscard]] Result<> scatter(pid_t pid, uint64_t address, const ioctl::Payload& payload) const;

    /// How the program's memory is reached; the first error ends the conversion.
    using Read = std::function<Result<>(uint64_t address, std::span<std::byte> into)>;
    using Write = std::function<Result<>(uint64_t address, std::span<const std::byte> from)>;
    /// The same by another way to the memory. What is read depends on nothing but what was read before.
    [[nodiscard]] Result<ioctl::Payload> gather(const Read& read, uint64_t address) const;
    /// Writes the pieces that gather() has read, each whole.
    [[nodiscard]] Result<> scatter(const Write& write, uint64_t address, const ioctl::Payload& payload) const;

private:
    enum class Struct : uint8_t { Buffer, Format, CreateBuffers, ExtControls, Event };
    Compat32(Struct which, uint32_t cmd, uint32_t size) : which_(which), cmd_(cmd), size_(size) {}

    void move(bool toNarrow, std::vector<std::byte>& narrow, std::vector<std::byte>& wide) const;

    Struct which_;
    uint32_t cmd_;
    uint32_t size_;  ///< of the program's struct: with times of 32 or of 64 bits
};

}  // namespace daedalus::transport
