// Descriptors that come by exec, SCM_RIGHTS and copies, and those of the library that the program closes.
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <thread>
#include <vector>

#include "tests/integration/socket/passed_fds.h"

namespace daedalus::test {
namespace {

constexpr const char* kActs[] = {"poll", "poll_error", "select", "epoll", "read", "readv", "recv", "map"};

/// The first thing that a process does with a file that has an event and an error to tell.
void firstAct(const std::string& act, int fd) {
    if (act == "poll") {
        EXPECT(pollNow(fd, POLLPRI, 5000) == POLLPRI);
    } else if (act == "poll_error") {
        EXPECT(pollNow(fd, POLLIN, 5000) == POLLERR);
    } else if (act == "select") {
        fd_set exceptions;
        FD_ZERO(&exceptions);
        FD_SET(fd, &exceptions);
        timeval timeout{5, 0};
        EXPECT(::select(fd + 1, nullptr, nullptr, &exceptions, &timeout) == 1);
    } else if (act == "epoll") {
        const int set = ::epoll_create1(EPOLL_CLOEXEC);
        epoll_event event{};
        event.events = EPOLLIN | EPOLLPRI;
        EXPECT(::epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
        EXPECT(::epoll_wait(set, &event, 1, 5000) == 1 && event.events == (EPOLLPRI | EPOLLERR));
    } else if (act == "recv") {
        char byte = 0;
        EXPECT_ERRNO(::recv(fd, &byte, 1, 0), ENOTSOCK);
    } else if (act == "map") {
        EXPECT(::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, kMapOffset) != MAP_FAILED);
    } else {
        char bytes[8];
        iovec part{bytes, sizeof bytes};
        EXPECT_ERRNO(act == "read" ? ::read(fd, bytes, sizeof bytes) : ::readv(fd, &part, 1), EINVAL);
    }
    // Nothing was taken that the file needs to show what it is.
    EXPECT(pollNow(fd, POLLIN) == POLLERR);
}

[[noreturn]] void exec(const char* act, const char* way, int fd) {
    const std::string number = std::to_string(fd);
    ::setenv("DAEDALUS_TEST_FD", number.c_str(), 1);
    ::setenv("DAEDALUS_TEST_ACT", act, 1);
    ::setenv("DAEDALUS_TEST_WAY", way, 1);
    ::execl("/proc/self/exe", "client", "first_act_child", nullptr);
    std::_Exit(1);
}

int receiveFd(const std::string& way, int through) {
    char byte = 0;
    FdMessage message(&byte, 1, size_t{1});
    if (way == "recvmsg") {
        EXPECT(::recvmsg(through, message.head(), 0) == 1);
    } else if (way == "recvmmsg") {
        mmsghdr several{*message.head(), 0};
        EXPECT(::recvmmsg(through, &several, 1, 0, nullptr) == 1);
        *message.head() = several.msg_hdr;
    } else {
        EXPECT(::syscall(SYS_recvmsg, through, message.head(), 0) == 1);
    }
    return message.fd();
}

/// What the new program got, by the way that it is to take.
int gotten(const std::string& way, int fd) {
    if (way == "exec") return fd;
    if (way == "dup") return ::dup(fd);
    if (way == "dup2") return ::dup2(fd, 77);
    if (way == "dup3") return ::dup3(fd, 77, O_CLOEXEC);
    if (way == "fcntl") return ::fcntl(fd, F_DUPFD_CLOEXEC, 100);
    if (way == "syscall dup") return static_cast<int>(::syscall(SYS_dup, fd));
    if (way == "pidfd_getfd") {
        const auto self = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
        return static_cast<int>(::syscall(SYS_pidfd_getfd, self, fd, 0));
    }
    return receiveFd(way, fd);
}

void firstActChild() {
    const std::string way = std::getenv("DAEDALUS_TEST_WAY");
    const int fd = gotten(way, std::atoi(std::getenv("DAEDALUS_TEST_FD")));
    EXPECT(fd >= 0);
    firstAct(std::getenv("DAEDALUS_TEST_ACT"), fd);
}

void firstActs() {
    const int fd = openNode();
    steer(fd, kMask, POLLERR | POLLPRI);
    int ends[2];
    EXPECT(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    for (const char* way :
         {"exec", "recvmsg", "recvmmsg", "syscall recvmsg", "dup", "dup2", "dup3", "fcntl", "syscall dup", "pidfd_getfd"}) {
        const bool received = std::strstr(way, "recv") != nullptr;
        for (const char* act : kActs) {
            const pid_t child = ::fork();
            if (child == 0) {
                if (!received) exec(act, way, fd);
                ::close(fd);
                exec(act, way, ends[1]);
            }
            if (received) sendFd(ends[0], fd);
            int status = 0;
            EXPECT(::waitpid(child, &status, 0) == child);
            if (status != 0) std::fprintf(stderr, "first %s of a file that came by %s: wait status %#x\n", act, way, status);
            EXPECT(status == 0);
        }
    }
}

/// Closes what the program does not know: all but 0 to 2 and these.
void closeOthers(const std::string& way, int kept, int alsoKept) {
    const int low = std::min(kept, alsoKept);
    const int high = std::max(kept, alsoKept);
    const auto closeRange = [](int first, int last) {
        EXPECT(first > last || ::close_range(static_cast<unsigned>(first), static_cast<unsigned>(last), 0) == 0);
    };
    if (way == "close_range") {
        closeRange(3, low - 1);
        closeRange(low + 1, high - 1);
        closeRange(high + 1, INT_MAX);
    } else if (way == "syscall") {
        for (int fd = 1023; fd > 2; --fd) {
            if (fd != kept && fd != alsoKept) ::syscall(SYS_close, fd);
        }
    } else if (way == "closefrom") {
        for (int fd = 3; fd < high; ++fd) {
            if (fd != low) ::close(fd);
        }
        ::closefrom(high + 1);
    } else {
        // Something of the program's own takes every place.
        int ends[2];
        EXPECT(::pipe(ends) == 0);
        for (int fd = 199; fd < 260; ++fd) EXPECT(::dup2(ends[0], fd) == fd);
    }
}

bool selectsException(int fd, int timeoutMs) {
    fd_set exceptions;
    FD_ZERO(&exceptions);
    FD_SET(fd, &exceptions);
    timeval timeout{0, timeoutMs * 1000};
    const int result = ::select(fd + 1, nullptr, nullptr, &exceptions, &timeout);
    EXPECT(result >= 0);
    return result == 1 && FD_ISSET(fd, &exceptions);
}

uint32_t epollOnce(int set, int timeoutMs) {
    epoll_event event{};
    const int count = ::epoll_wait(set, &event, 1, timeoutMs);
    EXPECT(count >= 0);
    return count == 0 ? 0 : event.events;
}

void closedUnderUs() {
    for (const char* way : {"close_range", "syscall", "closefrom", "reuse"}) {
        const int fd = openNode();
        const int set = ::epoll_create1(EPOLL_CLOEXEC);
        epoll_event wanted{};
        wanted.events = EPOLLPRI;
        EXPECT(pollNow(fd, POLLPRI) == 0);
        EXPECT(::epoll_ctl(set, EPOLL_CTL_ADD, fd, &wanted) == 0);
        for (int round = 0; round < 3; ++round) {
            closeOthers(way, fd, set);
            // A wait for what does not come ends in time, and without a descriptor of ours it does not end at once.
            EXPECT(pollNow(fd, POLLPRI, 30) == 0);
            closeOthers(way, fd, set);
            EXPECT(!selectsException(fd, 30));
            closeOthers(way, fd, set);
            EXPECT(epollOnce(set, 30) == 0);
            // What does come is seen.
            steer(fd, kMask, POLLPRI);
            closeOthers(way, fd, set);
            EXPECT(epollOnce(set, 5000) == EPOLLPRI);
            closeOthers(way, fd, set);
            EXPECT(pollNow(fd, POLLPRI, 5000) == POLLPRI);
            closeOthers(way, fd, set);
            EXPECT(selectsException(fd, 5000));
            steer(fd, kMask, 0);
            // The set can still be changed.
            closeOthers(way, fd, set);
            wanted.events = round % 2 == 0 ? EPOLLIN | EPOLLPRI : EPOLLPRI + 0U;
            EXPECT(::epoll_ctl(set, EPOLL_CTL_MOD, fd, &wanted) == 0);
            steer(fd, kMask, POLLPRI);
            EXPECT(epollOnce(set, 5000) == EPOLLPRI);
            steer(fd, kMask, 0);
        }
        EXPECT(::epoll_ctl(set, EPOLL_CTL_DEL, fd, nullptr) == 0);
        EXPECT(::close(fd) == 0);
        ::close(::open(kNode, O_RDWR));
        if (std::strcmp(way, "reuse") != 0) continue;
        // The program's own are as they were.
        for (int number = 199; number < 260; ++number) {
            struct stat status {};
            EXPECT(::fstat(number, &status) == 0 && S_ISFIFO(status.st_mode));
        }
    }
}

/// A child of vfork() that closes what it does not know.
__attribute__((noinline)) pid_t startClosingChild(int way, int fd) {
    const pid_t child = ::vfork();
    if (child != 0) return child;
    if (way == 0) {
        for (int other = 300; other > 2; --other) ::close(other);
    } else if (way == 1) {
        for (int other = 3; other < 300; ++other) ::close(other);
    } else if (way == 2) {
        ::close_range(3, ~0U, 0);
    } else {
        ::dup2(fd, 250);
        ::close(fd);
        for (int other = 240; other > 2; --other) ::close(other);
    }
    ::_exit(0);
}

/// Children of vfork() close what they do not know, while other threads call: each gets its own answer, and none is lost.
void vforkChildren() {
    constexpr int kThreads = 4;
    constexpr int kChildren = 150;
    const int shared = openNode();
    const int set = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event wanted{};
    wanted.events = EPOLLIN | EPOLLPRI;
    EXPECT(::epoll_ctl(set, EPOLL_CTL_ADD, shared, &wanted) == 0);
    std::atomic<bool> stop{false};
    std::atomic<int> started{0};
    std::vector<std::thread> callers;
    for (int id = 0; id < kThreads; ++id) {
        callers.emplace_back([&, id] {
            const int fd = openNode();
            v4l2_capability capability{};
            EXPECT(::ioctl(fd, VIDIOC_QUERYCAP, &capability) == 0);
            ++started;
            while (!stop) {
                v4l2_ext_control control{};
                control.value = 100 * id;
                v4l2_ext_controls controls{};
                controls.count = 1;
                controls.controls = &control;
                EXPECT(::ioctl(fd, VIDIOC_G_EXT_CTRLS, &controls) == 0);
                EXPECT(control.value == 100 * id + 1);
            }
        });
    }
    const auto answers = [&] {
        v4l2_capability capability{};
        return ::ioctl(shared, VIDIOC_QUERYCAP, &capability) == 0;
    };
    EXPECT(answers());
    while (started < kThreads) std::this_thread::yield();
    const auto openFds = [] {
        int open = 0;
        for (int fd = 0; fd < 400; ++fd) open += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
        return open;
    };
    const int before = openFds();
    for (int i = 0; i < kChildren; ++i) {
        const pid_t child = startClosingChild(i % 4, shared);
        int status = 0;
        EXPECT(child > 0 && ::waitpid(child, &status, 0) == child && status == 0);
        EXPECT(answers());
    }
    EXPECT(openFds() == before);
    // The parent's file is still known as one.
    EXPECT(pollNow(shared, POLLPRI) == 0);
    steer(shared, kMask, POLLPRI);
    EXPECT(pollNow(shared, POLLPRI) == POLLPRI && epollOnce(set, 5000) == EPOLLPRI);
    stop = true;
    for (auto& thread : callers) thread.join();
}

}  // namespace

void addDescriptorCases(Cases& cases) {
    cases["first_act"] = firstActs;
    cases["first_act_child"] = firstActChild;
    cases["closed_under_us"] = closedUnderUs;
    cases["vfork"] = vforkChildren;
}

}  // namespace daedalus::test
