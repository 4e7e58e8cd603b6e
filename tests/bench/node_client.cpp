// A plain V4L2 client, run as a process of its own on the node: MMAP buffers, one poll() loop over all of its sessions. It
// never looks at the pixels.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "arguments.h"
#include "measured.h"
#include "querycap.h"
#include "v4l2_session.h"

namespace daedalus::bench {
namespace {

constexpr std::chrono::nanoseconds kPatience = std::chrono::seconds(30);

/// The descriptors and the events that they wait for.
class PollSet {
public:
    explicit PollSet(std::vector<std::unique_ptr<V4l2Session>>& sessions) : sessions_(sessions), entries_(sessions.size()) {}

    /// Waits once and serves what is ready. False when all sessions have ended, or one has failed.
    bool turn(std::chrono::nanoseconds timeout) {
        size_t open = 0;
        for (size_t i = 0; i < entries_.size(); ++i) {
            const bool ended = sessions_[i]->ended();
            entries_[i] = {ended ? -1 : sessions_[i]->fd(), sessions_[i]->events(), 0};
            if (!ended) ++open;
        }
        if (open == 0) return false;
        const timespec time{timeout.count() / 1'000'000'000, timeout.count() % 1'000'000'000};
        const int ready = ::ppoll(entries_.data(), entries_.size(), &time, nullptr);
        if (ready < 0 || (ready == 0 && timeout == kPatience)) {
            std::fprintf(stderr, "the node gives nothing: %s\n", ready < 0 ? std::strerror(errno) : "it took too long");
            failed_ = true;
            return false;
        }
        for (size_t i = 0; i < entries_.size(); ++i) {
            if (entries_[i].revents == 0 || sessions_[i]->serve(entries_[i].revents)) continue;
            failed_ = true;
            return false;
        }
        return true;
    }
    [[nodiscard]] bool failed() const { return failed_; }

private:
    std::vector<std::unique_ptr<V4l2Session>>& sessions_;
    std::vector<pollfd> entries_;
    bool failed_ = false;
};

/// Access units at a steady rate. One that comes late because the node is behind counts from when it was due.
void runPaced(V4l2Session& session, PollSet& polls, unsigned periodUs) {
    auto due = Clock::now();
    while (!session.fedAll()) {
        const auto now = Clock::now();
        auto wait = due - now;
        if (now >= due) {
            const auto fed = session.feedDue(due);
            if (fed == V4l2Session::Fed::Failed) return;
            if (fed == V4l2Session::Fed::Queued) {
                due += std::chrono::microseconds(periodUs);
                continue;
            }
            wait = kPatience;
        }
        if (!polls.turn(wait)) return;
    }
}

int run(const Arguments& arguments) {
    const char* node = std::getenv("DAEDALUS_NODE");
    if (node == nullptr) {
        std::fprintf(stderr, "run this under `daedalus run`: no $DAEDALUS_NODE\n");
        return 2;
    }
    if (arguments.querycaps != 0) return measureQuerycap(node, arguments);

    const double cpuBefore = cpuSecondsSoFar();
    std::vector<std::unique_ptr<V4l2Session>> sessions;
    for (unsigned i = 0; i < arguments.sessions; ++i)
        sessions.push_back(std::make_unique<V4l2Session>(arguments.clips[i % arguments.clips.size()], arguments.frames));
    for (auto& session : sessions)
        if (!session->open(node)) return 1;
    // All are open before the first one streams: the daemon must see how many share its cores.
    for (auto& session : sessions)
        if (!session->start(arguments.pacedUs != 0)) return 1;

    PollSet polls(sessions);
    if (arguments.pacedUs != 0) runPaced(*sessions.front(), polls, arguments.pacedUs);
    while (polls.turn(kPatience)) {
    }
    Tally tally;
    bool failed = polls.failed();
    for (const auto& session : sessions) {
        failed = failed || !session->ended();
        tally.add(session->tally());
    }
    Measured measured;
    measured.cpuSeconds = cpuSecondsSoFar() - cpuBefore;
    tally.tell(measured);
    printMeasured(measured);
    return failed ? 1 : 0;
}

}  // namespace
}  // namespace daedalus::bench

int main(int argc, char** argv) {
    daedalus::bench::Arguments arguments;
    if (!daedalus::bench::parseArguments(argc, argv, arguments)) return 2;
    return daedalus::bench::run(arguments);
}
