// Interposed epoll: a file of ours that is wanted for EPOLLPRI puts its second descriptor into the set as well, with the same
// user data; and what a wait returns is labelled as for poll().
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include <cerrno>

#include "src/preload/file.h"
#include "src/preload/next.h"
#include "src/preload/process.h"
#include "src/preload/readiness.h"
#include "src/preload/real.h"
#include "src/preload/sessions.h"

namespace daedalus::preload {
namespace {

Lock epollLock;
EpollEntry* entries = nullptr;  // guarded by epollLock; set < 0 is a free one
size_t capacity = 0;            // guarded by epollLock
std::atomic<size_t> entryCount{0};

EpollEntry* findEntry(int set, int fd) {
    for (size_t i = 0; i < capacity; ++i) {
        if (entries[i].set == set && entries[i].fd == fd) return &entries[i];
    }
    return nullptr;
}

EpollEntry* freeEntry() {
    if (EpollEntry* const unused = findEntry(-1, -1)) return unused;
    const size_t wanted = capacity == 0 ? 64 : 2 * capacity;
    void* const memory =
        realMmap(nullptr, wanted * sizeof(EpollEntry), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    auto* const grown = static_cast<EpollEntry*>(memory);
    for (size_t i = 0; i < wanted; ++i) grown[i] = i < capacity ? entries[i] : EpollEntry{-1, -1, -1, 0, {}};
    if (entries != nullptr) ::munmap(entries, capacity * sizeof(EpollEntry));
    EpollEntry* const result = &grown[capacity];
    entries = grown;
    capacity = wanted;
    return result;
}

void dropPriority(EpollEntry& entry) {
    if (entry.priorityFd < 0) return;
    const KeepErrno keep;
    DAEDALUS_NEXT(epoll_ctl)(entry.set, EPOLL_CTL_DEL, entry.priorityFd, nullptr);
    realClose(entry.priorityFd);
    entry.priorityFd = -1;
}

void dropEntry(EpollEntry& entry) {
    dropPriority(entry);
    entry = {-1, -1, -1, 0, {}};
    entryCount.fetch_sub(1);
}

/// Brings the second descriptor in line with what the entry wants. Its own copy: the same file may be in a set twice.
void updatePriority(EpollEntry& entry, int shared) {
    if ((entry.wanted.events & EPOLLPRI) == 0) return dropPriority(entry);
    epoll_event event = entry.wanted;
    event.events = EPOLLPRI | (entry.wanted.events & (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP));
    const KeepErrno keep;
    if (entry.priorityFd >= 0) {
        DAEDALUS_NEXT(epoll_ctl)(entry.set, EPOLL_CTL_MOD, entry.priorityFd, &event);
        return;
    }
    if (shared < 0) return;
    entry.priorityFd = ::fcntl(shared, F_DUPFD_CLOEXEC, 200);
    if (entry.priorityFd >= 0) DAEDALUS_NEXT(epoll_ctl)(entry.set, EPOLL_CTL_ADD, entry.priorityFd, &event);
}

}  // namespace

bool haveEpoll() { return entryCount.load(std::memory_order_relaxed) != 0; }

int controlEpoll(int set, int operation, int fd, uint64_t session, epoll_event* event) {
    epoll_event native{};
    if (event != nullptr) {
        native = *event;
        native.events &= ~static_cast<uint32_t>(EPOLLPRI);
    }
    const bool wantsPri = event != nullptr && operation != EPOLL_CTL_DEL && (event->events & EPOLLPRI) != 0;
    const int shared = wantsPri ? priorityFdOf(fd, session) : -1;
    const int result = DAEDALUS_NEXT(epoll_ctl)(set, operation, fd, event != nullptr ? &native : nullptr);
    if (result != 0) return result;
    const Locked locked(epollLock);
    EpollEntry* entry = findEntry(set, fd);
    if (operation == EPOLL_CTL_DEL) {
        if (entry != nullptr) dropEntry(*entry);
        return 0;
    }
    if (entry != nullptr && (operation == EPOLL_CTL_ADD || entry->session != session)) {
        // What was here had been closed.
        dropEntry(*entry);
        entry = nullptr;
    }
    if (entry == nullptr) {
        entry = freeEntry();
        if (entry == nullptr) return 0;
        *entry = {set, fd, -1, session, {}};
        entryCount.fetch_add(1);
    }
    entry->wanted = *event;
    updatePriority(*entry, shared);
    return 0;
}

bool findEpoll(int set, uint64_t data, EpollEntry& entry) {
    const Locked locked(epollLock);
    for (size_t i = 0; i < capacity; ++i) {
        if (entries[i].set != set || entries[i].wanted.data.u64 != data) continue;
        entry = entries[i];
        return true;
    }
    return false;
}

void sweepEpoll(bool (*gone)(uint64_t session, const void* context), const void* context) {
    const Locked locked(epollLock);
    for (size_t i = 0; i < capacity; ++i) {
        if (entries[i].set >= 0 && gone(entries[i].session, context)) dropEntry(entries[i]);
    }
}

size_t listEpollSessions(uint64_t* out, size_t max) {
    const Locked locked(epollLock);
    size_t count = 0;
    for (size_t i = 0; i < capacity && count < max; ++i) {
        if (entries[i].set >= 0) out[count++] = entries[i].session;
    }
    return count;
}

}  // namespace daedalus::preload

using namespace daedalus::preload;

namespace {

/// EPOLLIN and its like have the values of POLLIN and its like.
constexpr uint32_t kPollBits = 0x7FFF;

bool priorityIsSet(const EpollEntry& entry) {
    if (entry.priorityFd < 0) return false;
    pollfd priority{entry.priorityFd, POLLPRI, 0};
    const KeepErrno keep;
    return DAEDALUS_NEXT(poll)(&priority, 1, 0) > 0 && (priority.revents & POLLPRI) != 0;
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

DAEDALUS_EXPORT int epoll_ctl(int set, int operation, int fd, epoll_event* event) noexcept {
    uint64_t session = 0;
    if (!isOurFile(fd, session) && !(socketPath() != nullptr && findSession(fd, session))) {
        return DAEDALUS_NEXT(epoll_ctl)(set, operation, fd, event);
    }
    return controlEpoll(set, operation, fd, session, event);
}

DAEDALUS_EXPORT int epoll_wait(int set, epoll_event* events, int max, int timeoutMs) {
    if (!haveEpoll()) return DAEDALUS_NEXT(epoll_wait)(set, events, max, timeoutMs);
    const timespec timeout = Deadline::fromMs(timeoutMs);
    return waitCorrected(set, events, timeoutMs < 0 ? nullptr : &timeout,
                         [&](const timespec* left) { return DAEDALUS_NEXT(epoll_wait)(set, events, max, toMs(left)); });
}

DAEDALUS_EXPORT int epoll_pwait(int set, epoll_event* events, int max, int timeoutMs, const sigset_t* mask) {
    if (!haveEpoll()) return DAEDALUS_NEXT(epoll_pwait)(set, events, max, timeoutMs, mask);
    const timespec timeout = Deadline::fromMs(timeoutMs);
    return waitCorrected(set, events, timeoutMs < 0 ? nullptr : &timeout,
                         [&](const timespec* left) { return DAEDALUS_NEXT(epoll_pwait)(set, events, max, toMs(left), mask); });
}

DAEDALUS_EXPORT int epoll_pwait2(int set, epoll_event* events, int max, const timespec* timeout, const sigset_t* mask);
DAEDALUS_EXPORT int epoll_pwait2(int set, epoll_event* events, int max, const timespec* timeout, const sigset_t* mask) {
    if (!haveEpoll()) return DAEDALUS_NEXT(epoll_pwait2)(set, events, max, timeout, mask);
    return waitCorrected(set, events, timeout,
                         [&](const timespec* left) { return DAEDALUS_NEXT(epoll_pwait2)(set, events, max, left, mask); });
}
