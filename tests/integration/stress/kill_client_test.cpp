// kill -9 of clients at random moments: their sessions are freed, and nobody else notices.
#include <sys/epoll.h>
#include <sys/mman.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>
#include <random>
#include <thread>

#include "process.h"
#include "stream_decoding.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr unsigned kRounds = 400;
constexpr unsigned kLongestLifeUs = 15'000;
constexpr unsigned kCheckEvery = 50;

/// What a client in another process tells about itself; the exit status of a child says only that something was wrong.
struct Diary {
    std::atomic<unsigned> decoded;
    std::atomic<bool> stop;
    char wrong[256];

    void note(const std::string& text) { std::snprintf(wrong, sizeof wrong, "%s", text.c_str()); }
};

Diary* sharedDiary() {
    void* const memory = ::mmap(nullptr, sizeof(Diary), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    return static_cast<Diary*>(memory);
}

using Streams = std::vector<SynthStream>;

std::string decodeOne(const SynthStream& stream) {
    auto file = openNode(O_NONBLOCK);
    return file ? StreamDecoding(std::move(file), stream).run() : "cannot open the node";
}

/// The clients below end only when something is wrong, or by SIGKILL.
std::string keepDecoding(const Streams& streams, unsigned start) {
    for (unsigned i = start;; ++i)
        if (auto wrong = decodeOne(streams[i % streams.size()]); !wrong.empty()) return wrong;
}

std::string keepOpening(const Streams&, unsigned) {
    for (;;) {
        auto file = openNode(O_NONBLOCK);
        if (!file) return "cannot open the node";
        V4l2Client client(std::move(file));
        if (client.request(kOutput, 8) != 0) return "REQBUFS(OUTPUT)";
        if (client.request(kCapture, 8) != 0) return "REQBUFS(CAPTURE)";
    }
}

std::string waitInDqbuf(const Streams&, unsigned) {
    V4l2Client client(openNode(0));
    if (client.request(kOutput, 1) != 0 || client.streamOn(kOutput) != 0) return "set-up";
    return "DQBUF came back: " + std::to_string(client.take(kOutput).error);
}

std::string waitInEpoll(const Streams&, unsigned) {
    auto file = openNode(O_NONBLOCK);
    const int fd = file->fd();
    V4l2Client client(std::move(file));
    const UniqueFd set(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{.events = EPOLLPRI, .data = {.fd = fd}};
    if (client.subscribe(V4L2_EVENT_SOURCE_CHANGE) != 0 || client.request(kOutput, 1) != 0) return "set-up";
    for (;;) {
        if (::epoll_ctl(set.get(), EPOLL_CTL_ADD, fd, &event) != 0) return "epoll_ctl";
        epoll_event got{};
        ::epoll_wait(set.get(), &got, 1, 1);
        if (::epoll_ctl(set.get(), EPOLL_CTL_DEL, fd, nullptr) != 0) return "epoll_ctl";
    }
}

std::string keepBringing(const Streams&, unsigned) {
    V4l2Client client(openNode(0));
    v4l2_requestbuffers request{};
    request.type = kOutput;
    request.memory = V4L2_MEMORY_USERPTR;
    request.count = 1;
    if (client.ioctl(VIDIOC_REQBUFS, &request) != 0 || client.streamOn(kOutput) != 0) return "set-up";
    for (size_t round = 0;; ++round) {
        // Other memory each time, so that the daemon gets and frees it.
        std::vector<std::byte> memory(client.format(kOutput).fmt.pix_mp.plane_fmt[0].sizeimage + round % 3 * 8192);
        v4l2_plane plane{};
        plane.m.userptr = reinterpret_cast<unsigned long>(memory.data());
        plane.length = static_cast<uint32_t>(memory.size());
        plane.bytesused = 64;
        v4l2_buffer buffer{};
        buffer.type = kOutput;
        buffer.memory = V4L2_MEMORY_USERPTR;
        buffer.length = 1;
        buffer.m.planes = &plane;
        if (const int error = client.ioctl(VIDIOC_QBUF, &buffer)) return "QBUF: " + std::to_string(error);
        if (const int error = client.ioctl(VIDIOC_DQBUF, &buffer)) return "DQBUF: " + std::to_string(error);
    }
}

/// Several threads in calls, some of them on one file.
std::string useThreads(const Streams& streams, unsigned start) {
    auto file = openNode(0);
    const int fd = file->fd();
    std::thread([fd] {
        for (v4l2_capability cap{};;) ::ioctl(fd, VIDIOC_QUERYCAP, &cap);
    }).detach();
    std::thread([fd] {
        for (v4l2_event event{};;) ::ioctl(fd, VIDIOC_DQEVENT, &event);
    }).detach();
    return keepDecoding(streams, start);
}

constexpr std::string (*kVictims[])(const Streams&, unsigned) = {keepDecoding, keepOpening,  waitInDqbuf,
                                                                 waitInEpoll,  keepBringing, useThreads};

/// Decodes until it is told to stop.
int bystander(const Streams& streams, Diary& diary) {
    while (!diary.stop) {
        const auto wrong = decodeOne(streams[diary.decoded % streams.size()]);
        if (!wrong.empty()) return diary.note(wrong), 1;
        ++diary.decoded;
    }
    return 0;
}

/// "… closed, N sessions" of the last such line.
int sessionsInLog(const std::string& log) {
    const size_t end = log.rfind(" sessions\n");
    if (end == std::string::npos) return -1;
    return std::stoi(log.substr(log.rfind(' ', end - 1) + 1));
}

}  // namespace

TEST_CASE("clients that are killed at random moments free their sessions and disturb nobody") {
    const auto streams = streamsOfAllCodecs(6);
    REQUIRE(!streams.empty());
    auto daemon = DaemonProcess::serve({"--log", "debug"});
    const pid_t server = daemon.process().pid();
    const size_t before = openFds(server);
    auto& witness = *sharedDiary();
    auto& diary = *sharedDiary();
    auto other = Process::fork([&] { return bystander(streams, witness); });

    // The bystander's own, with a few that are just being closed.
    constexpr size_t kOthers = 40;
    const unsigned rounds = scaled(kRounds);
    std::mt19937 random(std::random_device{}());
    std::uniform_int_distribution<unsigned> life(0, kLongestLifeUs);
    for (unsigned round = 0; round < rounds; ++round) {
        const auto victim = kVictims[round % std::size(kVictims)];
        auto process = Process::fork([&] {
            diary.note(victim(streams, round));
            return 1;
        });
        std::this_thread::sleep_for(std::chrono::microseconds(life(random)));
        if (round % 4 == 3) {
            // One that has stopped in the middle holds nobody up either.
            process.kill(SIGSTOP);
            std::this_thread::sleep_for(std::chrono::microseconds(life(random)));
        }
        process.kill(SIGKILL);
        const auto status = process.wait(kGraceMs);
        INFO("round " << round << ", victim " << round % std::size(kVictims) << ": " << diary.wrong);
        REQUIRE(status);
        REQUIRE(WIFSIGNALED(*status));
        if (round % kCheckEvery != kCheckEvery - 1) continue;
        REQUIRE(eventually(kGraceMs, [&] { return openFds(server) < before + kOthers; }));
        REQUIRE_FALSE(other.wait(0ms));
    }
    witness.stop = true;
    INFO("the bystander: " << witness.wrong);
    CHECK(other.wait(20s) == 0);
    CHECK(witness.decoded > rounds / 50);
    CHECK(eventually(kGraceMs, [&] { return openFds(server) == before; }));
    CHECK(eventually(kGraceMs, [&] { return sessionsInLog(daemon.log()) == 0; }));
    WARN(rounds << " clients were killed while another decoded " << witness.decoded << " streams; the daemon has "
                << openFds(server) << " fds (" << before << " before)");
    daemon.process().kill(SIGTERM);
    CHECK(daemon.process().wait(5s) == 0);
}
