// The way into programs that no library reaches: their system calls on the node are brought to a supervisor by the kernel
// (seccomp user notification), which is a client of the daemon's socket in their place.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "daedalus/base/result.h"
#include "daedalus/base/unique_fd.h"

namespace daedalus::transport {

/// Calls that a supervisor serves at a time; more wait.
inline constexpr size_t kMostNotified = 512;

/// The calls that a supervisor has taken and not answered yet, in memory that it shares with its guard. 0: none.
struct NotifiedCalls {
    std::array<std::atomic<uint64_t>, kMostNotified> ids;
    std::atomic<uint64_t> latest;  ///< the kernel counts them up
    std::atomic<uint64_t> count;   ///< of all that were ever taken
};

/// In the process that is to become the program, right before exec: traps the calls of it and of all that it starts. Returns
/// the listener, which a supervisor must hold from then on. Errors: EBUSY if a listener is there already (a run within a run,
/// a container's), ENOSYS and EINVAL of kernels and processors that cannot do it, EPERM.
[[nodiscard]] Result<UniqueFd> trapCalls();

struct NotifyOptions {
    std::string socket;              ///< of the daemon
    std::string nodePath;            ///< "/dev/videoN"
    NotifiedCalls* calls = nullptr;  ///< outlives the process
    /// Told, on a thread of the supervisor, of a child of this process whose end the supervisor saw, as waitpid() says it.
    std::function<void(pid_t pid, int status)> ended;
};

/// Serves the calls, on threads of its own, to the end of the process. Yama (kernel.yama.ptrace_scope=1) wants it in a process
/// that the program descends from.
void superviseCalls(UniqueFd listener, NotifyOptions options);

/// What keeps this process from supervising programs that it starts.
struct NotifyObstacle {
    enum class What : uint8_t {
        Listener,     ///< trapCalls() fails
        Descriptors,  ///< pidfd_getfd: the program's files cannot be reached
        Memory,       ///< process_vm_readv: nor its memory
        Trace,        ///< ptrace: buffers cannot be mapped
    };
    What what;
    int error;
};
/// Tries it all on a child. To be called in a process of one thread.
[[nodiscard]] std::optional<NotifyObstacle> findNotifyObstacle();

/// Once a supervisor is dead: lets the kernel run all calls that come, and answers those that it had taken with ENODEV. Returns
/// when no process is left whose calls are trapped.
void guardCalls(const UniqueFd& listener, NotifiedCalls& calls);

/// True while a process is left whose calls are trapped; `timeoutMs` as poll() has it.
[[nodiscard]] bool haveTrappedProcesses(const UniqueFd& listener, int timeoutMs);

}  // namespace daedalus::transport
