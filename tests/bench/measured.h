// What one run of a contender reports: a line of key=value pairs on its standard output.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace daedalus::bench {

using Clock = std::chrono::steady_clock;

[[nodiscard]] inline double secondsBetween(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
}

/// The value below which `share` of all lie; 0 of none.
[[nodiscard]] inline double quantile(std::vector<double> values, double share) {
    if (values.empty()) return 0;
    const auto at = static_cast<size_t>(share * static_cast<double>(values.size() - 1) + 0.5);
    std::ranges::nth_element(values, values.begin() + static_cast<ptrdiff_t>(at));
    return values[at];
}

[[nodiscard]] inline double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

struct Measured {
    uint64_t frames = 0;        ///< that came out
    uint64_t steadyFrames = 0;  ///< that came out within `seconds`
    double seconds = 0;         ///< of one session: from its first frame on; of several: from the first open() on
    double firstFrameMs = 0;    ///< from opening to the first frame: median of the sessions
    double cpuSeconds = 0;      ///< of the process that reports
    double peakRssMb = 0;       ///< of the process that reports
    double latencyP50Us = 0;
    double latencyP99Us = 0;
    double callUs = 0;      ///< one QUERYCAP: median of the batches
    double pingPongUs = 0;  ///< one bare ping-pong: median of the batches between those
};

/// Frames of all sessions as they come out, and what becomes of their times. One thread.
class Tally {
public:
    /// The first frame of a session that was opened at `openedAt`.
    void firstFrame(Clock::time_point openedAt, Clock::time_point now) {
        if (firstFrames_.empty() || openedAt < opened_) opened_ = openedAt;
        if (firstFrames_.empty() || now < begin_) begin_ = now;
        firstFrames_.push_back(secondsBetween(openedAt, now) * 1e3);
    }
    void frame(Clock::time_point now) {
        ++frames_;
        last_ = std::max(last_, now);
    }
    void latency(double us) { latencies_.push_back(us); }
    /// What another thread has counted.
    void add(const Tally& other) {
        if (other.frames_ == 0) return;
        opened_ = frames_ == 0 ? other.opened_ : std::min(opened_, other.opened_);
        begin_ = frames_ == 0 ? other.begin_ : std::min(begin_, other.begin_);
        last_ = std::max(last_, other.last_);
        frames_ += other.frames_;
        firstFrames_.insert(firstFrames_.end(), other.firstFrames_.begin(), other.firstFrames_.end());
        latencies_.insert(latencies_.end(), other.latencies_.begin(), other.latencies_.end());
    }
    void tell(Measured& measured) const {
        measured.frames = frames_;
        // One stream: the start has a figure of its own. Of several, the first frames of some come amid those of others.
        const bool alone = firstFrames_.size() == 1;
        measured.steadyFrames = alone ? frames_ - 1 : frames_;
        measured.seconds = secondsBetween(alone ? begin_ : opened_, last_);
        measured.firstFrameMs = median(firstFrames_);
        measured.latencyP50Us = quantile(latencies_, 0.5);
        measured.latencyP99Us = quantile(latencies_, 0.99);
    }

private:
    uint64_t frames_ = 0;
    Clock::time_point opened_;
    Clock::time_point begin_;  ///< the first frame of all
    Clock::time_point last_;
    std::vector<double> firstFrames_;
    std::vector<double> latencies_;
};

/// CPU seconds of this process so far.
[[nodiscard]] double cpuSecondsSoFar();
/// Adds this process's peak RSS, and prints the line.
void printMeasured(Measured measured);
[[nodiscard]] std::optional<Measured> parseMeasured(const std::string& line);
/// VmHWM of a process, 0 if it is gone.
[[nodiscard]] double peakRssMb(int pid);

}  // namespace daedalus::bench
