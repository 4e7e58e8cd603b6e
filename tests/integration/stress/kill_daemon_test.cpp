// kill -9 of the daemon at random moments: every client hears of it at once, whatever it is doing.
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "process.h"
#include "stream_decoding.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr unsigned kRounds = 40;
constexpr unsigned kLongestLifeUs = 20'000;

bool saysGone(int error) { return error == ENODEV || error == EIO; }

std::string unexpected(const char* call, int error) {
    return std::string(call) + " gave " + std::to_string(error) + " (" + std::strerror(error) + ")";
}

/// What one client is doing when the daemon dies. Its part is over when it has heard of that; the result says what was wrong.
struct Part {
    const char* name;
    std::string (*play)(FdClient& file, V4l2Client& client);
};

/// Both queues stream, so that nothing is ready and nothing is an error.
int setUp(V4l2Client& client) {
    for (const uint32_t type : {kOutput, kCapture})
        if (const int error = client.request(type, 2)) return error;
    if (const int error = client.queue(0)) return error;
    for (const uint32_t type : {kOutput, kCapture})
        if (const int error = client.streamOn(type)) return error;
    return 0;
}

std::string waitInDqbuf(FdClient&, V4l2Client& client) {
    if (const int error = setUp(client)) return saysGone(error) ? "" : unexpected("set-up", error);
    const int error = client.take(kCapture).error;
    return saysGone(error) ? "" : unexpected("DQBUF", error);
}

std::string waitInDqevent(FdClient&, V4l2Client& client) {
    if (const int error = client.subscribe(V4L2_EVENT_EOS)) return saysGone(error) ? "" : unexpected("set-up", error);
    v4l2_event event{};
    const int error = client.ioctl(VIDIOC_DQEVENT, &event);
    return saysGone(error) ? "" : unexpected("DQEVENT", error);
}

std::string waitInPoll(FdClient& file, V4l2Client& client) {
    if (const int error = setUp(client)) return saysGone(error) ? "" : unexpected("set-up", error);
    pollfd one{file.fd(), POLLIN | POLLPRI, 0};
    const int count = ::poll(&one, 1, -1);
    return count == 1 && (one.revents & (POLLERR | POLLHUP)) ? "" : "poll() gave " + std::to_string(one.revents);
}

std::string waitInSelect(FdClient& file, V4l2Client& client) {
    if (const int error = setUp(client)) return saysGone(error) ? "" : unexpected("set-up", error);
    fd_set reads;
    fd_set exceptions;
    FD_ZERO(&reads);
    FD_ZERO(&exceptions);
    FD_SET(file.fd(), &reads);
    FD_SET(file.fd(), &exceptions);
    return ::select(file.fd() + 1, &reads, nullptr, &exceptions, nullptr) > 0 && FD_ISSET(file.fd(), &reads) ? "" : "select()";
}

