// The functions that ours stand in front of: the next definition in the dynamic linker's order.
#pragma once

#include <atomic>

/// Marks what the library exports; everything else is hidden.
#define DAEDALUS_EXPORT extern "C" __attribute__((visibility("default")))

/// The next `function`, looked up at first use: callers may be here before any constructor ran.
#define DAEDALUS_NEXT(function)                                \
    ([]() -> decltype(&::function) {                           \
        static std::atomic<void*> slot{nullptr};               \
        void* found = slot.load(std::memory_order_relaxed);    \
        if (found == nullptr) {                                \
            found = ::daedalus::preload::findNext(#function);  \
            slot.store(found, std::memory_order_relaxed);      \
        }                                                      \
        return reinterpret_cast<decltype(&::function)>(found); \
    }())

namespace daedalus::preload {

/// dlsym(RTLD_NEXT), or nullptr. Keeps errno.
void* findNext(const char* name);

}  // namespace daedalus::preload
