// Everything that waits on a CUSE device: calls, poll, select and epoll, and what ends their waits.
#include <sys/resource.h>
#include <unistd.h>

#include <vector>

#include "signals.h"
#include "streaming.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

int dqbufCapture(Streaming& streaming) { return streaming.client.take(kCapture).error; }
int dqbufOutput(Streaming& streaming) { return streaming.client.take(kOutput).error; }
int dqevent(Streaming& streaming) {
    v4l2_event event{};
    return streaming.client.ioctl(VIDIOC_DQEVENT, &event);
}
int inPoll(Streaming& streaming, short events) {
    pollfd one{streaming.fd, events, 0};
    if (::poll(&one, 1, -1) < 0) return errno;
    return (one.revents & events) != 0 ? 0 : ENOMSG;
}
int pollIn(Streaming& streaming) { return inPoll(streaming, POLLIN); }
int pollOut(Streaming& streaming) { return inPoll(streaming, POLLOUT); }
int pollPri(Streaming& streaming) { return inPoll(streaming, POLLPRI); }
int selectAny(Streaming& streaming) {
    fd_set reads;
    fd_set exceptions;
    FD_ZERO(&reads);
    FD_ZERO(&exceptions);
    FD_SET(streaming.fd, &reads);
    FD_SET(streaming.fd, &exceptions);
    return ::select(streaming.fd + 1, &reads, nullptr, &exceptions, nullptr) > 0 ? 0 : errno;
}
int inEpoll(Streaming& streaming, uint32_t events) {
    const UniqueFd set(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{.events = events, .data = {.fd = streaming.fd}};
    if (::epoll_ctl(set.get(), EPOLL_CTL_ADD, streaming.fd, &event) != 0) return errno;
    return ::epoll_wait(set.get(), &event, 1, -1) > 0 ? 0 : errno;
}
int epollIn(Streaming& streaming) { return inEpoll(streaming, EPOLLIN); }
int epollEdge(Streaming& streaming) { return inEpoll(streaming, EPOLLIN | EPOLLET); }
int epollPri(Streaming& streaming) { return inEpoll(streaming, EPOLLPRI); }

struct Wait {
    const char* name;
    int (*call)(Streaming&);
    void (Streaming::*release)();  ///< ends the wait
};

constexpr Wait kWaits[] = {
    {"DQBUF(CAPTURE)", dqbufCapture, &Streaming::sendFrame},
    {"DQBUF(OUTPUT)", dqbufOutput, &Streaming::sendFrame},
    {"DQEVENT", dqevent, &Streaming::sendStop},
    {"poll(POLLIN)", pollIn, &Streaming::sendFrame},
    {"poll(POLLOUT)", pollOut, &Streaming::sendFrame},
    {"poll(POLLPRI)", pollPri, &Streaming::sendStop},
    {"select()", selectAny, &Streaming::sendFrame},
    {"epoll_wait(EPOLLIN)", epollIn, &Streaming::sendFrame},
    {"epoll_wait(EPOLLIN | EPOLLET)", epollEdge, &Streaming::sendFrame},
    {"epoll_wait(EPOLLPRI)", epollPri, &Streaming::sendStop},
};

}  // namespace

TEST_CASE("every wait ends when what it waits for comes") {
    TestNode node;
    for (const Wait& wait : kWaits) {
        INFO(wait.name);
        Streaming streaming(node);
        Waiting waiting([&] { return wait.call(streaming); });
        CHECK(waiting.result(0ms) == -1);
        (streaming.*wait.release)();
        CHECK(waiting.result(kGrace) == 0);
    }
}

TEST_CASE("a signal ends every wait with EINTR, with SA_RESTART too, and the session goes on") {
    TestNode node;
    for (const int flags : {0, SA_RESTART}) {
        handle(flags);
        for (const Wait& wait : kWaits) {
            INFO(wait.name << (flags != 0 ? " with SA_RESTART" : ""));
            Streaming streaming(node);
            {
                Waiting waiting([&] { return wait.call(streaming); });
                CHECK(waiting.result(0ms) == -1);
                CHECK(waiting.interrupted() == EINTR);
            }
            CHECK(decode(streaming.client, 0, 2) == "");
        }
    }
}

