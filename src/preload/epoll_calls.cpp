// Interposed epoll: EPOLLPRI by the second descriptors (epoll_table.h); and what a wait returns is labelled as for poll().
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include <cerrno>

#include "src/preload/epoll_table.h"
#include "src/preload/file.h"
#include "src/preload/kernel.h"
#include "src/preload/next.h"
#include "src/preload/readiness.h"
#include "src/preload/waits.h"

using namespace daedalus::preload;

namespace {

/// EPOLLIN and its like have the values of POLLIN and its like.
constexpr uint32_t kPollBits = 0x7FFF;

bool priorityIsSet(const EpollEntry& entry) {
    if ((entry.wanted.events & EPOLLPRI) == 0) return false;
    const int known = entry.priority.get();
    pollfd priority{known >= 0 ? known : priorityFdOf(entry.fd, entry.session), POLLPRI, 0};
    timespec none{0, 0};
    if (priority.fd < 0) return false;
    return kernel(SYS_ppoll, &priority, 1, &none, nullptr, 0) > 0 && (priority.revents & POLLPRI) != 0;
}

/// Labels what a wait returned, and merges the two events that one file may give. Returns how many are left.
int correctEvents(int set, epoll_event* events, int count) {
    int kept = 0;
    for (int i = 0; i < count; ++i) {
        EpollEntry entry;
        epoll_event event = events[i];
        uint64_t session = 0;
        if (findEpoll(set, event.data.u64, entry)) {
            // The entry may be of a file that was closed since.
            if (isOurFile(entry.fd, session) && session == entry.session) {
                const auto got = static_cast<short>(event.events & kPollBits);
                const short label = labelled(entry.fd, session, got, static_cast<short>(entry.wanted.events & kPollBits));
                event.events = (event.events & ~kPollBits) | static_cast<uint16_t>(label);
                // The second descriptor may have found no room in this wait: an event that is there is told with the buffer
                // that it belongs to.
                if (priorityIsSet(entry)) event.events |= EPOLLPRI;
                const auto all = static_cast<short>(event.events & kPollBits);
                event.events |= static_cast<uint16_t>(
                    withItsBuffer(entry.fd, session, all, static_cast<short>(entry.wanted.events & kPollBits)));
                if (event.events == 0) continue;
            }
            int same = 0;
            while (same < kept && events[same].data.u64 != event.data.u64) ++same;
            if (same < kept) {
                events[same].events |= event.events;
                continue;
            }
        }
        events[kept++] = event;
    }
    return kept;
}

template <class Wait>
int waitCorrected(int set, epoll_event* events, const timespec* timeout, Wait wait) {
    Deadline deadline(timeout);
    const timespec* left = timeout;
    for (;;) {
        const int count = wait(left);
        if (count <= 0) return count;
        const int kept = correctEvents(set, events, count);
        if (kept > 0) return kept;
        left = deadline.left();
    }
}

int toMs(const timespec* time) {
    // Rounded up: a wait must not end early.
    return time == nullptr ? -1 : static_cast<int>(time->tv_sec * 1000 + (time->tv_nsec + 999'999) / 1'000'000);
}

}  // namespace

namespace daedalus::preload {

int callEpollCtl(By by, int set, int operation, int fd, epoll_event* event) {
    uint64_t session = 0;
    if (!isOurFile(fd, session)) {
        return by == By::Function ? DAEDALUS_NEXT(epoll_ctl)(set, operation, fd, event)
                                  : static_cast<int>(withErrno(kernel(SYS_epoll_ctl, set, operation, fd, event)));
    }
    const bool wantsPriority = event != nullptr && operation != EPOLL_CTL_DEL && (event->events & EPOLLPRI) != 0;
    return controlEpoll(by, set, operation, fd, session, event, wantsPriority ? priorityFdOf(fd, session) : -1);
}

int callEpollPwait(By by, int set, epoll_event* events, int max, int timeoutMs, const sigset_t* mask) {
    constexpr size_t kMaskBytes = 8;
    const auto wait = [&](int waitMs) {
        return by == By::Function
                   ? DAEDALUS_NEXT(epoll_pwait)(set, events, max, waitMs, mask)
                   : static_cast<int>(withErrno(kernel(SYS_epoll_pwait, set, events, max, waitMs, mask, kMaskBytes)));
    };
    if (!haveEpoll()) return wait(timeoutMs);
    const timespec timeout = Deadline::fromMs(timeoutMs);
    return waitCorrected(set, events, timeoutMs < 0 ? nullptr : &timeout,
                         [&](const timespec* left) { return wait(toMs(left)); });
}

}  // namespace daedalus::preload

DAEDALUS_EXPORT int epoll_ctl(int set, int operation, int fd, epoll_event* event) noexcept {
    return callEpollCtl(By::Function, set, operation, fd, event);
}

DAEDALUS_EXPORT int epoll_wait(int set, epoll_event* events, int max, int timeoutMs) {
    if (!haveEpoll()) return DAEDALUS_NEXT(epoll_wait)(set, events, max, timeoutMs);
    const timespec timeout = Deadline::fromMs(timeoutMs);
    return waitCorrected(set, events, timeoutMs < 0 ? nullptr : &timeout,
                         [&](const timespec* left) { return DAEDALUS_NEXT(epoll_wait)(set, events, max, toMs(left)); });
}

DAEDALUS_EXPORT int epoll_pwait(int set, epoll_event* events, int max, int timeoutMs, const sigset_t* mask) {
    return callEpollPwait(By::Function, set, events, max, timeoutMs, mask);
}

DAEDALUS_EXPORT int epoll_pwait2(int set, epoll_event* events, int max, const timespec* timeout, const sigset_t* mask);
DAEDALUS_EXPORT int epoll_pwait2(int set, epoll_event* events, int max, const timespec* timeout, const sigset_t* mask) {
    if (!haveEpoll()) return DAEDALUS_NEXT(epoll_pwait2)(set, events, max, timeout, mask);
    return waitCorrected(set, events, timeout,
                         [&](const timespec* left) { return DAEDALUS_NEXT(epoll_pwait2)(set, events, max, left, mask); });
}
