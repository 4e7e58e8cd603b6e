// Nodes that come and go while a client is connected.
#include <glob.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <filesystem>
#include <thread>

#include "tests/integration/socket/client.h"

namespace daedalus::test {
namespace {

constexpr const char* kOther = "/dev/video8";
constexpr int kOtherNumber = 8;

/// What is served by its system calls sees nodes when it opens them only.
bool seesPaths() { return std::getenv("LD_PRELOAD") != nullptr; }

bool isListed() {
    for (const auto& entry : std::filesystem::directory_iterator("/dev"))
        if (entry.path() == kOther) return true;
    return false;
}

bool isGlobbed() {
    glob_t found{};
    const int result = ::glob("/dev/video[8]", 0, nullptr, &found);
    const bool there = result == 0 && found.gl_pathc == 1 && std::strcmp(found.gl_pathv[0], kOther) == 0;
    EXPECT(result == 0 || result == GLOB_NOMATCH);
    ::globfree(&found);
    return there;
}

void expectThere() {
    const int fd = ::open(kOther, O_RDWR);
    v4l2_capability capability{};
    EXPECT(fd >= 0 && ::ioctl(fd, VIDIOC_QUERYCAP, &capability) == 0);
    EXPECT(::close(fd) == 0);
    if (!seesPaths()) return;
    struct stat status {};
    EXPECT(::stat(kOther, &status) == 0 && status.st_rdev == makedev(81, kOtherNumber));
    EXPECT(isListed() && isGlobbed());
    EXPECT(::access("/sys/class/video4linux/video8/name", R_OK) == 0);
}

void expectGone() {
    EXPECT_ERRNO(::open(kOther, O_RDWR), ENOENT);
    if (!seesPaths()) return;
    struct stat status {};
    EXPECT_ERRNO(::stat(kOther, &status), ENOENT);
    EXPECT(!isListed() && !isGlobbed());
    EXPECT_ERRNO(::access("/sys/class/video4linux/video8/name", R_OK), ENOENT);
}

/// Plugs it in again: possible as soon as the daemon has heard that its last file is closed.
void plugAgain(int fd) {
    v4l2_control control{kPlug, kOtherNumber};
    int result = -1;
    for (int round = 0; round < 10'000 && (result = ::ioctl(fd, VIDIOC_S_CTRL, &control)) != 0; ++round) {
        EXPECT(errno == EEXIST);
        ::usleep(1000);
    }
    EXPECT(result == 0);
}

void plugging() {
    const int fd = openNode();
    expectGone();
    // A process that has asked before, too.
    int asked[2];
    int told[2];
    char byte = 0;
    EXPECT(::pipe(asked) == 0 && ::pipe(told) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        expectGone();
        EXPECT(::write(asked[1], "x", 1) == 1);
        EXPECT(::read(told[0], &byte, 1) == 1);
        expectThere();
        std::_Exit(0);
    }
    EXPECT(::read(asked[0], &byte, 1) == 1);
    steer(fd, kPlug, kOtherNumber);
    expectThere();
    EXPECT(::write(told[1], "x", 1) == 1);
    int status = -1;
    EXPECT(::waitpid(child, &status, 0) == child && status == 0);
    // The first one is what it was.
    EXPECT(ask(fd, kSessions) >= 1);
    EXPECT(::close(openNode()) == 0);
}

void unplugging() {
    const int fd = openNode();
    steer(fd, kPlug, kOtherNumber);
    const int held = ::open(kOther, O_RDWR);
    v4l2_capability capability{};
    EXPECT(held >= 0 && ::ioctl(held, VIDIOC_QUERYCAP, &capability) == 0);
    EXPECT(pollNow(held, POLLIN) == 0);
    std::thread waiting([&] { EXPECT_ERRNO(dequeue(held, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE), ENODEV); });
    std::thread polling([&] { EXPECT((pollNow(held, POLLIN, 60'000) & POLLHUP) != 0); });
    ::usleep(20'000);
    steer(fd, kUnplug, kOtherNumber);
    waiting.join();
    polling.join();
    EXPECT_ERRNO(::ioctl(held, VIDIOC_QUERYCAP, &capability), ENODEV);
    EXPECT((pollNow(held, POLLIN) & POLLHUP) != 0);
    expectGone();
    if (seesPaths()) {
        struct stat status {};
        EXPECT(::fstat(held, &status) == 0 && status.st_rdev == makedev(81, kOtherNumber));
    }
    // Its number is nobody's while a file is held.
    v4l2_control again{kPlug, kOtherNumber};
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_S_CTRL, &again), EEXIST);
    EXPECT(::close(held) == 0);
    plugAgain(fd);
    expectThere();
    EXPECT(ask(fd, kSessions) >= 1);
}

}  // namespace

void addPluggingCases(Cases& cases) {
    cases["plugging"] = plugging;
    cases["unplugging"] = unplugging;
}

}  // namespace daedalus::test
