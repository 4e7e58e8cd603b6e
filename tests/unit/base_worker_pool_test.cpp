#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "daedalus/base/mailbox.h"
#include "daedalus/base/worker_pool.h"

using daedalus::Mailbox;
using daedalus::Strand;
using daedalus::WorkerPool;
using namespace std::chrono_literals;

namespace {

/// Waits until `done()`; the test's own time limit catches what never comes.
template <class Condition>
void waitFor(Condition done) {
    while (!done()) std::this_thread::sleep_for(100us);
}

}  // namespace

TEST_CASE("a pool has the threads it was asked for, and ends when nothing ever ran") {
    CHECK(WorkerPool(3).threads() == 3);
    const WorkerPool pool(1);
    CHECK(pool.threads() == 1);
}

TEST_CASE("every wake() is followed by a step, and steps of one strand never overlap") {
    WorkerPool pool(4);
    Mailbox<int> inbox;
    std::atomic<int> inside = 0;
    std::atomic<int> taken = 0;
    std::atomic<bool> overlapped = false;
    Strand strand(pool, [&] {
        if (++inside != 1) overlapped = true;
        while (inbox.pop()) ++taken;
        --inside;
        return Strand::Step::Idle;
    });
    constexpr int perThread = 5000;
    std::vector<std::thread> wakers;
    for (int t = 0; t < 3; ++t) {
        wakers.emplace_back([&] {
            for (int i = 0; i < perThread; ++i) {
                inbox.push(i);
                strand.wake();
            }
        });
    }
    for (std::thread& waker : wakers) waker.join();
    waitFor([&] { return taken == 3 * perThread; });
    CHECK_FALSE(overlapped);
}

TEST_CASE("a wake() during a step runs the step again") {
    WorkerPool pool(2);
    std::atomic<int> steps = 0;
    std::atomic<bool> release = false;
    Strand strand(pool, [&] {
        if (++steps == 1) waitFor([&] { return release.load(); });
        return Strand::Step::Idle;
    });
    strand.wake();
    waitFor([&] { return steps == 1; });
    strand.wake();
    strand.wake();
    release = true;
    waitFor([&] { return steps == 2; });
    std::this_thread::sleep_for(5ms);
    CHECK(steps == 2);
}

TEST_CASE("strands with endless work take turns") {
    WorkerPool pool(1);
    constexpr int strandCount = 8;
    constexpr size_t enough = 800;
    Mailbox<int> order;
    std::atomic<size_t> steps = 0;
    std::atomic<bool> start = false;
    std::deque<Strand> strands;
    Strand gate(pool, [&] {
        waitFor([&] { return start.load(); });
        return Strand::Step::Idle;
    });
    gate.wake();
    for (int i = 0; i < strandCount; ++i) {
        strands.emplace_back(pool, [&, i] {
            order.push(i);
            ++steps;
            return Strand::Step::More;
        });
        strands.back().wake();
    }
    start = true;
    waitFor([&] { return steps >= enough; });
    strands.clear();
    int expected = 0;
    for (size_t i = 0; i < enough; ++i) {
        REQUIRE(order.pop() == expected);
        expected = (expected + 1) % strandCount;
    }
}

TEST_CASE("destroying a strand waits for its step, which is not called again") {
    WorkerPool pool(2);
    std::atomic<bool> inStep = false;
    std::atomic<int> finished = 0;
    {
        auto captured = std::make_shared<int>(0);
        Strand strand(pool, [&, captured] {
            inStep = true;
            std::this_thread::sleep_for(20ms);
            ++finished;
            return Strand::Step::More;
        });
        strand.wake();
        waitFor([&] { return inStep.load(); });
    }
    CHECK(finished >= 1);
    const int atEnd = finished;
    std::this_thread::sleep_for(30ms);
    CHECK(finished == atEnd);
}

TEST_CASE("strands come and go while others run") {
    WorkerPool pool(3);
    std::atomic<long> steps = 0;
    Strand lasting(pool, [&] {
        ++steps;
        return Strand::Step::More;
    });
    lasting.wake();
    for (int i = 0; i < 500; ++i) {
        Strand brief(pool, [&] {
            ++steps;
            return i % 2 ? Strand::Step::More : Strand::Step::Idle;
        });
        brief.wake();
        if (i % 3 == 0) std::this_thread::yield();
    }
    CHECK(steps > 0);
}
