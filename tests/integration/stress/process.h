// Processes of a stress test: the daemon, and clients that are made to be killed.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fd_client.h"

namespace daedalus::test {

using namespace std::chrono_literals;

/// Longer than this nobody may be left waiting when the other side is killed.
inline constexpr std::chrono::milliseconds kGraceMs = 2000ms;
/// Where the daemons of the stress tests put their node.
inline constexpr char kNodePath[] = "/dev/video250";

/// A child process, killed at the end if it is still there. Must be made by the thread that lives longest: the child dies with
/// it.
class Process {
public:
    /// Runs a program without the preload library. `log`, if not empty, gets its stdout and stderr.
    static Process spawn(std::vector<std::string> command,
                         const std::vector<std::pair<std::string, std::string>>& environment = {}, const std::string& log = {});
    /// Runs `body` in a fork of this process, which must have one thread only; its result is the exit status.
    static Process fork(const std::function<int()>& body);

    Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
    Process& operator=(Process&& other) noexcept;
    ~Process() { end(); }

    [[nodiscard]] pid_t pid() const { return pid_; }
    void kill(int signo) const;
    /// The status of waitpid(), or nothing if the process is still there after `patience`.
    std::optional<int> wait(std::chrono::milliseconds patience);
    /// SIGKILL, and waits for the end.
    void end();

private:
    explicit Process(pid_t pid) : pid_(pid) {}
    pid_t pid_ = -1;
};

/// True as soon as `condition` is, within `patience`.
bool eventually(std::chrono::milliseconds patience, const std::function<bool()>& condition);

[[nodiscard]] size_t openFds(pid_t pid);
/// What a client's process keeps open in the daemon at most beside a thread's connection: a door, and a connection for
/// sandboxes.
inline constexpr size_t kLibraryKeeps = 2;
[[nodiscard]] size_t residentBytes(pid_t pid);
/// The processes whose parent is `pid`.
[[nodiscard]] std::vector<pid_t> childrenOf(pid_t pid);

/// `count` times $DAEDALUS_STRESS_SCALE, which is 1 where it is not set: for long runs by hand.
[[nodiscard]] unsigned scaled(unsigned count);

/// The value of an environment variable that Meson sets for these tests.
[[nodiscard]] std::string setting(const char* name);

/// A daemon at $DAEDALUS_SOCKET, ready for clients of this process.
class DaemonProcess {
public:
    /// `daedalus serve`, with these options besides.
    static DaemonProcess serve(std::vector<std::string> options = {});
    /// stress_daemon: the same transport and core around the toy codec.
    static DaemonProcess fake();

    Process& process() { return process_; }
    /// What the daemon has said so far.
    [[nodiscard]] std::string log() const;

private:
    DaemonProcess(const std::vector<std::string>& command, std::string log);
    std::string log_;
    Process process_;
};

/// A new open of the daemon's node; nothing, with errno, if that fails.
[[nodiscard]] std::unique_ptr<FdClient> openNode(int flags);

}  // namespace daedalus::test
