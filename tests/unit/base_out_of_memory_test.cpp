// Allocations that fail, as the handler of operator new hears of them.
#include <catch2/catch.hpp>
#include <chrono>
#include <new>
#include <thread>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/out_of_memory.h"

using namespace daedalus;
using namespace std::chrono_literals;

namespace {

/// How often in a row an allocation may fail before it is given up.
int triesLeft() {
    const std::new_handler handler = std::get_new_handler();
    for (int tries = 0; tries < 1000; ++tries) {
        try {
            handler();
        } catch (const std::bad_alloc&) {
            return tries;
        }
    }
    return -1;
}

}  // namespace

TEST_CASE("what fails a few times is tried again, and what fails for good is an error") {
    retryAllocations();
    REQUIRE(std::get_new_handler() != nullptr);
    for (int allocation = 0; allocation < 3; ++allocation) {
        CHECK(triesLeft() >= 5);
        std::this_thread::sleep_for(20ms);
    }
    // Each thread has tries of its own.
    int others = 0;
    std::thread([&] { others = triesLeft(); }).join();
    CHECK(others >= 5);
}

TEST_CASE("an event or a task that finds no memory is lost, and the loop goes on") {
    EventLoop loop;
    int calls = 0;
    loop.post([&] {
        ++calls;
        throw std::bad_alloc();
    });
    const auto timer = loop.timer(1ms, 1ms, [&] {
        if (++calls == 5) loop.stop();
        throw std::bad_alloc();
    });
    loop.run();
    CHECK(calls == 5);
}
