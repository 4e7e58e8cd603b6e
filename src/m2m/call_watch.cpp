#include "call_watch.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace daedalus::m2m {

int64_t CallWatch::nowNs() const {
    // A clock may begin at 0, which means that there is no call.
    return std::max<int64_t>(std::chrono::nanoseconds(clock_.now().time_since_epoch()).count(), 1);
}

void CallWatch::begin() {
    inCall_ = true;
    began_ = nowNs();
    int64_t idle = kIdle;
    since_.compare_exchange_strong(idle, began_);
}

void CallWatch::end() {
    busy_ += std::chrono::nanoseconds(nowNs() - began_);
    int64_t expected = began_;
    since_.compare_exchange_strong(expected, kIdle);
    stopIfAbandoned();
    inCall_ = false;
    // Or between the two.
    stopIfAbandoned();
}

void CallWatch::stopIfAbandoned() const {
    while (since_ == kAbandoned) ::pause();
}

bool CallWatch::abandon() {
    since_ = kAbandoned;
    if (inCall_) return true;
    since_ = kGivenUp;
    return false;
}

std::chrono::nanoseconds CallWatch::takeBusyTime() { return std::exchange(busy_, std::chrono::nanoseconds(0)); }

bool CallWatch::giveUpAfter(std::chrono::nanoseconds limit) {
    int64_t since = since_;
    if (since <= kIdle || nowNs() - since <= limit.count()) return false;
    return since_.compare_exchange_strong(since, kGivenUp);
}

}  // namespace daedalus::m2m
