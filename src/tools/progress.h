// A line on the terminal that says how far the work is.
#pragma once

#include <chrono>
#include <cstdint>

namespace daedalus::tools {

/// Writes to stderr, and only if that is a terminal.
class Progress {
public:
    Progress();
    /// Removes the line.
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    /// Shows the count, not more often than a person can read.
    void frames(uint64_t count);
    [[nodiscard]] double seconds() const;

private:
    using Clock = std::chrono::steady_clock;
    bool terminal_;
    bool shown_ = false;
    Clock::time_point start_ = Clock::now();
    Clock::time_point next_ = start_;
};

}  // namespace daedalus::tools
