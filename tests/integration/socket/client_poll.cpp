// poll(), select() and epoll for IN, OUT, PRI and ERR, and a stress test of wake-ups.
#include <sys/epoll.h>
#include <sys/select.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/integration/socket/client.h"

namespace daedalus::test {
namespace {

constexpr short kAll = POLLIN | POLLOUT | POLLPRI;

void polled() {
    const int fd = openNode();
    EXPECT(pollNow(fd, kAll) == 0);
    for (int round = 0; round < 50; ++round) {
        for (const short mask : {POLLIN, POLLOUT, POLLPRI, POLLIN | POLLOUT, POLLIN | POLLPRI, POLLOUT | POLLPRI, 0}) {
            steer(fd, kMask, mask);
            EXPECT(pollNow(fd, kAll) == mask);
            EXPECT(pollNow(fd, POLLIN) == (mask & POLLIN));
            EXPECT(pollNow(fd, POLLOUT) == (mask & POLLOUT));
            EXPECT(pollNow(fd, POLLPRI) == (mask & POLLPRI));
        }
        steer(fd, kMask, POLLERR);
        EXPECT(pollNow(fd, kAll) == POLLERR);
        EXPECT(pollNow(fd, POLLIN) == POLLERR);
        EXPECT(pollNow(fd, POLLOUT) == POLLERR);
        EXPECT(pollNow(fd, POLLPRI) == 0);
        steer(fd, kMask, POLLERR | POLLPRI);
        EXPECT(pollNow(fd, kAll) == (POLLERR | POLLPRI));
        steer(fd, kMask, 0);
        EXPECT(pollNow(fd, kAll) == 0);
    }
    // Waits end when something comes, and not before.
    for (const short mask : {POLLIN, POLLOUT, POLLPRI, POLLERR}) {
        steer(fd, kMaskLater, 60 << 16 | mask);
        const double start = nowSeconds();
        EXPECT(pollNow(fd, kAll, 5000) == mask);
        EXPECT(nowSeconds() - start > 0.04 && nowSeconds() - start < 3);
        steer(fd, kMask, 0);
    }
    const double start = nowSeconds();
    EXPECT(pollNow(fd, kAll, 50) == 0);
    EXPECT(nowSeconds() - start > 0.04);
    // Other descriptors in the same call.
    int ends[2];
    EXPECT(::pipe(ends) == 0);
    pollfd two[3] = {{ends[0], POLLIN, 0}, {fd, POLLPRI, 0}, {-1, POLLIN, 0}};
    EXPECT(::poll(two, 3, 0) == 0);
    EXPECT(::write(ends[1], "x", 1) == 1);
    const timespec wait{1, 0};
    EXPECT(::ppoll(two, 3, &wait, nullptr) == 1 && two[0].revents == POLLIN && two[1].revents == 0);
    steer(fd, kMask, POLLPRI);
    EXPECT(::poll(two, 3, 0) == 2 && two[1].revents == POLLPRI);
}

int selectNow(int fd, int timeoutMs, bool& read, bool& write, bool& exception) {
    fd_set reads;
    fd_set writes;
    fd_set exceptions;
    FD_ZERO(&reads);
    FD_ZERO(&writes);
    FD_ZERO(&exceptions);
    FD_SET(fd, &reads);
    FD_SET(fd, &writes);
    FD_SET(fd, &exceptions);
    timeval timeout{timeoutMs / 1000, timeoutMs % 1000 * 1000};
    const int result = ::select(fd + 1, &reads, &writes, &exceptions, &timeout);
    read = FD_ISSET(fd, &reads);
    write = FD_ISSET(fd, &writes);
    exception = FD_ISSET(fd, &exceptions);
    return result;
}

void selected() {
    const int fd = openNode();
    bool read = false;
    bool write = false;
    bool exception = false;
    EXPECT(selectNow(fd, 20, read, write, exception) == 0 && !read && !write && !exception);
    for (const int mask : {POLLIN, POLLOUT, POLLPRI, POLLIN | POLLOUT, POLLIN | POLLPRI, kAll + 0}) {
        steer(fd, kMask, mask);
        EXPECT(selectNow(fd, 0, read, write, exception) == __builtin_popcount(static_cast<unsigned>(mask)));
        EXPECT(read == ((mask & POLLIN) != 0) && write == ((mask & POLLOUT) != 0) && exception == ((mask & POLLPRI) != 0));
    }
    steer(fd, kMask, POLLERR);
    EXPECT(selectNow(fd, 0, read, write, exception) == 2 && read && write && !exception);
    for (const int mask : {POLLIN, POLLOUT, POLLPRI}) {
        steer(fd, kMask, 0);
        steer(fd, kMaskLater, 60 << 16 | mask);
        EXPECT(selectNow(fd, 5000, read, write, exception) == 1);
        EXPECT(exception == (mask == POLLPRI));
    }
    // Without exceptions the kernel's own select() is enough.
    fd_set reads;
    FD_ZERO(&reads);
    FD_SET(fd, &reads);
    steer(fd, kMask, POLLIN);
    const timespec wait{1, 0};
    EXPECT(::pselect(fd + 1, &reads, nullptr, nullptr, &wait, nullptr) == 1 && FD_ISSET(fd, &reads));
}

uint32_t waitOnce(int set, int timeoutMs, uint64_t data) {
    epoll_event event{};
    const int count = ::epoll_wait(set, &event, 1, timeoutMs);
    EXPECT(count >= 0);
    if (count == 0) return 0;
    EXPECT(event.data.u64 == data);
    return event.events;
}

uint32_t waitAll(int set, uint64_t data) {
    epoll_event events[4] = {};
    const int count = ::epoll_wait(set, events, 4, 0);
    EXPECT(count >= 0 && count <= 1);
    if (count == 0) return 0;
    EXPECT(events[0].data.u64 == data);
    return events[0].events;
}

void epolled() {
    const int fd = openNode();
    const int set = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLPRI;
    event.data.u64 = 0xDEADBEEF12345678;
    EXPECT(::epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
    EXPECT_ERRNO(::epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), EEXIST);
    EXPECT(waitAll(set, event.data.u64) == 0);
    for (int round = 0; round < 20; ++round) {
        for (const uint32_t mask : {EPOLLIN + 0U, EPOLLOUT + 0U, EPOLLPRI + 0U, EPOLLIN | EPOLLPRI, EPOLLERR + 0U, 0U}) {
            steer(fd, kMask, static_cast<int>(mask));
            EXPECT(waitAll(set, event.data.u64) == mask);
        }
    }
    for (const uint32_t mask : {EPOLLIN + 0U, EPOLLOUT + 0U, EPOLLPRI + 0U, EPOLLERR + 0U}) {
        steer(fd, kMask, 0);
        steer(fd, kMaskLater, static_cast<int>(60U << 16 | mask));
        EXPECT(waitOnce(set, 5000, event.data.u64) == mask);
    }
    // One event at a time: PRI is not starved by IN.
    steer(fd, kMask, POLLIN | POLLPRI);
    uint32_t seen = 0;
    for (int i = 0; i < 4; ++i) seen |= waitOnce(set, 0, event.data.u64);
    EXPECT(seen == (EPOLLIN | EPOLLPRI));
    // Changed, removed, added again.
    event.events = EPOLLIN;
    EXPECT(::epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) == 0);
    EXPECT(waitAll(set, event.data.u64) == EPOLLIN);
    event.events = EPOLLPRI;
    event.data.u64 = 5;
    EXPECT(::epoll_ctl(set, EPOLL_CTL_MOD, fd, &event) == 0);
    EXPECT(waitAll(set, 5) == EPOLLPRI);
    EXPECT(::epoll_ctl(set, EPOLL_CTL_DEL, fd, nullptr) == 0);
    EXPECT(waitAll(set, 5) == 0);
    EXPECT_ERRNO(::epoll_ctl(set, EPOLL_CTL_DEL, fd, nullptr), ENOENT);
    EXPECT(::epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
    EXPECT(waitAll(set, 5) == EPOLLPRI);
    // A closed file says nothing any more, also if it is not removed first.
    EXPECT(::close(fd) == 0);
    for (int i = 0; i < 20; ++i) {
        EXPECT(waitOnce(set, 5, 5) == 0);
    }
    const int again = openNode();
    EXPECT(waitOnce(set, 5, 5) == 0);
    ::close(again);
}

/// A whole decoder's life: one thread feeds OUTPUT, two take CAPTURE (by poll and by epoll), one takes events by select.
/// A wait of seconds while something is there is a lost wake-up.
void stress() {
    constexpr int kTransfers = 100'000;
    constexpr int kPatienceMs = 10'000;
    const int fd = openNode(O_RDWR | O_NONBLOCK);
    std::atomic<int> fed{0};
    std::atomic<int> taken{0};
    std::atomic<int> events{0};
    std::atomic<long> stale{0};

    std::thread feeder([&] {
        for (int i = 0; i < 4; ++i) EXPECT(queue(fd, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE) == 0);
        fed = 4;
        while (fed < kTransfers) {
            EXPECT((pollNow(fd, POLLOUT, kPatienceMs) & POLLOUT) != 0);
            while (fed < kTransfers && dequeue(fd, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE) == 0) {
                EXPECT(queue(fd, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE) == 0);
                ++fed;
            }
        }
    });
    const auto takeFrames = [&] {
        int count = 0;
        while (dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) == 0) ++count;
        EXPECT(errno == EAGAIN);
        if (count == 0) ++stale;
        taken += count;
    };
    std::thread byPoll([&] {
        while (taken < kTransfers) {
            if (pollNow(fd, POLLIN, 200) != 0) takeFrames();
        }
    });
    std::thread byEpoll([&] {
        const int set = ::epoll_create1(EPOLL_CLOEXEC);
        epoll_event event{};
        event.events = EPOLLIN;
        EXPECT(::epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
        double last = nowSeconds();
        int seen = 0;
        while (taken < kTransfers) {
            if (::epoll_wait(set, &event, 1, 200) > 0) takeFrames();
            if (taken != seen) last = nowSeconds();
            seen = taken;
            EXPECT(nowSeconds() - last < kPatienceMs / 1000.0);
        }
        ::close(set);
    });
    std::thread bySelect([&] {
        while (events < kTransfers / kFramesPerEvent) {
            fd_set exceptions;
            FD_ZERO(&exceptions);
            FD_SET(fd, &exceptions);
            timeval patience{kPatienceMs / 1000, 0};
            EXPECT(::select(fd + 1, nullptr, nullptr, &exceptions, &patience) == 1);
            v4l2_event event{};
            while (::ioctl(fd, VIDIOC_DQEVENT, &event) == 0) ++events;
        }
    });
    feeder.join();
    byPoll.join();
    byEpoll.join();
    bySelect.join();
    EXPECT(taken == kTransfers);
    EXPECT((pollNow(fd, POLLIN | POLLPRI) & (POLLIN | POLLPRI)) == 0);
    std::printf("%d frames, %d events, %ld empty wake-ups\n", taken.load(), events.load(), stale.load());
}

/// Each transition alone, from a thread that waits natively: nobody else's call sets things right by chance.
void transitions() {
    const int fd = openNode(O_RDWR | O_NONBLOCK);
    for (int i = 0; i < 5000; ++i) {
        steer(fd, kFrames, 1);
        EXPECT(pollNow(fd, kAll, 2000) == POLLIN);
        EXPECT(dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) == 0);
        EXPECT(pollNow(fd, kAll) == 0);
        steer(fd, kSlots, 1);
        EXPECT(pollNow(fd, kAll, 2000) == POLLOUT);
        EXPECT(dequeue(fd, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE) == 0);
        EXPECT(pollNow(fd, kAll) == 0);
        steer(fd, kEvents, 1);
        EXPECT(pollNow(fd, kAll, 2000) == POLLPRI);
        v4l2_event event{};
        EXPECT(::ioctl(fd, VIDIOC_DQEVENT, &event) == 0);
        EXPECT(pollNow(fd, kAll) == 0);
    }
}

}  // namespace

void addPollCases(Cases& cases) {
    cases["poll"] = polled;
    cases["select"] = selected;
    cases["epoll"] = epolled;
    cases["stress"] = stress;
    cases["transitions"] = transitions;
}

}  // namespace daedalus::test
