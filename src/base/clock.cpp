#include "daedalus/base/clock.h"

namespace daedalus {

const Clock& Clock::steady() {
    struct Steady final : Clock {
        Time now() const override { return std::chrono::steady_clock::now(); }
    };
    static const Steady clock;
    return clock;
}

}  // namespace daedalus
