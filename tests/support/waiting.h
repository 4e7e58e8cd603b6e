// A call that waits, on a thread of its own.
#pragma once

#include <pthread.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <future>
#include <thread>
#include <utility>

namespace daedalus::test {

/// Runs a call that returns 0 or an errno. Its destructor waits for the call's end.
class Waiting {
public:
    /// Returns when the call is likely to be in its wait.
    explicit Waiting(std::function<int()> call) : thread_([this, inner = std::move(call)] { done_.set_value(inner()); }) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    ~Waiting() { thread_.join(); }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

    void signal() { ::pthread_kill(thread_.native_handle(), SIGUSR1); }
    /// The result of a call that a signal ends. One that comes before the call waits ends nothing, so there is more than one.
    int interrupted() {
        constexpr int kMostSignals = 100;
        for (int sent = 0; sent < kMostSignals; ++sent) {
            signal();
            if (const int got = result(std::chrono::milliseconds(50)); got != -1) return got;
        }
        return -1;
    }
    /// The call's result, or -1 if it still waits after `patience`.
    int result(std::chrono::milliseconds patience) {
        return result_.wait_for(patience) == std::future_status::ready ? result_.get() : -1;
    }

private:
    std::promise<int> done_;
    std::shared_future<int> result_ = done_.get_future().share();
    std::thread thread_;
};

}  // namespace daedalus::test
