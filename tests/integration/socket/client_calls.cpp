// Ioctls: identity of descriptors, bad pointers, nested arrays, waiting and signals.
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/integration/socket/client.h"

namespace daedalus::test {
namespace {

void querycap() {
    const int fd = openNode();
    v4l2_capability capability{};
    errno = 4711;
    EXPECT(::ioctl(fd, VIDIOC_QUERYCAP, &capability) == 0);
    EXPECT(errno == 4711);
    EXPECT(std::strcmp(reinterpret_cast<char*>(capability.driver), "fake") == 0);
    // The kernel takes 32 bits of the number, and programs pass negative ints.
    EXPECT(::ioctl(fd, 0xFFFFFFFF00000000UL | VIDIOC_QUERYCAP, &capability) == 0);
    EXPECT(::syscall(SYS_ioctl, fd, VIDIOC_QUERYCAP, &capability) == 0);
    const long raw = ::syscall(SYS_openat, AT_FDCWD, kNode, O_RDWR);
    EXPECT(raw >= 0);
    EXPECT(::ioctl(static_cast<int>(raw), VIDIOC_QUERYCAP, &capability) == 0);
    EXPECT(::close(static_cast<int>(raw)) == 0);
    EXPECT(::close(fd) == 0);
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_QUERYCAP, &capability), EBADF);
}

void badPointers() {
    const int fd = openNode();
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_QUERYCAP, nullptr), EFAULT);
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_QUERYCAP, reinterpret_cast<void*>(16)), EFAULT);
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_S_CTRL, nullptr), EFAULT);
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_QBUF, nullptr), EFAULT);
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_G_EXT_CTRLS, reinterpret_cast<void*>(1)), EFAULT);
    void* const readOnly = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_QUERYCAP, readOnly), EFAULT);
    v4l2_buffer buffer{};
    buffer.type = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
    buffer.length = 1;
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_QBUF, &buffer), EFAULT);
    v4l2_ext_controls controls{};
    controls.count = 3;
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_G_EXT_CTRLS, &controls), EFAULT);
    // Unknown calls of any size: ENOTTY, whatever they point to, and nothing is touched.
    for (const unsigned size : {0U, 1U, 4U, 88U, 4000U, 4096U, 4097U, 0x3FFFU}) {
        for (const unsigned direction : {_IOC_NONE, _IOC_READ, _IOC_WRITE, _IOC_READ | _IOC_WRITE}) {
            std::vector<unsigned char> argument(0x4000, 0xC5);
            EXPECT_ERRNO(::ioctl(fd, _IOC(direction, 'V', 103, size), argument.data()), ENOTTY);
            for (const auto byte : argument) EXPECT(byte == 0xC5);
            EXPECT_ERRNO(::ioctl(fd, _IOC(direction, 'V', 103, size), nullptr), ENOTTY);
        }
    }
    // It still works after all this.
    EXPECT(ask(fd, kSessions) == 1);
}

