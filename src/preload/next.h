// The functions that ours stand in front of: the next definition in the dynamic linker's order.
#pragma once

#include <atomic>
#include <cstdint>

/// Marks what the library exports; everything else is hidden.
#define DAEDALUS_EXPORT extern "C" __attribute__((visibility("default")))

/// The next `function`, looked up at first use: callers may be here before any constructor ran.
#define DAEDALUS_NEXT(function) (::daedalus::preload::next<&::function>(#function))

namespace daedalus::preload {

/// How the program made a call, and so how it goes on. One way must not lead to the other: a library that stands in front of a
/// function may itself be made of syscall(2).
enum class By : uint8_t {
    Function,  ///< the C library's
    Number,    ///< syscall(2)
};

/// dlsym(RTLD_NEXT), or nullptr. Keeps errno.
void* findNext(const char* name);

template <auto function>
inline std::atomic<void*> nextSlot{nullptr};

template <auto function>
auto next(const char* name) -> decltype(function) {
    void* found = nextSlot<function>.load(std::memory_order_relaxed);
    if (found == nullptr) {
        found = findNext(name);
        nextSlot<function>.store(found, std::memory_order_relaxed);
    }
    return reinterpret_cast<decltype(function)>(found);
}

}  // namespace daedalus::preload
