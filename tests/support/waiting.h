// A call that waits, on a thread of its own.
#pragma once

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>

namespace daedalus::test {

/// Waits for what is sure to come: true as soon as the condition holds, false if it does not in that time.
template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds patience = std::chrono::seconds(10)) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return true;
}

/// Runs a call that returns 0 or an errno. Its destructor waits for the call's end.
class Waiting {
public:
    /// Returns when the call's thread sleeps, or its call has ended: not before it began to wait.
    explicit Waiting(std::function<int()> call)
        : thread_([this, inner = std::move(call)] {
              tid_ = ::gettid();
              done_.set_value(inner());
          }) {
        eventually([this] { return result_.wait_for(std::chrono::seconds(0)) == std::future_status::ready || sleeps(); });
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
    /// What the kernel tells of the thread: "TID (NAME) STATE ...".
    [[nodiscard]] bool sleeps() const {
        if (tid_ == 0) return false;
        std::ifstream file("/proc/self/task/" + std::to_string(tid_) + "/stat");
        std::string text;
        std::getline(file, text);
        const size_t name = text.rfind(')');
        return name != std::string::npos && text.compare(name, 3, ") S") == 0;
    }

    std::promise<int> done_;
    std::shared_future<int> result_ = done_.get_future().share();
    std::atomic<pid_t> tid_ = 0;
    std::thread thread_;
};

}  // namespace daedalus::test
