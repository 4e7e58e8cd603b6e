// A net under mapped files: a page that is not there any more ends a session, not this process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "daedalus/base/result.h"

namespace daedalus::memory {

/// While it lives, an access to a page of the range that its file cannot give (SIGBUS: it was truncated, its file system is
/// full, its device is gone) finds private memory there instead, and the range is broken from then on. Any thread.
class GuardedRange {
public:
    GuardedRange() = default;
    GuardedRange(GuardedRange&& other) noexcept : entry_(std::exchange(other.entry_, kNone)) {}
    GuardedRange& operator=(GuardedRange&& other) noexcept {
        std::swap(entry_, other.entry_);
        return *this;
    }
    /// To be called before the range is unmapped.
    ~GuardedRange();

    /// Whole pages of a mapping. ENOMEM: as many are guarded as a process can have mappings.
    [[nodiscard]] static Result<GuardedRange> guard(void* address, size_t size);
    [[nodiscard]] bool isBroken() const;

private:
    static constexpr size_t kNone = SIZE_MAX;
    explicit GuardedRange(size_t entry) : entry_(entry) {}
    size_t entry_ = kNone;
};

}  // namespace daedalus::memory