TEST_CASE("a storm of signals loses and repeats nothing") {
    TestNode node;
    handle(0);
    Streaming streaming(node);
    std::atomic<bool> over = false;
    std::string wrong;
    std::thread worker([&] {
        wrong = decode(streaming.client, 0, 200);
        over = true;
    });
    while (!over) {
        ::pthread_kill(worker.native_handle(), SIGUSR1);
        std::this_thread::sleep_for(500us);
    }
    worker.join();
    CHECK(wrong == "");
}

TEST_CASE("O_NONBLOCK counts as it is now, not as it was at open()") {
    TestNode node;
    for (const int flags : {0, O_NONBLOCK}) {
        Streaming streaming(node, flags);
        streaming.client.file().setNonblocking(true);
        CHECK(dqbufCapture(streaming) == EAGAIN);
        CHECK(dqevent(streaming) == ENOENT);
        streaming.client.file().setNonblocking(false);
        {
            Waiting waiting([&] { return dqbufCapture(streaming); });
            CHECK(waiting.result(50ms) == -1);
            streaming.sendFrame();
            CHECK(waiting.result(kGrace) == 0);
        }
        streaming.client.file().setNonblocking(true);
        CHECK(dqbufCapture(streaming) == EAGAIN);
    }
}

TEST_CASE("an error of the queues is told to whoever asks for them, and to nobody else") {
    TestNode node;
    V4l2Client client(node);
    CHECK((client.file().poll(POLLIN, 1000) & POLLERR) != 0);
    CHECK(client.file().poll(POLLPRI, 50) == 0);
}

TEST_CASE("edge-triggered epoll hears of each buffer") {
    TestNode node;
    Streaming streaming(node, O_NONBLOCK);
    const UniqueFd set(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.fd = streaming.fd}};
    REQUIRE(::epoll_ctl(set.get(), EPOLL_CTL_ADD, streaming.fd, &event) == 0);
    for (uint32_t i = 0; i < kBuffers; ++i) {
        INFO(i);
        // The buffers stay undequeued: what was told once is told again for the next.
        REQUIRE(streaming.client.feed(0, "frame " + std::to_string(i) + "\n") == 0);
        REQUIRE(streaming.client.await(kOutput).error == 0);
        CHECK(::epoll_wait(set.get(), &event, 1, 2000) == 1);
    }
}

TEST_CASE("64 clients wait at once, and the end of the device ends all their waits") {
    // Both sides of each buffer are in this process.
    rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    TestNode node;
    handle(0);
    std::vector<std::unique_ptr<Streaming>> sessions;
    for (int i = 0; i < 64; ++i) sessions.push_back(std::make_unique<Streaming>(node));
    std::vector<std::unique_ptr<Waiting>> waits;
    const uint64_t before = node.cuseRoundTrips();
    for (size_t i = 0; i < sessions.size(); ++i) {
        const Wait& wait = kWaits[i % std::size(kWaits)];
        waits.push_back(std::make_unique<Waiting>([&wait, session = sessions[i].get()] { return wait.call(*session); }));
    }
    // Each has asked once.
    CHECK(eventually([&] { return node.cuseRoundTrips() >= before + waits.size(); }));
    // All of them wait, and one that is served wakes no other.
    CHECK(decode(sessions[0]->client, 0, 0) == "");
    for (auto& waiting : waits) CHECK(waiting->result(0ms) == -1);
    node.endCuse();
    for (size_t i = 0; i < waits.size(); ++i) {
        const std::string name = kWaits[i % std::size(kWaits)].name;
        INFO(name);
        const int result = waits[i]->result(kGrace);
        CHECK(result != -1);
        if (name.starts_with("DQ")) CHECK(result == ENODEV);
    }
    v4l2_capability capability{};
    CHECK(sessions[0]->client.ioctl(VIDIOC_QUERYCAP, &capability) != 0);
    CHECK(::access("/dev/video250", F_OK) != 0);
    waits.clear();
}
