// The loop that owns all V4L2 state: one thread runs it, every other thread only posts to it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "daedalus/base/result.h"

namespace daedalus {

/// A libuv loop. Everything but post() and stop() is for the thread that calls run(), or for before run() is called.
class EventLoop {
public:
    /// What watch() waits for and reports, as a bit mask.
    enum Event : uint32_t { Readable = 1, Writable = 2, HangUp = 4, Priority = 8 };

    /// Keeps one registration alive; dropping it ends the registration. Loop thread; must not outlive the loop.
    class Registration {
    public:
        struct State;
        Registration();
        explicit Registration(std::unique_ptr<State> state);
        Registration(Registration&&) noexcept;
        Registration& operator=(Registration&&) noexcept;
        ~Registration();
        [[nodiscard]] explicit operator bool() const { return state_ != nullptr; }
        /// Changes the events of a watch(); 0 pauses it. Not for timers and signals.
        void setEvents(uint32_t events);

    private:
        std::unique_ptr<State> state_;
    };

    EventLoop();
    ~EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    /// Serves events until stop() is called. The calling thread becomes the loop thread.
    void run();
    /// Ends run() after the events at hand. Any thread, and signal handlers' callbacks.
    void stop();
    /// Runs `task` soon on the loop thread, in the order of the posts: when what is ready now has been served. Any thread.
    /// Tasks posted after the end of run() run when the loop is destroyed.
    void post(std::function<void()> task);
    /// How often a post has had to end the loop's wait: once for all that is posted before it waits again. Any thread.
    [[nodiscard]] uint64_t wakeUps() const;
    /// True on the thread that is inside run().
    [[nodiscard]] bool isLoopThread() const;

    /// Calls `callback(events)` while one of `events` holds on `fd` (level-triggered). `fd` stays the caller's.
    [[nodiscard]] Result<Registration> watch(int fd, uint32_t events, std::function<void(uint32_t)> callback);
    /// Calls `callback` once after `delay`, then every `period` if that is not zero.
    [[nodiscard]] Registration timer(std::chrono::milliseconds delay, std::chrono::milliseconds period,
                                     std::function<void()> callback);
    /// Calls `callback` for each arrival of the signal.
    [[nodiscard]] Result<Registration> signal(int signo, std::function<void()> callback);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace daedalus
