// 100,000 frames by four threads that wait in every way there is: no wake-up may be lost.
#include <sys/epoll.h>
#include <sys/select.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "process.h"
#include "src/codec/fake/fake_decoder.h"
#include "v4l2_client.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr size_t kThreads = 4;
constexpr std::chrono::seconds kStandstill{10};
constexpr uint32_t kBuffers = 4;
constexpr char kHeaders[] = "size 16x16\n";

/// What each thread is doing, for the dump when nothing goes on any more.
struct Station {
    std::atomic<const char*> doing = "nothing yet";
    std::atomic<int> fd = -1;
    std::atomic<uint64_t> steps = 0;
};
std::array<Station, kThreads> stations;
std::atomic<uint64_t> progress = 0;

/// Ends the program if there is no progress for long.
class Watchdog {
public:
    Watchdog() : thread_([this] { watch(); }) {}
    ~Watchdog() {
        over_ = true;
        thread_.join();
    }

private:
    void watch() {
        uint64_t seen = progress;
        auto since = std::chrono::steady_clock::now();
        while (!over_) {
            std::this_thread::sleep_for(50ms);
            const auto now = std::chrono::steady_clock::now();
            if (seen != progress) {
                seen = progress;
                since = now;
            } else if (now - since > kStandstill) {
                dump();
                std::_Exit(EXIT_FAILURE);
            }
        }
    }
    static void dump() {
        std::fprintf(stderr, "no progress for %d s after %llu frames\n", static_cast<int>(kStandstill.count()),
                     static_cast<unsigned long long>(progress));
        for (size_t i = 0; i < kThreads; ++i) {
            const auto& station = stations[i];
            pollfd now{station.fd, POLLIN | POLLOUT | POLLPRI, 0};
            ::poll(&now, 1, 0);
            std::fprintf(stderr, "thread %zu: %s, after %llu steps; its fd %d polls as 0x%x now\n", i, station.doing.load(),
                         static_cast<unsigned long long>(station.steps), station.fd.load(), static_cast<unsigned>(now.revents));
        }
    }

    std::atomic<bool> over_ = false;
    std::thread thread_;
};

/// One thread's ways to wait for `events` of one file.
class Waiter {
public:
    Waiter(Station& station, FdClient& file, unsigned seed) : station_(station), fd_(file.fd()), random_(seed) {
        set_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
        station_.fd = fd_;
    }

    /// Returns when one of `events` may be there. Also does not wait at all, for calls that wait by themselves.
    void wait(short events, bool callWaits) {
        ++station_.steps;
        switch (random_() % (callWaits ? 6 : 5)) {
            case 0:
                return byPoll(events, "poll()", [&](pollfd& one) { return ::poll(&one, 1, -1); });
            case 1:
                return byPoll(events, "ppoll()", [&](pollfd& one) { return ::ppoll(&one, 1, nullptr, nullptr); });
            case 2:
                return bySelect(events, "select()",
                                [&](fd_set* in, fd_set* out, fd_set* pri) { return ::select(fd_ + 1, in, out, pri, nullptr); });
            case 3:
                return bySelect(events, "pselect()", [&](fd_set* in, fd_set* out, fd_set* pri) {
                    return ::pselect(fd_ + 1, in, out, pri, nullptr, nullptr);
                });
            case 4:
                return byEpoll(events);
            default:
                station_.doing = "the blocking call";
        }
    }
    void doing(const char* what) { station_.doing = what; }

private:
    template <class Wait>
    void byPoll(short events, const char* name, Wait wait) {
        station_.doing = name;
        pollfd one{fd_, events, 0};
        expect(wait(one) == 1 && one.revents != 0, name);
    }
    template <class Wait>
    void bySelect(short events, const char* name, Wait wait) {
        station_.doing = name;
        std::array<fd_set, 3> sets;
        std::array<fd_set*, 3> used{};
        constexpr std::array<short, 3> kEvents = {POLLIN, POLLOUT, POLLPRI};
        for (size_t i = 0; i < sets.size(); ++i) {
            if (!(events & kEvents[i])) continue;
            FD_ZERO(&sets[i]);
            FD_SET(fd_, &sets[i]);
            used[i] = &sets[i];
        }
        expect(wait(used[0], used[1], used[2]) > 0, name);
    }
    void byEpoll(short events) {
        station_.doing = "epoll_wait()";
        epoll_event event{.events = static_cast<uint32_t>(events), .data = {.fd = fd_}};
        if (registered_ != events) {
            const int operation = registered_ == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
            expect(::epoll_ctl(set_.get(), operation, fd_, &event) == 0, "epoll_ctl()");
            registered_ = events;
        }
        expect(::epoll_wait(set_.get(), &event, 1, -1) == 1, "epoll_wait()");
    }
    static void expect(bool good, const char* name) {
        if (good) return;
        std::fprintf(stderr, "%s failed: %s\n", name, std::strerror(errno));
        std::_Exit(EXIT_FAILURE);
    }

