#include "daedalus/base/out_of_memory.h"

#include <chrono>
#include <new>
#include <thread>

namespace daedalus {
namespace {

/// Called by `operator new` for each failure, until it throws.
void waitForMemory() {
    using Clock = std::chrono::steady_clock;
    // Failures that follow one another so closely are of one allocation.
    constexpr std::chrono::milliseconds kSame{10};
    constexpr unsigned kMost = 10;
    static thread_local unsigned failures = 0;
    static thread_local Clock::time_point last;
    const auto now = Clock::now();
    failures = now - last < kSame ? failures + 1 : 1;
    last = now;
    if (failures > kMost) {
        failures = 0;
        throw std::bad_alloc();
    }
    if (failures > 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace

void retryAllocations() { std::set_new_handler(waitForMemory); }

}  // namespace daedalus
