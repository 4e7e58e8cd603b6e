// Signals in waits and calls, and a session that goes on in the child of a fork.
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <functional>
#include <string>
#include <thread>

#include "process.h"
#include "signals.h"
#include "v4l2_client.h"
#include "waiting.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr uint32_t kBuffers = 4;

/// A session with the toy codec whose queues stream, and in which nothing is ready.
struct Streaming {
    explicit Streaming(int flags) {
        auto file = openNode(flags);
        REQUIRE(file);
        fd = file->fd();
        client = std::make_unique<V4l2Client>(std::move(file));
        REQUIRE(client->subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0);
        REQUIRE(client->subscribe(V4L2_EVENT_EOS) == 0);
        REQUIRE(client->request(kOutput, kBuffers) == 0);
        REQUIRE(client->streamOn(kOutput) == 0);
        REQUIRE(client->feed(0, "size 16x16\n") == 0);
        v4l2_event event{};
        REQUIRE(client->ioctl(VIDIOC_DQEVENT, &event) == 0);
        REQUIRE(client->take(kOutput).error == 0);
        REQUIRE(client->request(kCapture, kBuffers) == 0);
        for (uint32_t i = 0; i < kBuffers; ++i) REQUIRE(client->queue(i) == 0);
        REQUIRE(client->streamOn(kCapture) == 0);
    }

    int fd = -1;
    std::unique_ptr<V4l2Client> client;
};

struct Wait {
    const char* name;
    int (*call)(Streaming&);
    void (*release)(Streaming&);  ///< ends the wait
    bool restarts;                ///< as the kernel has it, with SA_RESTART
};

int dqbufCapture(Streaming& streaming) { return streaming.client->take(kCapture).error; }
int dqbufOutput(Streaming& streaming) { return streaming.client->take(kOutput).error; }
int dqevent(Streaming& streaming) {
    v4l2_event event{};
    return streaming.client->ioctl(VIDIOC_DQEVENT, &event);
}
int inPoll(Streaming& streaming) {
    pollfd one{streaming.fd, POLLIN | POLLPRI, 0};
    return ::poll(&one, 1, -1) > 0 ? 0 : errno;
}
int inSelect(Streaming& streaming) {
    fd_set reads;
    fd_set exceptions;
    FD_ZERO(&reads);
    FD_ZERO(&exceptions);
    FD_SET(streaming.fd, &reads);
    FD_SET(streaming.fd, &exceptions);
    return ::select(streaming.fd + 1, &reads, nullptr, &exceptions, nullptr) > 0 ? 0 : errno;
}
int inEpoll(Streaming& streaming) {
    const UniqueFd set(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{.events = EPOLLIN | EPOLLPRI, .data = {.fd = streaming.fd}};
    if (::epoll_ctl(set.get(), EPOLL_CTL_ADD, streaming.fd, &event) != 0) return errno;
    return ::epoll_wait(set.get(), &event, 1, -1) > 0 ? 0 : errno;
}

void sendFrame(Streaming& streaming) { CHECK(streaming.client->feed(0, "frame 0\n") == 0); }
void sendStop(Streaming& streaming) { CHECK(streaming.client->command(V4L2_DEC_CMD_STOP) == 0); }

constexpr Wait kWaits[] = {
    {"DQBUF(CAPTURE)", dqbufCapture, sendFrame, true},
    {"DQBUF(OUTPUT)", dqbufOutput, sendFrame, true},
    {"DQEVENT", dqevent, sendStop, true},
    {"poll()", inPoll, sendFrame, false},
    {"select()", inSelect, sendFrame, false},
    {"epoll_wait()", inEpoll, sendStop, false},
};

}  // namespace

TEST_CASE("a signal without SA_RESTART ends every wait with EINTR, and the session goes on") {
    auto daemon = DaemonProcess::fake();
    handle(0);
    for (const Wait& wait : kWaits) {
        INFO(wait.name);
        Streaming streaming(0);
        {
            Waiting waiting([&] { return wait.call(streaming); });
            CHECK(waiting.result(0ms) == -1);
            CHECK(waiting.interrupted() == EINTR);
        }
        CHECK(decode(*streaming.client, 0, 3) == "");
    }
}

TEST_CASE("a signal with SA_RESTART leaves the calls waiting that the kernel restarts") {
    auto daemon = DaemonProcess::fake();
    handle(SA_RESTART);
    for (const Wait& wait : kWaits) {
        INFO(wait.name);
        Streaming streaming(0);
        Waiting waiting([&] { return wait.call(streaming); });
        if (wait.restarts) {
            waiting.signal();
            CHECK(waiting.result(100ms) == -1);
        } else {
            CHECK(waiting.interrupted() == EINTR);
        }
        wait.release(streaming);
        CHECK(waiting.result(kGraceMs) == (wait.restarts ? 0 : EINTR));
    }
}

TEST_CASE("a storm of signals loses and repeats nothing") {
    auto daemon = DaemonProcess::fake();
    handle(0);
    constexpr uint32_t kFrames = 2000;
    Streaming streaming(0);
    std::atomic<bool> over = false;
    std::string wrong;
    std::thread worker([&] {
        wrong = decode(*streaming.client, 0, kFrames);
        for (int i = 0; i < 50 && wrong.empty(); ++i) {
            const auto off = [&](uint32_t type) { return again([&] { return streaming.client->streamOff(type); }); };
            const auto on = [&](uint32_t type) { return again([&] { return streaming.client->streamOn(type); }); };
            if (off(kOutput) != 0 || on(kOutput) != 0) wrong = "STREAMOFF or STREAMON";
        }
        over = true;
    });
    while (!over) {
        ::pthread_kill(worker.native_handle(), SIGUSR1);
        std::this_thread::sleep_for(100us);
    }
    worker.join();
    CHECK(wrong == "");
}

TEST_CASE("a session goes on in a child after its parent has closed it") {
    auto daemon = DaemonProcess::fake();
    const size_t before = openFds(daemon.process().pid());
    auto streaming = std::make_unique<Streaming>(0);
    REQUIRE(decode(*streaming->client, 0, 100) == "");
    UniqueFd ends[2];
    int pipe[2];
    REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
    for (int i = 0; i < 2; ++i) ends[i].reset(pipe[i]);
    auto child = Process::fork([&] {
        // Not before the parent has closed it.
        char byte = 0;
        if (::read(ends[0].get(), &byte, 1) != 1) return 2;
        return decode(*streaming->client, 100, 200).empty() ? 0 : 1;
    });
    streaming.reset();
    REQUIRE(::write(ends[1].get(), "", 1) == 1);
    CHECK(child.wait(20s) == 0);
    CHECK(eventually(kGraceMs, [&] { return openFds(daemon.process().pid()) <= before + 1 + kLibraryKeeps; }));
}
