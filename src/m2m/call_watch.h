// How long a codec has been busy with one call.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "daedalus/base/clock.h"

namespace daedalus::m2m {

/// A call of the codec cannot be interrupted, only given up: by one exchange, which its worker finds on its way back.
class CallWatch {
public:
    explicit CallWatch(const Clock& clock) : clock_(clock) {}

    /// Runs a call; its result means nothing if givenUp() afterwards. Worker.
    template <class Call>
    [[nodiscard]] auto run(const Call& call) {
        begin();
        struct End {
            CallWatch& watch;
            ~End() { watch.end(); }
        } end{*this};
        return call();
    }
    /// True if the last call was given up. Worker.
    [[nodiscard]] bool givenUp() const { return since_ == kGivenUp; }
    /// The time spent in calls since this was asked last. Worker.
    [[nodiscard]] std::chrono::nanoseconds takeBusyTime();

    /// Gives the call under way up if it has lasted longer than `limit`; true if so. Any thread.
    [[nodiscard]] bool giveUpAfter(std::chrono::nanoseconds limit);
    /// Nobody will be there when the call under way returns: its thread stops then for good, and touches nothing more. False:
    /// no call is under way. Any thread.
    [[nodiscard]] bool abandon();

private:
    static constexpr int64_t kIdle = 0;
    static constexpr int64_t kGivenUp = -1;
    static constexpr int64_t kAbandoned = -2;

    void begin();
    void end();
    void stopIfAbandoned() const;
    [[nodiscard]] int64_t nowNs() const;

    const Clock& clock_;
    std::atomic<int64_t> since_ = kIdle;  ///< when the call under way began, or one of those above
    std::atomic<bool> inCall_ = false;
    int64_t began_ = 0;
    std::chrono::nanoseconds busy_{0};
};

}  // namespace daedalus::m2m
