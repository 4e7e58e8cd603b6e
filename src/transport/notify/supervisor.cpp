#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>

#include <csignal>
#include <system_error>
#include <thread>

#include "calls.h"
#include "daedalus/base/log.h"
#include "daedalus/transport/notify.h"
#include "filter.h"
#include "notification.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

namespace daedalus::transport {
namespace notify {
namespace {

/// The next call that waits; false if none will come any more.
bool receive(int listener, seccomp_notif& notif) {
    while (true) {
        notif = {};
        if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notif) == 0) return true;
        // ENOENT: the thread was killed before its call was taken, or (Linux 6.11) nobody is left.
        if (errno != EINTR && errno != ENOENT) return false;
        pollfd entry{listener, POLLIN, 0};
        if (errno == ENOENT && ::poll(&entry, 1, 0) > 0 && (entry.revents & POLLHUP) != 0) return false;
    }
}

/// The threads of a supervisor: as many as calls wait at a time, and one that waits for the next.
class Crew : public std::enable_shared_from_this<Crew> {
public:
    Crew(UniqueFd listener, NotifyOptions options)
        : listener_(std::move(listener)),
          calls_(options.calls),
          shared_{.socket = std::move(options.socket),
                  .ended = std::move(options.ended),
                  .toldOfTracer = {},
                  .threads = {},
                  .sessions = {},
                  .mutex = {},
                  .greeting = {}} {}

    void addThread() {
        const size_t slot = threads_.fetch_add(1);
        if (slot >= kMostNotified) {
            threads_.fetch_sub(1);
            return;
        }
        idle_.fetch_add(1);
        try {
            std::thread([self = shared_from_this(), slot] { self->serve(self->calls_->ids[slot]); }).detach();
        } catch (const std::system_error& error) {
            // Calls wait for one of the threads that there are.
            log::warn("cannot start one more thread for calls of the program: {}", error.what());
            idle_.fetch_sub(1);
            threads_.fetch_sub(1);
        }
    }

private:
    void serve(std::atomic<uint64_t>& taken) {
        Calls calls(shared_);
        for (seccomp_notif notif; receive(listener_.get(), notif);) {
            taken.store(notif.id);
            calls_->latest.store(notif.id);
            calls_->count.fetch_add(1);
            if (idle_.fetch_sub(1) == 1) addThread();
            {
                Notification call(listener_.get(), notif);
                calls.serve(call);
            }
            taken.store(0);
            idle_.fetch_add(1);
        }
    }

    const UniqueFd listener_;
    NotifiedCalls* const calls_;
    Shared shared_;
    std::atomic<size_t> threads_ = 0;
    std::atomic<int> idle_ = 0;
};

}  // namespace
}  // namespace notify

Result<UniqueFd> trapCalls() { return notify::installFilter(); }

void superviseCalls(UniqueFd listener, NotifyOptions options) {
    // Hands the processor over at once, since one of the two always waits (Linux 6.6).
    ::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_SET_FLAGS, 1UL);
    // The threads take no signals: those are the process's.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    std::make_shared<notify::Crew>(std::move(listener), std::move(options))->addThread();
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

bool haveTrappedProcesses(const UniqueFd& listener, int timeoutMs) {
    pollfd entry{listener.get(), 0, 0};
    return ::poll(&entry, 1, timeoutMs) <= 0 || (entry.revents & POLLHUP) == 0;
}

void guardCalls(const UniqueFd& listener, NotifiedCalls& calls) {
    const auto end = [&](uint64_t id) {
        seccomp_notif_resp gone{};
        gone.id = id;
        gone.error = -ENODEV;
        ::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_SEND, &gone);
    };
    for (const auto& id : calls.ids) end(id.load());
    // A thread may have died before it wrote down what it took. Numbers of calls that nobody took are refused.
    for (uint64_t distance = 0; distance < kMostNotified; ++distance) end(calls.latest.load() + distance);
    for (seccomp_notif notif; haveTrappedProcesses(listener, 0);) {
        // Never in RECV for ever: kernels before 6.11 do not tell it that nobody is left.
        pollfd entry{listener.get(), POLLIN, 0};
        if (::poll(&entry, 1, -1) < 0 || (entry.revents & POLLIN) == 0) continue;
        if (!notify::receive(listener.get(), notif)) return;
        notify::Notification(listener.get(), notif).letRun();
    }
}

}  // namespace daedalus::transport
