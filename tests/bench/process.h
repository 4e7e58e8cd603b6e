// Child processes: the contenders, and the daemon.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace daedalus::bench {

using Environment = std::vector<std::pair<std::string, std::string>>;

struct Ended {
    int status = -1;  ///< exit status; 128 + n after signal n; -1 if it did not start
    std::string output;
};

/// Runs a program (looked up in $PATH) to its end and collects its standard output.
[[nodiscard]] Ended runProcess(const std::vector<std::string>& command, const Environment& environment = {});

/// CPU seconds of one thread.
struct ThreadTime {
    double seconds = 0;
    double kernelShare = 0;  ///< of `seconds`, what was spent in system calls and interrupts
};

/// `daedalus serve` at a socket of its own.
class DaemonProcess {
public:
    /// Starts it and waits until it takes clients. Check alive().
    /// `threads`: of its pool, 0: its default. `cpu`: the only one that it may run on.
    DaemonProcess(const std::string& daedalus, const std::string& socket, unsigned threads, std::optional<unsigned> cpu);
    ~DaemonProcess();
    DaemonProcess(const DaemonProcess&) = delete;
    DaemonProcess& operator=(const DaemonProcess&) = delete;

    [[nodiscard]] bool alive() const { return pid_ > 0; }
    [[nodiscard]] pid_t pid() const { return pid_; }
    /// CPU seconds of all of its threads so far.
    [[nodiscard]] double cpuSeconds() const;
    /// Those of its loop, which is its first thread.
    [[nodiscard]] ThreadTime loopTime() const;
    /// Ends it. Returns its exit status.
    int stop();

private:
    pid_t pid_ = -1;
};

}  // namespace daedalus::bench
