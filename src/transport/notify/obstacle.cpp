#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <csignal>

#include "daedalus/transport/notify.h"

namespace daedalus::transport {
namespace {

/// What keeps this process from reaching into its child `pid`, which is a fork of it.
std::optional<NotifyObstacle> reachObstacle(pid_t pid) {
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    // A number that is not open: what counts is whether the kernel gets as far as to look for it.
    if (::syscall(SYS_pidfd_getfd, process.get(), INT_MAX, 0) < 0 && errno != EBADF)
        return NotifyObstacle{NotifyObstacle::What::Descriptors, errno};
    // An address of this process is one of its fork too.
    char byte = 0;
    const iovec here{&byte, 1};
    if (::process_vm_readv(pid, &here, 1, &here, 1, 0) != 1) return NotifyObstacle{NotifyObstacle::What::Memory, errno};
    if (::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) != 0) return NotifyObstacle{NotifyObstacle::What::Trace, errno};
    return std::nullopt;
}

}  // namespace

std::optional<NotifyObstacle> findNotifyObstacle() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return NotifyObstacle{NotifyObstacle::What::Listener, errno};
    const UniqueFd ours(ends[0]);
    UniqueFd theirs(ends[1]);
    // In a child, since a filter never comes off again.
    const pid_t pid = ::fork();
    if (pid < 0) return NotifyObstacle{NotifyObstacle::What::Listener, errno};
    if (pid == 0) {
        const auto listener = trapCalls();
        const int error = listener ? 0 : listener.error().value;
        if (::send(theirs.get(), &error, sizeof error, MSG_NOSIGNAL) == sizeof error) ::pause();
        ::_exit(0);
    }
    theirs.reset();
    int error = 0;
    ssize_t size = 0;
    do {
        size = ::recv(ours.get(), &error, sizeof error, 0);
    } while (size < 0 && errno == EINTR);
    std::optional<NotifyObstacle> found;
    // A strict filter over this process may have killed it for the attempt.
    if (size != sizeof error) error = EPERM;
    if (error != 0)
        found = NotifyObstacle{NotifyObstacle::What::Listener, error};
    else
        found = reachObstacle(pid);
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return found;
}

}  // namespace daedalus::transport
