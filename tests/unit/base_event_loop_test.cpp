#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <optional>
#include <thread>
#include <vector>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/unique_fd.h"

using daedalus::EventLoop;
using daedalus::UniqueFd;
using namespace std::chrono_literals;

namespace {

struct Pair {
    UniqueFd near;
    UniqueFd far;
};

Pair socketPair() {
    int fds[2] = {-1, -1};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

}  // namespace

TEST_CASE("posted tasks run in order on the loop thread") {
    EventLoop loop;
    CHECK_FALSE(loop.isLoopThread());
    std::vector<int> seen;
    bool onLoopThread = false;
    for (int i = 0; i < 5; ++i) loop.post([&seen, i] { seen.push_back(i); });
    loop.post([&] {
        onLoopThread = loop.isLoopThread();
        loop.stop();
    });
    loop.run();
    CHECK(seen == std::vector{0, 1, 2, 3, 4});
    CHECK(onLoopThread);
    CHECK_FALSE(loop.isLoopThread());
}

TEST_CASE("what is posted before the loop waits again wakes it once, and what its own tasks post not at all") {
    EventLoop loop;
    constexpr int kTasks = 10;
    int ran = 0;
    const auto afterTimer = loop.timer(1ms, 0ms, [&] {
        for (int i = 0; i < kTasks; ++i) loop.post([&] { ++ran; });
        loop.post([&] { loop.post([&] { loop.stop(); }); });
    });
    for (int i = 0; i < kTasks; ++i)
        loop.post([&] {
            ++ran;
            loop.post([&] { ++ran; });
        });
    CHECK(loop.wakeUps() == 1);
    loop.run();
    CHECK(ran == 3 * kTasks);
    CHECK(loop.wakeUps() == 1);
}

TEST_CASE("a loop that waits is woken by a post") {
    EventLoop loop;
    std::thread other;
    const auto later = loop.timer(1ms, 0ms, [&] {
        other = std::thread([&] {
            // The loop waits now, or will look at the tasks before it does.
            std::this_thread::sleep_for(5ms);
            loop.post([&] { loop.stop(); });
        });
    });
    loop.run();
    other.join();
    CHECK(loop.wakeUps() <= 1);
}

TEST_CASE("posts from many threads are all served, without a lost wake-up") {
    EventLoop loop;
    constexpr int perThread = 5000;
    constexpr int threads = 4;
    int served = 0;  // the loop thread's
    std::vector<std::thread> posters;
    posters.reserve(threads);
    for (int t = 0; t < threads; ++t) {
        posters.emplace_back([&] {
            for (int i = 0; i < perThread; ++i) {
                loop.post([&] {
                    if (++served == perThread * threads) loop.stop();
                });
            }
        });
    }
    loop.run();
    for (std::thread& poster : posters) poster.join();
    CHECK(served == perThread * threads);
}

TEST_CASE("a ping-pong over two loops never stalls") {
    EventLoop here;
    EventLoop there;
    std::thread other([&] { there.run(); });
    int left = 20000;
    std::function<void()> ping = [&] {
        if (--left == 0) return here.stop();
        there.post([&] { here.post(ping); });
    };
    here.post(ping);
    here.run();
    there.stop();
    other.join();
    CHECK(left == 0);
}

TEST_CASE("stop() before run() ends it at once, and run() may be called again") {
    EventLoop loop;
    loop.stop();
    loop.run();
    bool ran = false;
    loop.post([&] {
        ran = true;
        loop.stop();
    });
    loop.run();
    CHECK(ran);
}

TEST_CASE("tasks left over, and those that they post, run when the loop is destroyed") {
    int ran = 0;
    bool asLoopThread = false;
    auto owner = std::make_unique<EventLoop>();
    // What is posted runs while the owner holds it no longer.
    EventLoop& loop = *owner;
    loop.post([&] {
        ++ran;
        asLoopThread = loop.isLoopThread();
        loop.post([&] { ++ran; });
    });
    owner.reset();
    CHECK(ran == 2);
    CHECK(asLoopThread);
}

TEST_CASE("watch() is level-triggered and can be paused") {
    EventLoop loop;
    Pair pair = socketPair();
    REQUIRE(::write(pair.far.get(), "x", 1) == 1);
    int calls = 0;
    EventLoop::Registration watch;
    EventLoop::Registration pause;
    auto made = loop.watch(pair.near.get(), EventLoop::Readable, [&](uint32_t events) {
        CHECK(events == EventLoop::Readable);
        if (++calls < 3) return;
        watch.setEvents(0);
        pause = loop.timer(10ms, 0ms, [&] { loop.stop(); });
    });
    REQUIRE(made);
    watch = std::move(*made);
    loop.run();
    CHECK(calls == 3);
    watch.setEvents(EventLoop::Readable);
    loop.run();
    CHECK(calls == 4);
}

TEST_CASE("watch() tells a hang-up and out-of-band data") {
    EventLoop loop;
    Pair pair = socketPair();
    uint32_t seen = 0;
    auto watch = loop.watch(pair.near.get(), EventLoop::HangUp | EventLoop::Readable, [&](uint32_t events) {
        seen |= events;
        loop.stop();
    });
    REQUIRE(watch);
    pair.far.reset();
    loop.run();
    CHECK((seen & EventLoop::HangUp) != 0);
}

TEST_CASE("a socket with a pending error keeps being reported") {
    EventLoop loop;
    Pair pair = socketPair();
    // Unread bytes at the close of the far end make ECONNRESET: EPOLLERR on the near end.
    REQUIRE(::write(pair.near.get(), "x", 1) == 1);
    pair.far.reset();
    int calls = 0;
    auto watch = loop.watch(pair.near.get(), EventLoop::Readable, [&](uint32_t events) {
        CHECK((events & EventLoop::Readable) != 0);
        char byte = 0;
        if (++calls == 2 || ::read(pair.near.get(), &byte, 1) == 0) loop.stop();
    });
    REQUIRE(watch);
    loop.run();
    CHECK(calls >= 1);
}

TEST_CASE("watch() of what cannot be watched is an errno") {
    EventLoop loop;
    CHECK(loop.watch(-1, EventLoop::Readable, [](uint32_t) {}).error().value == EBADF);
    const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    REQUIRE(file);
    CHECK_FALSE(loop.watch(file.get(), EventLoop::Readable, [](uint32_t) {}).has_value());
}

TEST_CASE("a callback may drop its own registration and what it captured") {
    EventLoop loop;
    Pair pair = socketPair();
    REQUIRE(::write(pair.far.get(), "x", 1) == 1);
    auto captured = std::make_shared<int>(0);
    std::optional<EventLoop::Registration> watch;
    auto made = loop.watch(pair.near.get(), EventLoop::Readable, [&, captured](uint32_t) {
        watch.reset();
        ++*captured;
        loop.stop();
    });
    REQUIRE(made);
    watch = std::move(*made);
    loop.run();
    CHECK(*captured == 1);
    CHECK(captured.use_count() == 1);
}

TEST_CASE("a registration may be dropped while the loop is not running, and its fd be watched again") {
    EventLoop loop;
    Pair pair = socketPair();
    auto captured = std::make_shared<int>(0);
    {
        auto watch = loop.watch(pair.near.get(), EventLoop::Readable, [captured](uint32_t) { ++*captured; });
        REQUIRE(watch);
        const auto timer = loop.timer(0ms, 0ms, [captured] { ++*captured; });
    }
    CHECK(captured.use_count() == 1);
    auto again = loop.watch(pair.near.get(), EventLoop::Readable, [&](uint32_t) { loop.stop(); });
    REQUIRE(again);
    REQUIRE(::write(pair.far.get(), "x", 1) == 1);
    loop.run();
    CHECK(*captured == 0);
}

TEST_CASE("timers fire once or periodically, and not after they were dropped") {
    EventLoop loop;
    int once = 0;
    int periodic = 0;
    int never = 0;
    const auto single = loop.timer(1ms, 0ms, [&] { ++once; });
    auto dropped = loop.timer(1ms, 0ms, [&] { ++never; });
    dropped = {};
    const auto repeated = loop.timer(1ms, 2ms, [&] {
        if (++periodic == 4) loop.stop();
    });
    const auto started = std::chrono::steady_clock::now();
    loop.run();
    CHECK(once == 1);
    CHECK(periodic == 4);
    CHECK(never == 0);
    CHECK(std::chrono::steady_clock::now() - started >= 6ms);
}

TEST_CASE("signals arrive on the loop thread") {
    EventLoop loop;
    bool onLoopThread = false;
    auto registration = loop.signal(SIGUSR1, [&] {
        onLoopThread = loop.isLoopThread();
        loop.stop();
    });
    REQUIRE(registration);
    CHECK_FALSE(loop.signal(SIGKILL, [] {}).has_value());
    ::raise(SIGUSR1);
    loop.run();
    CHECK(onLoopThread);
}
