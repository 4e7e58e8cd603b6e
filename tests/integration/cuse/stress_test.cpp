// Rounds of sudden deaths: clients that stream are killed or signalled at random moments, and so is the daemon. Afterwards
// nothing is stuck and nothing is left. DAEDALUS_STRESS_DAEMON and DAEDALUS_SOCKET as for the other stress tests;
// DAEDALUS_STRESS_ROUNDS: how many rounds (default 200); DAEDALUS_STRESS_MEMORY: "mmap" instead of USERPTR, with the kernel
// module.
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daedalus/v4l2/uapi.h"
#include "process.h"
#include "v4l2_client.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr uint32_t kBufferCount = 2;
/// For what takes milliseconds, in a VM whose host has other things to do.
constexpr std::chrono::milliseconds kPatience = 10s;

/// Streams for ever, all calls blocking, until a call fails with something else than EINTR.
class Streamer {
public:
    /// Counts the frames it gets. `memory`: V4L2_MEMORY_USERPTR or V4L2_MEMORY_MMAP.
    Streamer(int fd, uint32_t memory, std::atomic<uint32_t>& frames) : fd_(fd), memory_(memory), frames_(frames) {}

    /// The errno that ended it.
    int run() {
        v4l2_event_subscription subscription{};
        subscription.type = V4L2_EVENT_SOURCE_CHANGE;
        if (!call(VIDIOC_SUBSCRIBE_EVENT, &subscription) || !allocate(kOutput, output_)) return errno;
        v4l2_event event{};
        if (!queue(kOutput, 0, output_) || !call(VIDIOC_DQEVENT, &event) || !allocate(kCapture, capture_)) return errno;
        for (uint32_t i = 0; i < kBufferCount; ++i)
            if (!queue(kCapture, i, capture_)) return errno;
        for (;;) {
            uint32_t index = 0;
            if (!dequeue(kOutput, index) || !queue(kOutput, index, output_)) return errno;
            if (!dequeue(kCapture, index) || !queue(kCapture, index, capture_)) return errno;
            ++frames_;
        }
    }

private:
    /// Memory that the process leaves behind in any case.
    using Buffers = std::vector<std::span<char>>;

    bool call(unsigned long cmd, void* argument) {
        int result = 0;
        do {
            result = ::ioctl(fd_, cmd, argument);
        } while (result != 0 && errno == EINTR);
        return result == 0;
    }
    bool allocate(uint32_t type, Buffers& buffers) {
        v4l2_format format{};
        format.type = type;
        v4l2_requestbuffers request{};
        request.type = type;
        request.memory = memory_;
        request.count = kBufferCount;
        if (!call(VIDIOC_G_FMT, &format) || !call(VIDIOC_REQBUFS, &request)) return false;
        const size_t size = format.fmt.pix_mp.plane_fmt[0].sizeimage;
        for (uint32_t i = 0; i < kBufferCount; ++i) {
            char* const memory = memory_ == V4L2_MEMORY_MMAP ? mapped(type, i) : new char[size];
            if (memory == nullptr) return false;
            buffers.emplace_back(memory, size);
        }
        return call(VIDIOC_STREAMON, &type);
    }
    char* mapped(uint32_t type, uint32_t index) {
        v4l2_buffer buffer = prepared(type);
        buffer.index = index;
        if (!call(VIDIOC_QUERYBUF, &buffer)) return nullptr;
        void* const address =
            ::mmap(nullptr, plane_.length, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, static_cast<off_t>(plane_.m.mem_offset));
        return address != MAP_FAILED ? static_cast<char*>(address) : nullptr;
    }
    bool queue(uint32_t type, uint32_t index, Buffers& buffers) {
        static constexpr char kText[] = "size 16x16\nframe 1\n";
        if (type == kOutput) std::memcpy(buffers[index].data(), kText, sizeof kText - 1);
        v4l2_buffer buffer = prepared(type);
        buffer.index = index;
        plane_.bytesused = type == kOutput ? sizeof kText - 1 : 0;
        if (memory_ == V4L2_MEMORY_USERPTR) {
            plane_.length = static_cast<uint32_t>(buffers[index].size());
            plane_.m.userptr = reinterpret_cast<uintptr_t>(buffers[index].data());
        }
        return call(VIDIOC_QBUF, &buffer);
    }
    bool dequeue(uint32_t type, uint32_t& index) {
        v4l2_buffer buffer = prepared(type);
        if (!call(VIDIOC_DQBUF, &buffer)) return false;
        index = buffer.index;
        return true;
    }
    v4l2_buffer prepared(uint32_t type) {
        plane_ = {};
        v4l2_buffer buffer{};
        buffer.type = type;
        buffer.memory = memory_;
        buffer.length = 1;
        buffer.m.planes = &plane_;
        return buffer;
    }