    Station& station_;
    int fd_;
    std::mt19937 random_;
    UniqueFd set_;
    short registered_ = 0;
};

/// What is wrong ends the test at once: the other threads may be waiting for this one.
void must(bool good, const char* what, int error = 0) {
    if (good) return;
    std::fprintf(stderr, "%s: %s\n", what, std::strerror(error));
    std::_Exit(EXIT_FAILURE);
}

/// A session with the toy codec: frame N has the timestamp N, and comes out exactly once.
class Session {
public:
    Session(int flags, uint32_t frames)
        : nonblocking_((flags & O_NONBLOCK) != 0), frames_(frames), seen_(frames), free_{0, 1, 2, 3} {
        auto file = openNode(flags);
        must(file != nullptr, "open", errno);
        file_ = file.get();
        client_ = std::make_unique<V4l2Client>(std::move(file));
    }

    FdClient& file() { return *file_; }

    /// Up to CAPTURE streaming, on one thread.
    void setUp(Waiter& waiter) {
        must(client_->subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0 && client_->subscribe(V4L2_EVENT_EOS) == 0, "SUBSCRIBE_EVENT");
        must(client_->request(kOutput, kBuffers) == 0 && client_->streamOn(kOutput) == 0, "set-up of OUTPUT");
        must(client_->feed(*takeFree(), kHeaders) == 0, "QBUF(OUTPUT)");
        must(nextEvent(waiter).type == V4L2_EVENT_SOURCE_CHANGE, "source change");
        must(client_->request(kCapture, kBuffers) == 0, "REQBUFS(CAPTURE)");
        for (uint32_t i = 0; i < kBuffers; ++i) must(client_->queue(i) == 0, "QBUF(CAPTURE)");
        must(client_->streamOn(kCapture) == 0, "STREAMON(CAPTURE)");
    }

    /// Queues one frame more. False when all are queued.
    bool feed(Waiter& waiter) {
        const uint32_t number = next_++;
        if (number >= frames_) return false;
        const auto text = "frame " + std::to_string(number) + "\n";
        const auto unused = takeFree();
        queue(unused ? *unused : dequeue(waiter, kOutput).buffer.index, text, number);
        return true;
    }
    /// After the last feed() of all threads.
    void finish() { must(client_->command(V4L2_DEC_CMD_STOP) == 0, "DECODER_CMD(STOP)"); }

    /// Takes one CAPTURE buffer. False after the last.
    bool take(Waiter& waiter) {
        const auto taken = dequeue(waiter, kCapture);
        if (taken.error == EPIPE) return false;
        return check(taken);
    }

    /// Everything on one thread: feeds and takes as poll() says.
    void pump(Waiter& waiter) {
        bool feeding = true;
        bool stopped = false;
        for (;;) {
            while (feeding && hasFree()) feeding = feed(waiter);
            if (!feeding && !stopped) {
                stopped = true;
                finish();
            }
            waiter.wait(feeding ? POLLIN | POLLOUT | POLLPRI : POLLIN | POLLPRI, false);
            waiter.doing("DQBUF(OUTPUT)");
            for (Taken taken; (taken = client_->take(kOutput)).error != EAGAIN;) {
                must(taken.error == 0, "DQBUF(OUTPUT)", taken.error);
                giveFree(taken.buffer.index);
            }
            waiter.doing("DQBUF(CAPTURE)");
            for (Taken taken; (taken = client_->take(kCapture)).error != EAGAIN;) {
                must(taken.error == 0, "DQBUF(CAPTURE)", taken.error);
                if (check(taken)) continue;
                must(nextEvent(waiter).type == V4L2_EVENT_EOS, "EOS");
                return;
            }
        }
    }

    /// True if each frame came out once.
    [[nodiscard]] bool complete() const {
        return std::ranges::all_of(seen_, [](const auto& count) { return count == 1; });
    }

private:
    v4l2_event nextEvent(Waiter& waiter) {
        for (;;) {
            waiter.wait(POLLPRI, !nonblocking_);
            v4l2_event event{};
            const int error = client_->ioctl(VIDIOC_DQEVENT, &event);
            if (error == 0) return event;
            must(error == ENOENT || error == EAGAIN, "DQEVENT", error);
        }
    }
    Taken dequeue(Waiter& waiter, uint32_t type) {
        for (;;) {
            // After LAST was taken POLLIN does not stay: the thread that did not take it hears of the end by the EOS event.
            waiter.wait(type == kOutput ? POLLOUT : POLLIN | POLLPRI, !nonblocking_);
            // Another thread may have been faster: then the call waits.
            if (!nonblocking_) waiter.doing(type == kOutput ? "DQBUF(OUTPUT)" : "DQBUF(CAPTURE)");
            auto taken = client_->take(type);
            if (taken.error == EAGAIN) continue;
            must(taken.error == 0 || (taken.error == EPIPE && type == kCapture), "DQBUF", taken.error);
            return taken;
        }
    }
    void queue(uint32_t index, const std::string& text, uint32_t number) {
        const int error = client_->feed(index, text, number);
        must(error == 0, "QBUF(OUTPUT)", error);
    }
    /// Counts the frame and queues its buffer again. False for the last one.
    bool check(const Taken& taken) {
        if (taken.planes[0].bytesused > 0) {
            const auto number =
                static_cast<uint32_t>(taken.buffer.timestamp.tv_sec * 1'000'000 + taken.buffer.timestamp.tv_usec);
            must(number < frames_, "a timestamp that was never given");
            must(client_->pixels(taken.buffer.index)[0] == codec::fake::fakeSample(number, 0, 0, 0, 8),
                 "another frame's pixels");
            ++seen_[number];
            ++progress;
        }
        if (taken.buffer.flags & V4L2_BUF_FLAG_LAST) return false;
        const int error = client_->queue(taken.buffer.index);
        must(error == 0, "QBUF(CAPTURE)", error);
        return true;
    }

