// Programs that open the node and then give up their rights: threads and children that come later go on as on a device file.
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <thread>
#include <vector>

#include "tests/integration/socket/client.h"

namespace daedalus::test {
namespace {

bool answers(int fd) {
    v4l2_capability capability{};
    return ::ioctl(fd, VIDIOC_QUERYCAP, &capability) == 0;
}

/// What a thread or a child needs that has no connection yet.
void useFile(int fd, bool canMap) {
    EXPECT(answers(fd));
    EXPECT(pollNow(fd, POLLPRI) == 0);
    steer(fd, kMaskLater, 30 << 16 | POLLPRI);
    EXPECT(pollNow(fd, POLLPRI, 5000) == POLLPRI);
    steer(fd, kMask, 0);
    // A call that waits, and does not keep others waiting.
    steer(fd, kFramesLater, 30 << 16 | 1);
    EXPECT(dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) == 0);
    if (canMap) {
        void* const memory = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, kMapOffset);
        EXPECT(memory != MAP_FAILED && *static_cast<unsigned char*>(memory) == 0x5A);
        ::munmap(memory, 4096);
    }
}

void inNewThread(const std::function<void()>& run) { std::thread(run).join(); }

/// In a child, since there is no way back: opens the node, enters the sandbox, and goes on in new threads and children.
void within(const char* name, const std::function<void()>& enter, bool canMap = true) {
    const pid_t child = ::fork();
    if (child == 0) {
        const int fd = openNode();
        EXPECT(answers(fd));
        enter();
        EXPECT(answers(fd));
        inNewThread([&] { useFile(fd, canMap); });
        // Two that wait for each other.
        std::thread waiting([&] { EXPECT(dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) == 0); });
        inNewThread([&] { steer(fd, kFrames, 1); });
        waiting.join();
        const pid_t forked = ::fork();
        if (forked == 0) {
            useFile(fd, canMap);
            inNewThread([&] { useFile(fd, canMap); });
            std::_Exit(0);
        }
        for (int i = 0; i < 50; ++i) EXPECT(answers(fd));
        int status = 0;
        EXPECT(::waitpid(forked, &status, 0) == forked && status == 0);
        std::_Exit(0);
    }
    int status = 0;
    EXPECT(::waitpid(child, &status, 0) == child);
    if (status != 0) std::fprintf(stderr, "%s: wait status %#x\n", name, status);
    EXPECT(status == 0);
}

void refuse(std::initializer_list<long> numbers, uint32_t how = SECCOMP_RET_ERRNO | EPERM) {
    std::vector<sock_filter> filter{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)};
    for (const long number : numbers) {
        filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1));
        filter.push_back(BPF_STMT(BPF_RET | BPF_K, how));
    }
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
    EXPECT(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    EXPECT(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

void sandboxed() {
    within("seccomp without connect()", [] { refuse({SYS_socket, SYS_connect}); });
    within("death for connect()", [] { refuse({SYS_socket, SYS_connect}, SECCOMP_RET_KILL_PROCESS); });
    within("no pairs, and death for connect()", [] {
        refuse({SYS_socketpair});
        refuse({SYS_socket, SYS_connect}, SECCOMP_RET_KILL_PROCESS);
    });
    within("seccomp without any new socket", [] { refuse({SYS_socket, SYS_socketpair, SYS_connect}); });
    const std::string socket = std::getenv("DAEDALUS_SOCKET");
    const std::string away = socket + ".away";
    within("no path", [&] {
        EXPECT(::rename(socket.c_str(), away.c_str()) == 0);
        ::unsetenv("DAEDALUS_SOCKET");
    });
    EXPECT(::rename(away.c_str(), socket.c_str()) == 0);
    within(
        "no descriptor",
        [] {
            rlimit limit{};
            EXPECT(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
            limit.rlim_cur = 300;
            EXPECT(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
            while (::dup(0) >= 0) {
            }
            limit.rlim_cur = 3;
            EXPECT(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
        },
        false);
    if (::geteuid() != 0) skip("only root can become another user");
    within("another user", [] { EXPECT(::setgroups(0, nullptr) == 0 && ::setgid(65534) == 0 && ::setuid(65534) == 0); });
    within("another root", [] { EXPECT(::chroot("/proc") == 0 && ::chdir("/") == 0); });
    // Root of a container may not have these.
    within("another network", [] { (void)!::unshare(CLONE_NEWNET); });
}

/// Another user's file, by fork and exec: who has it may use it, and who knows its name only may not.
void claimed() {
    if (::geteuid() != 0) skip("only root can become another user");
    const int fd = openNode();
    const pid_t child = ::fork();
    if (child == 0) {
        EXPECT(::setgroups(0, nullptr) == 0 && ::setgid(65534) == 0 && ::setuid(65534) == 0);
        for (int i = 0; i < 3; ++i) useFile(fd, true);
        std::_Exit(0);
    }
    int status = 0;
    EXPECT(::waitpid(child, &status, 0) == child && status == 0);
}

}  // namespace

void addSandboxCases(Cases& cases) {
    cases["sandbox"] = sandboxed;
    cases["claim"] = claimed;
}

}  // namespace daedalus::test