/// The file is a device, not what it is made of.
void noSocket() {
    const int fd = openNode();
    v4l2_buffer buffer{};
    EXPECT_ERRNO(::ioctl(fd, TCGETS, &buffer), ENOTTY);
    int waiting = 0;
    EXPECT_ERRNO(::ioctl(fd, FIONREAD, &waiting), ENOTTY);
    int on = 1;
    EXPECT(::ioctl(fd, FIONBIO, &on) == 0);
    EXPECT((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    char byte = 0;
    EXPECT_ERRNO(::read(fd, &byte, 1), EINVAL);
    EXPECT_ERRNO(::write(fd, &byte, 1), EINVAL);
    EXPECT(ask(fd, kSessions) == 1);
}

void extControls() {
    constexpr uint32_t kCompound = V4L2_CID_COLORIMETRY_HDR10_MASTERING_DISPLAY;
    constexpr size_t kPayload = sizeof(v4l2_ctrl_hdr10_mastering_display);
    const int fd = openNode();
    for (const uint32_t room : {uint32_t{kPayload}, 3000U, UINT32_MAX}) {
        std::vector<unsigned char> bytes(kPayload + 1, 0x0F);
        v4l2_ext_control array[4] = {};
        array[0].value = 41;
        array[1].id = kCompound;
        array[1].size = room;
        array[1].ptr = bytes.data();
        // A plain control with a stray size, and a payload for which there is not room enough: neither is touched.
        array[2].size = 8;
        array[2].ptr = bytes.data();
        array[3].id = kCompound;
        array[3].size = kPayload - 1;
        array[3].ptr = nullptr;
        v4l2_ext_controls controls{};
        controls.count = 4;
        controls.controls = array;
        EXPECT(::ioctl(fd, VIDIOC_G_EXT_CTRLS, &controls) == 0);
        EXPECT(controls.error_idx == 2);
        EXPECT(controls.controls == array);
        EXPECT(array[0].value == 42);
        EXPECT(array[1].ptr == bytes.data());
        for (size_t i = 0; i < kPayload; ++i) EXPECT(bytes[i] == 0xF0);
        EXPECT(bytes[kPayload] == 0x0F);
    }
    // Copied back on failure too.
    v4l2_ext_control one{};
    v4l2_ext_controls failing{};
    failing.which = kEchoFails;
    failing.count = 1;
    failing.controls = &one;
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_G_EXT_CTRLS, &failing), ERANGE);
    EXPECT(failing.error_idx == 1 && one.value == 1);
    // As many as there can be.
    std::vector<v4l2_ext_control> many(V4L2_CID_MAX_CTRLS);
    v4l2_ext_controls all{};
    all.count = V4L2_CID_MAX_CTRLS;
    all.controls = many.data();
    EXPECT(::ioctl(fd, VIDIOC_G_EXT_CTRLS, &all) == 0);
    for (const auto& control : many) EXPECT(control.value == 1);
    std::vector<char> payload(kPayload);
    for (auto& control : many) {
        control.id = kCompound;
        control.size = kPayload;
        control.ptr = payload.data();
    }
    EXPECT(::ioctl(fd, VIDIOC_G_EXT_CTRLS, &all) == 0);
    EXPECT(all.error_idx == 1 + V4L2_CID_MAX_CTRLS);
    // More than there may be.
    all.count = V4L2_CID_MAX_CTRLS + 1;
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_G_EXT_CTRLS, &all), EINVAL);
}

std::atomic<int> signalsSeen{0};
void onSignal(int) { ++signalsSeen; }

void catchSignal(int flags) {
    struct sigaction action {};
    action.sa_handler = onSignal;
    action.sa_flags = flags;
    EXPECT(::sigaction(SIGUSR1, &action, nullptr) == 0);
}

void blocking() {
    const int fd = openNode();
    steer(fd, kFramesLater, 100 << 16 | 1);
    const double start = nowSeconds();
    EXPECT(dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) == 0);
    EXPECT(nowSeconds() - start > 0.08);
    EXPECT(::fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    EXPECT_ERRNO(dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE), EAGAIN);
    EXPECT(::fcntl(fd, F_SETFL, 0) == 0);
    // One thread that waits does not hold up another.
    std::thread waiting([&] { EXPECT(dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) == 0); });
    for (int i = 0; i < 50; ++i) {
        EXPECT(ask(fd, kSessions) == 1);
        ::usleep(1000);
    }
    steer(fd, kFrames, 1);
    waiting.join();
    ::close(fd);
}

void interrupted() {
    const int fd = openNode();
    const pthread_t self = ::pthread_self();
    const auto signalSoon = [&](int count) {
        return std::thread([self, count] {
            for (int i = 0; i < count; ++i) {
                ::usleep(30'000);
                ::pthread_kill(self, SIGUSR1);
            }
        });
    };
    catchSignal(0);
    auto sender = signalSoon(1);
    EXPECT_ERRNO(dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE), EINTR);
    sender.join();
    EXPECT(signalsSeen == 1);
    EXPECT(ask(fd, kInterrupts) == 1);
    // With SA_RESTART the wait goes on.
    catchSignal(SA_RESTART);
    steer(fd, kFramesLater, 200 << 16 | 1);
    sender = signalSoon(3);
    EXPECT(dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) == 0);
    sender.join();
    EXPECT(signalsSeen == 4);
    // The library's wait is one of the kernel's, which starts it again by itself.
    if (std::getenv("LD_PRELOAD") != nullptr) EXPECT(ask(fd, kInterrupts) == 1);
}

/// Of two threads that wait, one takes a signal of the process; the other has nothing to show for it.
void sharedSignal() {
    const int files[] = {openNode(), openNode()};
    catchSignal(0);
    std::atomic<bool> done{false};
    std::thread sender([&] {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
        for (int i = 0; i < 20; ++i) {
            ::usleep(20'000);
            ::kill(::getpid(), SIGUSR1);
        }
        done = true;
        for (const int fd : files) steer(fd, kFrames, 1);
    });
    const auto wait = [](int fd) {
        while (dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) != 0) EXPECT(errno == EINTR);
    };
    std::thread other([&] { wait(files[1]); });
    wait(files[0]);
    other.join();
    sender.join();
    EXPECT(done && signalsSeen > 0);
}

