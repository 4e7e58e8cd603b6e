// What a file of the dispatcher's runs its calls on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "daedalus/base/result.h"
#include "daedalus/device/handlers.h"
#include "daedalus/memory/memory.h"
#include "table.h"

namespace daedalus::ioctl {

/// Runs the handlers of the rows of one file, and never waits: a call that has no answer yet is EAGAIN. Loop thread.
class Callee {
public:
    /// Is called when something changes that a parked call or poll() may wait for; it must not call handlers.
    using Changed = std::function<void()>;

    virtual ~Callee() = default;
    /// For log lines.
    [[nodiscard]] virtual const std::string& name() const = 0;
    /// EBUSY: a call that needs priority has to leave it to another file.
    [[nodiscard]] virtual Result<> checkPriority() const = 0;
    /// Runs the handler of a row once. `argument` has as many bytes as the row's number says; what is no input is zero, and its
    /// pointers lead to memory of ours.
    [[nodiscard]] virtual Result<> run(const Row& row, std::byte* argument, device::CallContext& context) = 0;
    /// See File.
    [[nodiscard]] virtual Result<memory::MemoryRef> mmap(uint64_t offset, size_t length) = 0;
    [[nodiscard]] virtual Result<memory::MemoryRef> memoryAt(uint64_t offset, size_t length) const = 0;
    [[nodiscard]] virtual uint32_t readiness() const = 0;
    /// See File::request().
    [[nodiscard]] virtual std::shared_ptr<media::Request> request() const { return nullptr; }
};

}  // namespace daedalus::ioctl
