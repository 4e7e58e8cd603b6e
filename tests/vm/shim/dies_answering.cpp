// Runs a program that serves a CUSE device, and lets a signal end it while it holds a question of the kernel that it has read
// and not answered. Nothing may stay behind of it.
//
//     dies_answering SIGNAL N PROGRAM ARGUMENT...
//
// The N-th answer is the one that is never written; libfuse alone in the daemon uses writev(2), for nothing else. 0: the
// program and all processes that it began are gone. 1: some are not, 20 s later. 2: it did not come so far.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

#include "daedalus/base/unique_fd.h"

using daedalus::UniqueFd;

namespace {

constexpr int kPatienceMs = 20000;
constexpr int kPauseMs = 20;

/// The descriptor that is told of each writev() of this process and of what it becomes; -1 with errno.
int watchWritev() {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_writev, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog loaded{std::size(program), program};
    return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &loaded));
}

[[noreturn]] void become(char** command, int tellParent, int hearParent) {
    const int listener = watchWritev();
    char go = 0;
    if (listener < 0 || ::write(tellParent, &listener, sizeof listener) < 0 || ::read(hearParent, &go, 1) != 1) ::_exit(126);
    ::execv(command[0], command);
    ::_exit(127);
}

/// Lets the first `count` - 1 answers through and returns when the next is about to be written; false if that never comes.
bool letAnswer(int listener, int count) {
    for (int i = 1;; ++i) {
        pollfd asked{listener, POLLIN, 0};
        if (::poll(&asked, 1, kPatienceMs) != 1 || (asked.revents & POLLIN) == 0) return false;
        seccomp_notif notice{};
        if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notice) != 0) return false;
        if (i == count) return true;
        seccomp_notif_resp answer{notice.id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE};
        if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) != 0) return false;
    }
}

/// True if all children, those of children that have ended among them, end in time.
bool allEnd() {
    for (int waitedMs = 0; waitedMs < kPatienceMs; waitedMs += kPauseMs) {
        const pid_t ended = ::waitpid(-1, nullptr, WNOHANG);
        if (ended < 0) return errno == ECHILD;
        if (ended == 0) ::usleep(kPauseMs * 1000);
    }
    return false;
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 4) return 2;
    const int signo = std::atoi(arguments[1]);
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    int up[2];
    int down[2];
    if (::pipe2(up, O_CLOEXEC) != 0 || ::pipe2(down, O_CLOEXEC) != 0) return 2;
    const pid_t program = ::fork();
    if (program == 0) become(arguments + 3, up[1], down[0]);
    int theirs = -1;
    if (::read(up[0], &theirs, sizeof theirs) != sizeof theirs) return 2;
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, program, 0)));
    const UniqueFd listener(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), theirs, 0)));
    if (::write(down[1], "g", 1) != 1 || !letAnswer(listener.get(), std::atoi(arguments[2]))) {
        std::fprintf(stderr, "no answer %s was about to be written\n", arguments[2]);
        ::kill(program, SIGKILL);
        return 2;
    }
    // Time for whoever waits for the answer to be told by nobody.
    ::usleep(100000);
    ::kill(program, signo);
    if (allEnd()) return 0;
    std::fprintf(stderr, "a process is left of what signal %d has ended\n", signo);
    return 1;
}