    bool hasFree() {
        const std::lock_guard lock(mutex_);
        return !free_.empty();
    }
    std::optional<uint32_t> takeFree() {
        const std::lock_guard lock(mutex_);
        if (free_.empty()) return std::nullopt;
        const uint32_t index = free_.back();
        free_.pop_back();
        return index;
    }
    void giveFree(uint32_t index) {
        const std::lock_guard lock(mutex_);
        free_.push_back(index);
    }

    const bool nonblocking_;
    const uint32_t frames_;
    std::vector<std::atomic<uint8_t>> seen_;
    std::atomic<uint32_t> next_ = 0;
    std::mutex mutex_;
    std::vector<uint32_t> free_;
    FdClient* file_ = nullptr;
    std::unique_ptr<V4l2Client> client_;
};

void runThreads(const std::function<void(size_t)>& body) {
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kThreads; ++i) threads.emplace_back([&body, i] { body(i); });
    for (auto& thread : threads) thread.join();
}

/// `feeders` and as many takers on each session; the last feeder ends the stream.
void share(std::vector<std::unique_ptr<Session>>& sessions) {
    const size_t perSession = kThreads / sessions.size();
    std::vector<std::atomic<size_t>> feeding(sessions.size());
    for (size_t i = 0; i < sessions.size(); ++i) {
        feeding[i] = perSession / 2;
        Waiter waiter(stations[0], sessions[i]->file(), 99);
        sessions[i]->setUp(waiter);
    }
    runThreads([&](size_t thread) {
        const size_t number = thread / perSession;
        Session& session = *sessions[number];
        Waiter waiter(stations[thread], session.file(), static_cast<unsigned>(thread));
        if (thread % 2 == 0) {
            while (session.feed(waiter)) {
            }
            if (--feeding[number] == 0) session.finish();
        } else {
            while (session.take(waiter)) {
            }
        }
        waiter.doing("done");
    });
}

}  // namespace

TEST_CASE("two threads feed one blocking file and two take from it") {
    auto daemon = DaemonProcess::fake();
    const Watchdog watchdog;
    std::vector<std::unique_ptr<Session>> sessions;
    sessions.push_back(std::make_unique<Session>(0, scaled(30'000)));
    share(sessions);
    CHECK(sessions[0]->complete());
}

TEST_CASE("two threads feed one non-blocking file and two take from it") {
    auto daemon = DaemonProcess::fake();
    const Watchdog watchdog;
    std::vector<std::unique_ptr<Session>> sessions;
    sessions.push_back(std::make_unique<Session>(O_NONBLOCK, scaled(30'000)));
    share(sessions);
    CHECK(sessions[0]->complete());
}

TEST_CASE("a blocking and a non-blocking file, each fed by one thread and emptied by another") {
    auto daemon = DaemonProcess::fake();
    const Watchdog watchdog;
    std::vector<std::unique_ptr<Session>> sessions;
    sessions.push_back(std::make_unique<Session>(0, scaled(10'000)));
    sessions.push_back(std::make_unique<Session>(O_NONBLOCK, scaled(10'000)));
    share(sessions);
    CHECK(sessions[0]->complete());
    CHECK(sessions[1]->complete());
}

TEST_CASE("four threads with one short session after the other, from the first event to EOS") {
    auto daemon = DaemonProcess::fake();
    const Watchdog watchdog;
    constexpr uint32_t kFrames = 200;
    const unsigned sessionsEach = scaled(25);
    std::atomic<unsigned> complete = 0;
    runThreads([&](size_t thread) {
        for (unsigned i = 0; i < sessionsEach; ++i) {
            Session session(O_NONBLOCK, kFrames);
            Waiter waiter(stations[thread], session.file(), static_cast<unsigned>(thread * sessionsEach + i));
            session.setUp(waiter);
            session.pump(waiter);
            if (session.complete()) ++complete;
        }
        stations[thread].doing = "done";
    });
    CHECK(complete == kThreads * sessionsEach);
}