std::string waitInEpoll(FdClient& file, V4l2Client& client) {
    if (const int error = setUp(client)) return saysGone(error) ? "" : unexpected("set-up", error);
    const UniqueFd set(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{.events = EPOLLIN | EPOLLPRI, .data = {.fd = file.fd()}};
    if (::epoll_ctl(set.get(), EPOLL_CTL_ADD, file.fd(), &event) != 0) return unexpected("epoll_ctl", errno);
    epoll_event got{};
    const int count = ::epoll_wait(set.get(), &got, 1, -1);
    return count == 1 && (got.events & (EPOLLERR | EPOLLHUP)) ? "" : "epoll_wait() gave " + std::to_string(got.events);
}

std::string callAndCall(FdClient&, V4l2Client& client) {
    for (;;) {
        v4l2_format format{};
        format.type = kCapture;
        const int error = client.ioctl(VIDIOC_G_FMT, &format);
        if (error != 0) return saysGone(error) ? "" : unexpected("G_FMT", error);
        // Arguments with arrays, descriptors, and calls that wait for the decoder.
        if (const int failed = client.request(kOutput, 2)) return saysGone(failed) ? "" : unexpected("REQBUFS", failed);
        v4l2_exportbuffer exported{};
        exported.type = kOutput;
        const int failed = client.ioctl(VIDIOC_EXPBUF, &exported);
        if (failed == 0) ::close(exported.fd);
        if (failed != 0) return saysGone(failed) ? "" : unexpected("EXPBUF", failed);
        if (const int off = client.streamOff(kOutput)) return saysGone(off) ? "" : unexpected("STREAMOFF", off);
    }
}

std::string openAndClose(FdClient&, V4l2Client&) {
    for (;;) {
        const auto file = openNode(O_NONBLOCK);
        if (!file) return saysGone(errno) ? "" : unexpected("open", errno);
    }
}

std::string useMemory(FdClient&, V4l2Client& client) {
    v4l2_requestbuffers request{};
    request.type = kCapture;
    request.memory = V4L2_MEMORY_MMAP;
    request.count = 1;
    if (const int error = client.ioctl(VIDIOC_REQBUFS, &request)) return saysGone(error) ? "" : unexpected("REQBUFS", error);
    const auto info = client.query(kCapture, 0);
    if (info.error != 0) return saysGone(info.error) ? "" : unexpected("QUERYBUF", info.error);
    const size_t length = info.planes[0].length;
    std::vector<void*> maps;
    void* map = nullptr;
    while ((map = client.file().mmap(length, PROT_READ | PROT_WRITE, info.planes[0].m.mem_offset)) != MAP_FAILED) {
        std::memset(map, 0x5a, length);
        maps.push_back(map);
        if (maps.size() < 2) continue;
        ::munmap(maps.front(), length);
        maps.erase(maps.begin());
    }
    const int error = errno;
    for (void* left : maps) {
        // Nobody takes the memory away.
        std::memset(left, 0xa5, length);
        ::munmap(left, length);
    }
    return saysGone(error) ? "" : unexpected("mmap", error);
}

SynthStream& someStream() {
    static SynthStream stream = streamsOfAllCodecs(4).front();
    return stream;
}

std::string decodeStreams(FdClient&, V4l2Client&) {
    for (;;) {
        auto file = openNode(O_NONBLOCK);
        if (!file) return saysGone(errno) ? "" : unexpected("open", errno);
        StreamDecoding decoding(std::move(file), someStream());
        const auto wrong = decoding.run();
        if (wrong.empty()) continue;
        // Any call may have been the one that failed: what counts is that the device is gone.
        v4l2_capability cap{};
        const int error = decoding.client().ioctl(VIDIOC_QUERYCAP, &cap);
        return saysGone(error) ? "" : wrong;
    }
}

constexpr Part kParts[] = {
    {"blocked in DQBUF", waitInDqbuf},     {"blocked in DQEVENT", waitInDqevent}, {"in poll()", waitInPoll},
    {"in select()", waitInSelect},         {"in epoll_wait()", waitInEpoll},      {"in ioctls", callAndCall},
    {"opening and closing", openAndClose}, {"using its memory", useMemory},       {"decoding", decodeStreams},
};
constexpr size_t kPartCount = std::size(kParts);

/// One round: all parts at once, until the daemon is killed. Fails with a list of those who do not hear of it.
void playAll(DaemonProcess& daemon, std::chrono::microseconds life) {
    std::atomic<bool> done[kPartCount]{};
    std::string wrong[kPartCount];
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kPartCount; ++i) {
        auto file = openNode(0);
        REQUIRE(file);
        threads.emplace_back([&, i, opened = std::move(file)]() mutable {
            FdClient& raw = *opened;
            V4l2Client client(std::move(opened));
            wrong[i] = kParts[i].play(raw, client);
            v4l2_capability cap{};
            const int error = client.ioctl(VIDIOC_QUERYCAP, &cap);
            if (!saysGone(error)) wrong[i] += " " + unexpected("QUERYCAP afterwards", error);
            done[i] = true;
        });
    }
    std::this_thread::sleep_for(life);
    daemon.process().kill(SIGKILL);
    const bool all =
        eventually(kGraceMs, [&] { return std::ranges::all_of(done, [](const auto& one) { return one.load(); }); });
    if (!all) {
        for (size_t i = 0; i < kPartCount; ++i)
            if (!done[i]) std::fprintf(stderr, "hangs after the daemon was killed: the client that was %s\n", kParts[i].name);
        // The threads cannot be ended.
        std::_Exit(EXIT_FAILURE);
    }
    for (auto& thread : threads) thread.join();
    for (size_t i = 0; i < kPartCount; ++i) {
        INFO("the client that was " << kParts[i].name);
        CHECK(wrong[i] == "");
    }
    daemon.process().end();
}