    int fd_;
    uint32_t memory_;
    std::atomic<uint32_t>& frames_;
    v4l2_plane plane_{};
    Buffers output_;
    Buffers capture_;
};

uint32_t wantedMemory() {
    const char* const name = std::getenv("DAEDALUS_STRESS_MEMORY");
    return name != nullptr && std::string_view(name) == "mmap" ? V4L2_MEMORY_MMAP : V4L2_MEMORY_USERPTR;
}

Process startClient(std::atomic<uint32_t>& frames) {
    return Process::fork([&] {
        const int fd = ::open(kNodePath, O_RDWR | O_CLOEXEC);
        return fd < 0 ? errno : Streamer(fd, wantedMemory(), frames).run();
    });
}

/// Kilobytes of a line of /proc/meminfo.
long kilobytesOf(const std::string& name) {
    std::ifstream file("/proc/meminfo");
    for (std::string word; file >> word;) {
        if (word != name + ":") continue;
        long kilobytes = 0;
        file >> kilobytes;
        return kilobytes;
    }
    return -1;
}

}  // namespace

TEST_CASE("rounds of sudden deaths leave nothing stuck and nothing behind") {
    const char* wanted = std::getenv("DAEDALUS_STRESS_ROUNDS");
    const int rounds = wanted != nullptr ? std::atoi(wanted) : 200;
    // Before there are clients: a signal may reach one that has just begun.
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, nullptr);
    std::mt19937 random(1);
    const auto below = [&](unsigned limit) { return random() % limit; };
    // Shared with the clients.
    void* const page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(page != MAP_FAILED);
    auto& frames = *new (page) std::atomic<uint32_t>(0);
    auto daemon = DaemonProcess::fake();
    const long sharedBefore = kilobytesOf("Shmem");
    int streamed = 0;
    std::chrono::steady_clock::duration slowest{};
    for (int round = 0; round < rounds; ++round) {
        INFO("round " << round);
        const uint32_t framesBefore = frames;
        auto client = startClient(frames);
        // Some die while they start, most while they stream.
        if (round % 4 != 0) REQUIRE(eventually(kPatience, [&] { return frames > framesBefore; }));
        ::usleep(below(20'000));
        if (round % 10 == 9) {
            daemon.process().kill(SIGKILL);
            REQUIRE(daemon.process().wait(kPatience));
            // The client's call fails, and so it ends by itself.
            const auto status = client.wait(kPatience);
            REQUIRE(status);
            CHECK(*status != 0);
            REQUIRE(eventually(kPatience, [] { return ::access(kNodePath, F_OK) != 0; }));
            daemon = DaemonProcess::fake();
            continue;
        }
        if (round % 3 == 0)
            for (unsigned signals = below(20); signals > 0; --signals) {
                client.kill(SIGUSR1);
                ::usleep(below(500));
            }
        // It streams until it is killed.
        REQUIRE_FALSE(client.wait(0ms));
        ++streamed;
        client.kill(SIGKILL);
        const auto killed = std::chrono::steady_clock::now();
        REQUIRE(client.wait(kPatience));
        slowest = std::max(slowest, std::chrono::steady_clock::now() - killed);
    }
    CHECK(streamed == rounds - rounds / 10);
    CHECK(eventually(kPatience, [&] { return kilobytesOf("Shmem") < sharedBefore + 1024; }));
    const pid_t pid = daemon.process().pid();
    // At most one too many: of who asked whether it listens.
    const size_t fdsBefore = openFds(pid);
    // The first clients of a daemon warm its memory up.
    size_t warm = 0;
    for (int round = 0; round < 80; ++round) {
        if (round == 30) warm = residentBytes(pid);
        const uint32_t framesBefore = frames;
        auto client = startClient(frames);
        REQUIRE(eventually(kPatience, [&] { return frames > framesBefore; }));
        client.end();
    }
    CHECK(residentBytes(pid) < warm + (2 << 20));
    CHECK(eventually(kPatience, [&] { return openFds(pid) <= fdsBefore; }));
    daemon.process().kill(SIGTERM);
    CHECK(daemon.process().wait(kPatience) == 0);
    CHECK(::access(kNodePath, F_OK) != 0);
    // Not by Catch, which breaks lines: tests/vm takes it as one.
    std::printf("%d rounds, %d clients killed, %u frames; the slowest end of one took %lld ms\n", rounds, streamed,
                frames.load(), static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(slowest).count()));
}
