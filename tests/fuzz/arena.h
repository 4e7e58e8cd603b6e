// A hostile client's memory and descriptors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "daedalus/base/unique_fd.h"
#include "input.h"

namespace daedalus::fuzz {

/// Some pages that may be written, the same pages once more but read-only, and pages that may not be touched. Every pointer
/// that a fuzzed call carries comes from here, so that the node is free to write wherever the client told it to.
class Arena {
public:
    static constexpr size_t kPage = 4096;
    static constexpr size_t kBytes = 32 * kPage;
    /// Where an argument lies, where the array that it points to, where USERPTR memory.
    static constexpr size_t kArgument = 0;
    static constexpr size_t kNested = 2 * kPage;
    static constexpr size_t kUser = 8 * kPage;

    Arena();
    ~Arena();
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    /// The writable bytes from `offset`.
    [[nodiscard]] std::span<std::byte> bytes(size_t offset) { return {base_ + offset, kBytes - offset}; }
    [[nodiscard]] uint64_t address(size_t offset) const { return reinterpret_cast<uintptr_t>(base_) + offset; }
    /// Mostly the address of what lies at `offset` (`size` bytes, which may be moved), else a pointer that is null, wild,
    /// read-only, or runs off the end of its page.
    [[nodiscard]] uint64_t pointer(Input& input, size_t offset, size_t size);
    /// Clears what the last input left.
    void clear();

private:
    UniqueFd file_;
    std::byte* whole_ = nullptr;
    std::byte* base_ = nullptr;
};

/// A descriptor of the kind that the input chooses: mostly a sealed memfd, else anything that may be passed for one.
[[nodiscard]] UniqueFd makeFd(Input& input);
/// A memfd of `size` bytes that cannot shrink, with `content` at its start.
[[nodiscard]] UniqueFd makeMemfd(size_t size, std::span<const std::byte> content = {});

}  // namespace daedalus::fuzz
