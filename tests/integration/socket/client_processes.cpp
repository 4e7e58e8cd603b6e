// Descriptors that travel, processes that die, and the daemon's death.
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "tests/integration/socket/passed_fds.h"

namespace daedalus::test {
namespace {

bool answers(int fd) {
    v4l2_capability capability{};
    return ::ioctl(fd, VIDIOC_QUERYCAP, &capability) == 0;
}

void expectChild(pid_t child) {
    int status = 0;
    EXPECT(::waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void travel() {
    const int watcher = openNode(O_RDWR | O_CLOEXEC);
    int fd = openNode();
    expectSessions(watcher, 2);
    const int copy = ::dup(fd);
    EXPECT(::dup2(fd, 300) == 300);
    EXPECT(::close(fd) == 0);
    EXPECT(answers(copy) && answers(300));
    EXPECT(::close(300) == 0);
    expectSessions(watcher, 2);

    // fork: both have it, and the child has a connection of its own.
    const pid_t child = ::fork();
    if (child == 0) {
        for (int i = 0; i < 200; ++i) EXPECT(answers(copy));
        steer(copy, kMask, POLLIN);
        EXPECT(pollNow(copy, POLLIN) == POLLIN);
        steer(copy, kMask, 0);
        EXPECT(pollNow(copy, POLLIN) == 0);
        std::_Exit(0);
    }
    for (int i = 0; i < 200; ++i) EXPECT(answers(copy));
    expectChild(child);
    EXPECT(answers(copy));

    // exec: the new program finds it under its number.
    const pid_t executed = ::fork();
    if (executed == 0) {
        const std::string number = std::to_string(copy);
        ::setenv("DAEDALUS_TEST_FD", number.c_str(), 1);
        ::execl("/proc/self/exe", "client", "inherited", nullptr);
        std::_Exit(1);
    }
    expectChild(executed);

    // SCM_RIGHTS.
    int ends[2];
    EXPECT(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    sendFd(ends[0], copy);
    ::close(copy);
    char byte = 0;
    FdMessage message(&byte, 1, size_t{1});
    EXPECT(::recvmsg(ends[1], message.head(), 0) == 1);
    fd = message.fd();
    EXPECT(answers(fd));
    // The last close ends it.
    ::close(fd);
    expectSessions(watcher, 1);
}

void inherited() {
    const int fd = std::atoi(std::getenv("DAEDALUS_TEST_FD"));
    EXPECT(answers(fd));
    steer(fd, kMask, POLLPRI);
    EXPECT(pollNow(fd, POLLPRI) == POLLPRI);
    steer(fd, kMask, 0);
    EXPECT(pollNow(fd, POLLPRI) == 0);
}

/// A program that closes every descriptor it does not know, and reuses the numbers.
void closeAll() {
    const int fd = openNode();
    EXPECT(answers(fd));
    for (int other = 3; other < 1024; ++other) {
        if (other != fd) ::close(other);
    }
    EXPECT(answers(fd));
    int ends[2];
    for (int other = 3; other < 1024; ++other) {
        if (other != fd) ::close(other);
    }
    // Something else is where the connection was.
    EXPECT(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    for (int other = 200; other < 210; ++other) EXPECT(::dup2(ends[0], other) == other);
    EXPECT(answers(fd));
    char byte = 0;
    EXPECT_ERRNO(::recv(ends[1], &byte, 1, MSG_DONTWAIT), EAGAIN);
    EXPECT(::fcntl(205, F_GETFD) >= 0);
}

void clientKilled() {
    const int watcher = openNode(O_RDWR | O_CLOEXEC);
    for (int round = 0; round < 20; ++round) {
        const pid_t child = ::fork();
        if (child == 0) {
            const int fd = openNode();
            if (round % 2 == 0) {
                dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE);
            } else {
                for (;;) answers(fd);
            }
        }
        ::usleep(3000 * static_cast<unsigned>(round));
        ::kill(child, SIGKILL);
        EXPECT(::waitpid(child, nullptr, 0) == child);
        EXPECT(answers(watcher));
        expectSessions(watcher, 1);
    }
}

/// A file that two processes share goes on when one of them is killed in the middle of things.
void sharerKilled() {
    const int fd = openNode(O_RDWR | O_NONBLOCK);
    for (int round = 0; round < 30; ++round) {
        const pid_t child = ::fork();
        if (child == 0) {
            for (;;) {
                steer(fd, kFrames, 1);
                dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE);
                steer(fd, kSlots, 1);
                dequeue(fd, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE);
            }
        }
        ::usleep(4000);
        ::kill(child, SIGKILL);
        EXPECT(::waitpid(child, nullptr, 0) == child);
        // At most some empty wake-ups until all is in order again.
        constexpr int kMostSpins = 2000;
        int spins = 0;
        while (pollNow(fd, POLLIN | POLLOUT) != 0 && spins < kMostSpins) {
            while (dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) == 0) {
            }
            while (dequeue(fd, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE) == 0) {
            }
            ++spins;
            ::usleep(1000);
        }
        EXPECT(spins < kMostSpins);
        steer(fd, kFrames, 1);
        EXPECT(pollNow(fd, POLLIN, 2000) == POLLIN);
        EXPECT(dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) == 0);
    }
}

size_t sockets(pid_t process) {
    size_t count = 0;
    std::error_code error;
    for (const auto& file : std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/fd"))
        if (std::filesystem::read_symlink(file, error).string().starts_with("socket:")) ++count;
    return count;
}

/// Whoever is killed while the daemon is stopped keeps nothing of the supervisor, which is this process's parent.
void daemonStopped() {
    constexpr size_t kChildren = 8;
    const int fd = openNode();
    EXPECT(answers(fd));
    const pid_t daemon = std::atoi(std::getenv("DAEDALUS_TEST_DAEMON"));
    const size_t before = sockets(::getppid());
    EXPECT(::kill(daemon, SIGSTOP) == 0);
    std::vector<pid_t> children;
    for (size_t i = 0; i < kChildren; ++i) {
        children.push_back(::fork());
        if (children.back() == 0) std::_Exit(answers(fd) ? 0 : 1);
    }
    const auto comesTrue = [](auto condition) {
        for (int i = 0; i < 2000 && !condition(); ++i) ::usleep(10'000);
        return condition();
    };
    // Each of them waits on a connection of its own, some of which were there.
    EXPECT(comesTrue([&] { return sockets(::getppid()) >= kChildren; }));
    for (const pid_t child : children) EXPECT(::kill(child, SIGKILL) == 0);
    for (const pid_t child : children) EXPECT(::waitpid(child, nullptr, 0) == child);
    EXPECT(comesTrue([&] { return sockets(::getppid()) <= before; }));
    EXPECT(::kill(daemon, SIGCONT) == 0);
    EXPECT(answers(fd));
}

pid_t daemonPid() { return std::atoi(std::getenv("DAEDALUS_TEST_DAEMON")); }

void daemonKilledWaiting() {
    const int fd = openNode();
    std::vector<std::thread> waiting;
    std::atomic<int> ended{0};
    waiting.emplace_back([&] {
        EXPECT_ERRNO(dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE), ENODEV);
        ++ended;
    });
    for (const short events : {POLLIN + 0, POLLOUT + 0, POLLPRI + 0, POLLIN | POLLOUT | POLLPRI}) {
        waiting.emplace_back([&, events] {
            EXPECT((pollNow(fd, static_cast<short>(events), 20'000) & (POLLERR | POLLHUP)) != 0);
            ++ended;
        });
    }
    ::usleep(100'000);
    EXPECT(ended == 0);
    EXPECT(::kill(daemonPid(), SIGKILL) == 0);
    for (auto& thread : waiting) thread.join();
    EXPECT_ERRNO(::open(kNode, O_RDWR), ENODEV);
}

void daemonKilled() {
    const int fd = openNode();
    const int other = openNode();
    EXPECT(answers(fd));
    EXPECT(::kill(daemonPid(), SIGKILL) == 0);
    EXPECT((pollNow(fd, POLLIN, 5000) & POLLHUP) != 0);
    v4l2_capability capability{};
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_QUERYCAP, &capability), ENODEV);
    EXPECT_ERRNO(::ioctl(other, VIDIOC_QUERYCAP, &capability), ENODEV);
    EXPECT_ERRNO(queue(fd, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE), ENODEV);
    EXPECT((pollNow(fd, POLLIN | POLLOUT | POLLPRI, 5000) & POLLHUP) != 0);
    EXPECT(::close(fd) == 0);
}

/// A thread that has the number of one that ended is served as that one was. Numbers are chosen as root only.
void sameNumber() {
    const int fd = openNode();
    const auto call = [&](pid_t& tid) {
        std::thread([&] {
            tid = ::gettid();
            v4l2_capability capability{};
            EXPECT(::ioctl(fd, VIDIOC_QUERYCAP, &capability) == 0);
        }).join();
    };
    pid_t first = 0;
    call(first);
    // Another process may be faster.
    for (pid_t next = 0, tries = 0; next != first && tries < 200; ++tries) {
        if (!(std::ofstream("/proc/sys/kernel/ns_last_pid") << first - 1 << std::flush)) return;
        call(next);
    }
}

/// Many sessions one after the other leave nothing behind.
void manySessions() {
    for (int i = 0; i < 2000; ++i) {
        const int fd = openNode();
        EXPECT(fd < 10);
        if (i % 10 == 0) EXPECT(pollNow(fd, POLLPRI) == 0);
        EXPECT(::close(fd) == 0);
    }
    int open = 0;
    for (int candidate = 0; candidate < 1024; ++candidate) open += ::fcntl(candidate, F_GETFD) >= 0 ? 1 : 0;
    EXPECT(open < 8);
    const int fd = openNode();
    expectSessions(fd, 1);
    // And many at once.
    std::vector<int> all;
    for (int i = 0; i < 150; ++i) all.push_back(openNode());
    expectSessions(fd, 151);
    for (const int one : all) ::close(one);
    expectSessions(fd, 1);
}

}  // namespace

void addProcessCases(Cases& cases) {
    cases["travel"] = travel;
    cases["inherited"] = inherited;
    cases["close_all"] = closeAll;
    cases["client_killed"] = clientKilled;
    cases["sharer_killed"] = sharerKilled;
    cases["daemon_killed"] = daemonKilled;
    cases["daemon_stopped"] = daemonStopped;
    cases["daemon_killed_waiting"] = daemonKilledWaiting;
    cases["many_sessions"] = manySessions;
    cases["same_number"] = sameNumber;
}

}  // namespace daedalus::test
