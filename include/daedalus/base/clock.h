// Time as a parameter, so that a test can set it.
#pragma once

#include <chrono>

namespace daedalus {

/// What time it is. Any thread.
class Clock {
public:
    using Time = std::chrono::steady_clock::time_point;
    virtual ~Clock() = default;
    /// Never goes back.
    [[nodiscard]] virtual Time now() const = 0;
    /// The machine's.
    [[nodiscard]] static const Clock& steady();
};

}  // namespace daedalus