std::string contentOf(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("a daemon that is killed leaves no client waiting, and its successor serves the same clients", "[clients]") {
    const unsigned rounds = scaled(kRounds);
    std::mt19937 random(std::random_device{}());
    std::uniform_int_distribution<unsigned> life(0, kLongestLifeUs);
    std::ignore = someStream();
    std::unique_ptr<FdClient> left;
    size_t fds = 0;
    for (unsigned round = 0; round <= rounds; ++round) {
        INFO("round " << round);
        auto daemon = DaemonProcess::serve();
        if (left) {
            // A file of the daemon before: never of this one.
            v4l2_capability cap{};
            CHECK(saysGone(left->ioctl(VIDIOC_QUERYCAP, &cap)));
            CHECK((left->poll(POLLIN, 0) & (POLLERR | POLLHUP)) != 0);
        }
        left = openNode(O_NONBLOCK);
        REQUIRE(left);
        // By now the library has dropped what it kept for the files of the round before.
        if (round == 2) fds = openFds(::getpid());
        if (round < rounds) {
            playAll(daemon, std::chrono::microseconds(life(random)));
        } else {
            CHECK(openFds(::getpid()) <= fds);
        }
    }
}

/// Under `daedalus run`: the program of the test below.
TEST_CASE("program", "[.program]") {
    auto file = std::make_unique<FdClient>(UniqueFd(::open(setting("DAEDALUS_NODE").c_str(), O_RDWR)));
    FdClient& raw = *file;
    V4l2Client client(std::move(file));
    REQUIRE(setUp(client) == 0);
    std::printf("ready\n");
    std::fflush(stdout);
    if (setting("DAEDALUS_STRESS_WAIT") == "poll") {
        pollfd one{raw.fd(), POLLIN, 0};
        REQUIRE(::poll(&one, 1, -1) == 1);
        CHECK((one.revents & (POLLERR | POLLHUP)) != 0);
    }
    CHECK(saysGone(client.take(kCapture).error));
}

TEST_CASE("`daedalus run` ends with its program when its daemon is killed", "[run]") {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe");
    const std::string decoder = std::filesystem::canonical(setting("DAEDALUS_PROGRAM"));
    for (const char* wait : {"dqbuf", "poll"}) {
        INFO(wait);
        const std::string log = setting("DAEDALUS_SOCKET") + "." + wait + ".log";
        std::filesystem::remove(log);
        auto run = Process::spawn({decoder, "run", "--", self, "[.program]"}, {{"DAEDALUS_STRESS_WAIT", wait}}, log);
        REQUIRE(eventually(20s, [&] { return contentOf(log).find("ready\n") != std::string::npos; }));
        pid_t daemon = 0;
        for (const pid_t child : childrenOf(run.pid())) {
            std::error_code error;
            if (std::filesystem::read_symlink("/proc/" + std::to_string(child) + "/exe", error) == decoder) daemon = child;
        }
        REQUIRE(daemon > 0);
        ::kill(daemon, SIGKILL);
        const auto status = run.wait(kGraceMs);
        INFO(contentOf(log));
        REQUIRE(status);
        CHECK(*status == 0);
    }
}