/// Signals and answers that cross: each call gives a frame or EINTR, and no frame is lost.
void interruptRace() {
    const int fd = openNode();
    catchSignal(0);
    const pthread_t self = ::pthread_self();
    std::atomic<bool> done{false};
    std::thread sender([&] {
        while (!done) {
            ::pthread_kill(self, SIGUSR1);
            ::usleep(150);
        }
    });
    constexpr int kCount = 3000;
    std::thread feeder([&] {
        for (int i = 0; i < kCount; ++i) {
            steer(fd, kFrames, 1);
            ::usleep(50);
        }
    });
    int got = 0;
    while (got < kCount) {
        if (dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) == 0) {
            ++got;
        } else {
            EXPECT(errno == EINTR);
        }
    }
    feeder.join();
    done = true;
    sender.join();
    EXPECT(pollNow(fd, POLLIN) == 0);
}

/// A handler that calls the node itself while its thread waits in it.
int handlerFd = -1;
void onNestedSignal(int) {
    v4l2_capability capability{};
    if (::ioctl(handlerFd, VIDIOC_QUERYCAP, &capability) == 0) ++signalsSeen;
}

void nestedCall() {
    handlerFd = openNode();
    struct sigaction action {};
    action.sa_handler = onNestedSignal;
    action.sa_flags = SA_RESTART;
    EXPECT(::sigaction(SIGUSR1, &action, nullptr) == 0);
    steer(handlerFd, kFramesLater, 150 << 16 | 1);
    const pthread_t self = ::pthread_self();
    std::thread sender([self] {
        ::usleep(50'000);
        ::pthread_kill(self, SIGUSR1);
    });
    EXPECT(dequeue(handlerFd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) == 0);
    sender.join();
    EXPECT(signalsSeen == 1);
    EXPECT(ask(handlerFd, kSessions) == 1);
}

void threads() {
    const int fd = openNode();
    std::vector<std::thread> all;
    for (int t = 0; t < 8; ++t) {
        all.emplace_back([&] {
            for (int i = 0; i < 500; ++i) {
                v4l2_capability capability{};
                EXPECT(::ioctl(fd, VIDIOC_QUERYCAP, &capability) == 0);
            }
        });
    }
    for (auto& thread : all) thread.join();
    // The connections of threads that ended are gone.
    int open = 0;
    for (int candidate = 0; candidate < 1024; ++candidate) open += ::fcntl(candidate, F_GETFD) >= 0 ? 1 : 0;
    EXPECT(open < 8);
    // A thread that is cancelled while it waits.
    std::atomic<bool> waiting{false};
    std::thread cancelled([&] {
        waiting = true;
        steer(fd, kFramesLater, 100 << 16 | 1);
        dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE);
        ::pause();
    });
    while (!waiting) ::usleep(1000);
    ::pthread_cancel(cancelled.native_handle());
    cancelled.join();
    // One that may be cancelled anywhere does not wait for an end that never comes.
    std::atomic<bool> waitingAgain{false};
    std::thread anywhere([&] {
        ::pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr);
        waitingAgain = true;
        dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE);
        std::exit(1);
    });
    while (!waitingAgain) ::usleep(1000);
    ::usleep(50'000);
    ::pthread_cancel(anywhere.native_handle());
    anywhere.join();
    EXPECT(ask(fd, kSessions) == 1);
    // The calls of the two that were cancelled may take one each, if the daemon has not seen yet that nobody waits for them.
    steer(fd, kFrames, 3);
    EXPECT(dequeue(fd, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) == 0);
}

}  // namespace

void addCallCases(Cases& cases) {
    cases["querycap"] = querycap;
    cases["bad_pointers"] = badPointers;
    cases["no_socket"] = noSocket;
    cases["ext_controls"] = extControls;
    cases["blocking"] = blocking;
    cases["interrupted"] = interrupted;
    cases["interrupt_race"] = interruptRace;
    cases["shared_signal"] = sharedSignal;
    cases["nested_call"] = nestedCall;
    cases["threads"] = threads;
}

}  // namespace daedalus::test
