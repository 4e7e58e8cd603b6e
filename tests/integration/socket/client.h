// What the cases of the socket transport's client tests share. The client is an ordinary V4L2 program: it knows nothing of
// the library that is preloaded into it.
#pragma once

#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>

#include "tests/integration/socket/script.h"

#define EXPECT(condition)                                                                                     \
    do {                                                                                                      \
        if (!(condition)) {                                                                                   \
            std::fprintf(stderr, "%s:%d: not so: %s (errno %d: %s)\n", __FILE__, __LINE__, #condition, errno, \
                         std::strerror(errno));                                                               \
            std::exit(1);                                                                                     \
        }                                                                                                     \
    } while (false)

/// The call fails with this errno.
#define EXPECT_ERRNO(call, error)             \
    do {                                      \
        errno = 0;                            \
        const auto got_ = (call);             \
        EXPECT(static_cast<int>(got_) == -1); \
        EXPECT(errno == (error));             \
    } while (false)

namespace daedalus::test {

inline constexpr const char* kNode = "/dev/video7";

/// Ends the case, or what is left of it, which cannot run here: with the status that Meson counts as skipped.
[[noreturn]] inline void skip(const char* reason) {
    std::printf("skipped: %s\n", reason);
    std::exit(77);
}

inline int openNode(int flags = O_RDWR) {
    const int fd = ::open(kNode, flags);
    EXPECT(fd >= 0);
    return fd;
}

inline void steer(int fd, uint32_t id, int value) {
    v4l2_control control{id, value};
    EXPECT(::ioctl(fd, VIDIOC_S_CTRL, &control) == 0);
}

inline int ask(int fd, uint32_t id) {
    v4l2_control control{id, 0};
    EXPECT(::ioctl(fd, VIDIOC_G_CTRL, &control) == 0);
    return control.value;
}

/// The node comes to have so many open files: the daemon hears of a close a moment later.
inline void expectSessions(int fd, int count) {
    for (int round = 0; round < 10'000 && ask(fd, kSessions) != count; ++round) ::usleep(1000);
    EXPECT(ask(fd, kSessions) == count);
}

inline short pollNow(int fd, short events, int timeoutMs = 0) {
    pollfd entry{fd, events, 0};
    const int result = ::poll(&entry, 1, timeoutMs);
    EXPECT(result >= 0);
    EXPECT((result > 0) == (entry.revents != 0));
    return entry.revents;
}

inline int dequeue(int fd, uint32_t type) {
    v4l2_plane plane{};
    v4l2_buffer buffer{};
    buffer.type = type;
    buffer.memory = V4L2_MEMORY_MMAP;
    buffer.length = 1;
    buffer.m.planes = &plane;
    return ::ioctl(fd, VIDIOC_DQBUF, &buffer);
}

inline int queue(int fd, uint32_t type) {
    v4l2_plane plane{};
    v4l2_buffer buffer{};
    buffer.type = type;
    buffer.memory = V4L2_MEMORY_MMAP;
    buffer.length = 1;
    buffer.m.planes = &plane;
    return ::ioctl(fd, VIDIOC_QBUF, &buffer);
}

inline double nowSeconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

using Cases = std::map<std::string, std::function<void()>>;
void addCallCases(Cases& cases);
void addPollCases(Cases& cases);
void addMemoryCases(Cases& cases);
void addPathCases(Cases& cases);
void addFindCases(Cases& cases);
void addPluggingCases(Cases& cases);
void addRawCases(Cases& cases);
void addProcessCases(Cases& cases);
void addHostileCases(Cases& cases);
void addStrangerCases(Cases& cases);
void addCostCases(Cases& cases);
void addBystanderCases(Cases& cases);
void addDescriptorCases(Cases& cases);
void addSandboxCases(Cases& cases);

}  // namespace daedalus::test
