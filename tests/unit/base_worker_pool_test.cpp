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

namespace {

/// Stands until it is moved.
class HandClock final : public daedalus::Clock {
public:
    Time now() const override { return Time(time_); }
    void advance(std::chrono::nanoseconds by) { time_ += by; }

private:
    std::chrono::nanoseconds time_{1s};
};

/// Strands on a pool by hand, each of whose steps takes so long; there is always more.
struct Costly {
    HandClock clock;
    WorkerPool pool{WorkerPool::ByHand{.threads = 1, .clock = &clock}};
    std::deque<Strand> strands;
    std::deque<int> steps;

    Strand& add(std::chrono::nanoseconds cost, Strand::Step next = Strand::Step::More) {
        const size_t index = strands.size();
        steps.push_back(0);
        strands.emplace_back(pool, [this, cost, next, index] {
            clock.advance(cost);
            ++steps[index];
            return next;
        });
        return strands.back();
    }
};

}  // namespace

TEST_CASE("strands with endless work take turns where time is no matter") {
    WorkerPool pool(WorkerPool::ByHand{});
    std::deque<int> order;
    std::deque<Strand> strands;
    for (int i = 0; i < 8; ++i) {
        strands.emplace_back(pool, [&, i] {
            order.push_back(i);
            return Strand::Step::More;
        });
        strands.back().wake();
    }
    for (int i = 0; i < 800; ++i) REQUIRE(pool.step());
    for (size_t i = 0; i < order.size(); ++i) REQUIRE(order[i] == static_cast<int>(i % 8));
}

TEST_CASE_METHOD(Costly, "strands share time, not steps") {
    for (const auto cost : {1ms, 9ms, 90ms}) add(cost).wake();
    while (clock.now().time_since_epoch() < 31s) REQUIRE(pool.step());
    // A third of 30 s each.
    CHECK(steps[0] >= 9900);
    CHECK(steps[0] <= 10100);
    CHECK(steps[1] >= 1100);
    CHECK(steps[1] <= 1121);
    CHECK(steps[2] >= 110);
    CHECK(steps[2] <= 112);
}

TEST_CASE_METHOD(Costly, "who needs little is served after one step of the others, however many they are") {
    for (int i = 0; i < 8; ++i) add(300ms).wake();
    Strand& light = add(2ms, Strand::Step::Idle);
    for (int i = 0; i < 100; ++i) REQUIRE(pool.step());
    for (int frame = 0; frame < 100; ++frame) {
        light.wake();
        REQUIRE(pool.step());
        CHECK(steps.back() == frame + 1);
        // One of the others is under way when the next frame comes.
        REQUIRE(pool.step());
    }
}

TEST_CASE_METHOD(Costly, "time that was not asked for cannot be saved up") {
    Strand& idle = add(10ms);
    add(10ms).wake();
    for (int i = 0; i < 1000; ++i) REQUIRE(pool.step());
    idle.wake();
    for (int i = 0; i < 100; ++i) REQUIRE(pool.step());
    CHECK(steps[0] <= 55);
}

TEST_CASE("steps that last hold up nobody, however many there are") {
    WorkerPool pool(2);
    std::atomic<bool> release = false;
    std::atomic<int> stuck = 0;
    std::deque<Strand> bombs;
    for (int i = 0; i < 16; ++i) {
        bombs.emplace_back(pool, [&] {
            ++stuck;
            waitFor([&] { return release.load(); });
            return Strand::Step::Idle;
        });
        bombs.back().wake();
    }
    std::atomic<bool> served = false;
    Strand other(pool, [&] {
        served = true;
        return Strand::Step::Idle;
    });
    other.wake();
    waitFor([&] { return stuck == 16 && served; });
    release = true;
}

TEST_CASE("a pool does not wait for a step that was abandoned") {
    static std::atomic<bool> release = false;
    static std::atomic<bool> inStep = false;
    static std::atomic<bool> over = false;
    {
        WorkerPool pool(1);
        auto strand = std::make_unique<Strand>(pool, [] {
            inStep = true;
            waitFor([] { return release.load(); });
            over = true;
            return Strand::Step::Idle;
        });
        strand->wake();
        waitFor([] { return inStep.load(); });
        CHECK_FALSE(strand->endWithin(1ms));
        static auto* const leaked = strand.release();
        CHECK(leaked != nullptr);
    }
    CHECK_FALSE(over);
    release = true;
    waitFor([] { return over.load(); });
}

TEST_CASE("a strand that is idle, or comes to its end, ends within any time") {
    WorkerPool pool(1);
    Strand strand(pool, [] { return Strand::Step::Idle; });
    strand.wake();
    CHECK(strand.endWithin(10s));
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
