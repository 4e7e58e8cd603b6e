// Processes that have nothing to do with the node: the library must not make a system call that its program did not make. Each
// act runs under a filter that ends whoever makes another one.
#include <linux/dma-buf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <initializer_list>
#include <vector>

#include "tests/integration/socket/passed_fds.h"

// Newer architectures lack the older of two calls that do the same.
#ifndef SYS_poll
#define SYS_poll (-1)
#define SYS_select (-1)
#define SYS_epoll_wait (-1)
#define SYS_dup2 (-1)
#endif

namespace daedalus::test {
namespace {

/// From now on nothing is allowed but these, and what ends the process.
void allowOnly(std::initializer_list<long> numbers) {
    std::vector<sock_filter> filter{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)};
    const auto allow = [&](long number) {
        filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1));
        filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    };
    for (const long number : numbers) allow(number);
    allow(SYS_exit_group);
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
    EXPECT(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    EXPECT(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

struct Act {
    const char* name;
    std::initializer_list<long> calls;
    std::function<void()> run;
};

/// The status of a child that runs `act` in its sandbox.
int statusOf(const Act& act) {
    const pid_t child = ::fork();
    if (child == 0) {
        allowOnly(act.calls);
        act.run();
        std::_Exit(0);
    }
    int status = -1;
    EXPECT(::waitpid(child, &status, 0) == child);
    return status;
}

void bystander() {
    const int event = ::eventfd(0, EFD_NONBLOCK);
    const int set = ::epoll_create1(0);
    const int memory = static_cast<int>(::syscall(SYS_memfd_create, "mine", MFD_ALLOW_SEALING));
    int ends[2];
    EXPECT(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    EXPECT(::fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    // A descriptor lies ready to be received.
    sendFd(ends[0], event);
    char byte = 0;
    FdMessage message(&byte, 1, size_t{1});

    epoll_event wanted{};
    wanted.events = EPOLLIN | EPOLLPRI;
    struct stat status {};
    struct statx moreStatus {};
    v4l2_capability capability{};
    pollfd polled{event, POLLIN | POLLPRI, 0};
    const timespec none{0, 0};
    uint64_t value = 0;
    int number = 0;
    const auto selectOn = [&](int fd) {
        fd_set exceptions;
        FD_ZERO(&exceptions);
        FD_SET(fd, &exceptions);
        timeval now{0, 0};
        return ::select(fd + 1, nullptr, nullptr, &exceptions, &now);
    };
    const Act acts[] = {
        {"epoll_ctl", {SYS_epoll_ctl}, [&] { EXPECT(::epoll_ctl(set, EPOLL_CTL_ADD, event, &wanted) == 0); }},
        {"epoll_ctl on a socket", {SYS_epoll_ctl}, [&] { EXPECT(::epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &wanted) == 0); }},
        {"epoll_wait", {SYS_epoll_wait, SYS_epoll_pwait}, [&] { EXPECT(::epoll_wait(set, &wanted, 1, 0) == 0); }},
        {"fstat of a socket", {SYS_fstat, SYS_newfstatat}, [&] { EXPECT(::fstat(ends[0], &status) == 0); }},
        {"statx of a socket", {SYS_statx}, [&] { EXPECT(::statx(ends[0], "", AT_EMPTY_PATH, STATX_ALL, &moreStatus) == 0); }},
        {"a V4L2 ioctl", {SYS_ioctl}, [&] { EXPECT(::ioctl(event, VIDIOC_QUERYCAP, &capability) == -1); }},
        {"a V4L2 ioctl on a socket", {SYS_ioctl}, [&] { EXPECT(::ioctl(ends[0], VIDIOC_QUERYCAP, &capability) == -1); }},
        {"a socket's ioctl", {SYS_ioctl}, [&] { EXPECT(::ioctl(ends[0], FIONREAD, &number) == 0); }},
        {"a dma-buf's ioctl", {SYS_ioctl}, [&] { EXPECT(::ioctl(memory, DMA_BUF_IOCTL_SYNC, &value) == -1); }},
        {"a mmap that fails", {SYS_mmap}, [&] { EXPECT(::mmap(nullptr, 1, PROT_READ, MAP_SHARED, event, 0) == MAP_FAILED); }},
        {"poll", {SYS_poll, SYS_ppoll}, [&] { EXPECT(::poll(&polled, 1, 0) == 0); }},
        {"ppoll", {SYS_ppoll}, [&] { EXPECT(::ppoll(&polled, 1, &none, nullptr) == 0); }},
        {"select", {SYS_select, SYS_pselect6}, [&] { EXPECT(selectOn(ends[0]) == 0); }},
        {"read", {SYS_read}, [&] { EXPECT(::read(event, &value, sizeof value) == -1); }},
        {"write", {SYS_write}, [&] { EXPECT(::write(ends[0], "x", 1) == 1); }},
        {"dup", {SYS_dup}, [&] { EXPECT(::dup(ends[0]) >= 0); }},
        {"dup2", {SYS_dup2, SYS_dup3}, [&] { EXPECT(::dup2(ends[0], 250) == 250); }},
        {"fcntl", {SYS_fcntl}, [&] { EXPECT(::fcntl(ends[0], F_DUPFD, 100) >= 100); }},
        {"close", {SYS_close}, [&] { EXPECT(::close(ends[0]) == 0); }},
        {"close_range", {SYS_close_range}, [&] { EXPECT(::close_range(3, ~0U, 0) == 0); }},
        {"recvmsg", {SYS_recvmsg}, [&] { EXPECT(::recvmsg(ends[1], message.head(), 0) == 1); }},
        {"getpid by syscall", {SYS_getpid}, [&] { EXPECT(::syscall(SYS_getpid) > 0); }},
        {"ioctl by syscall", {SYS_ioctl}, [&] { EXPECT(::syscall(SYS_ioctl, event, VIDIOC_QUERYCAP, &capability) == -1); }},
    };
    for (const Act& act : acts) {
        const int outcome = statusOf(act);
        if (outcome != 0) std::fprintf(stderr, "%s: the process ended with wait status %#x\n", act.name, outcome);
        EXPECT(outcome == 0);
    }
}

/// The sandbox itself works: what a bystander must not do ends it.
void bystanderSandbox() {
    const int status = statusOf({"getsockname", {SYS_read}, [] { ::syscall(SYS_getppid); }});
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

/// As browsers enter their sandboxes: a child in its parent's memory, whose thread pointer leads to nothing.
int bareChild(void* argument) {
    const int fd = *static_cast<int*>(argument);
    const bool good =
        ::chdir("/") == 0 && ::dup2(fd, 250) == 250 && ::fcntl(250, F_SETFD, FD_CLOEXEC) == 0 && ::close(250) == 0;
    ::syscall(SYS_exit_group, good ? 0 : 1);
    return 1;
}

void childWithoutThread() {
    int event = ::eventfd(0, EFD_NONBLOCK);
    alignas(64) static char stack[65536];
    alignas(64) static char threadMemory[32768] = {};
    const pid_t child = ::clone(bareChild, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_SETTLS | SIGCHLD, &event,
                                nullptr, threadMemory + sizeof threadMemory / 2);
    int status = -1;
    EXPECT(child > 0 && ::waitpid(child, &status, 0) == child);
    EXPECT(status == 0);
}

}  // namespace

void addBystanderCases(Cases& cases) {
    cases["bystander"] = bystander;
    cases["bystander_sandbox"] = bystanderSandbox;
    cases["bare_child"] = childWithoutThread;
}

}  // namespace daedalus::test
