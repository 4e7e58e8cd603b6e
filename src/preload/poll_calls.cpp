// Interposed poll() and select() families. A process without a file of ours goes straight on; so does every wait in which no
// file of ours takes part.
#include <poll.h>
#include <sys/select.h>
#include <time.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>

#include "src/preload/file.h"
#include "src/preload/next.h"
#include "src/preload/readiness.h"
#include "src/preload/scratch.h"
#include "src/preload/waits.h"

using namespace daedalus::preload;

namespace {

constexpr short kReadBits = POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR;
constexpr short kWriteBits = POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR;

/// select() by way of poll(), since POLLPRI needs a second descriptor. Native IN and OUT are just what select() shows for an
/// error, so nothing is labelled.
int selectByPoll(int count, fd_set* reads, fd_set* writes, fd_set* exceptions, const timespec* timeout, const sigset_t* mask,
                 By by) {
    Scratch memory;
    auto* const entries = memory.get<pollfd>(count > 0 ? static_cast<size_t>(count) : 0);
    if (entries == nullptr) return errno = ENOMEM, -1;
    nfds_t used = 0;
    for (int fd = 0; fd < count; ++fd) {
        short events = 0;
        if (reads != nullptr && FD_ISSET(fd, reads)) events |= POLLIN | POLLRDNORM | POLLRDBAND;
        if (writes != nullptr && FD_ISSET(fd, writes)) events |= POLLOUT | POLLWRNORM | POLLWRBAND;
        if (FD_ISSET(fd, exceptions)) events |= POLLPRI;
        if (events != 0) entries[used++] = {fd, events, 0};
    }
    Deadline deadline(timeout);
    const timespec* left = timeout;
    for (;;) {
        const int result = pollFiles(by, entries, used, left, mask, false);
        if (result < 0) return result;
        int bits = 0;
        for (nfds_t i = 0; i < used; ++i) {
            if ((entries[i].revents & POLLNVAL) != 0) return errno = EBADF, -1;
            const bool read = (entries[i].events & POLLIN) != 0 && (entries[i].revents & kReadBits) != 0;
            const bool write = (entries[i].events & POLLOUT) != 0 && (entries[i].revents & kWriteBits) != 0;
            const bool exception = (entries[i].events & entries[i].revents & POLLPRI) != 0;
            bits += static_cast<int>(read) + static_cast<int>(write) + static_cast<int>(exception);
            entries[i].revents = static_cast<short>((read ? POLLIN : 0) | (write ? POLLOUT : 0) | (exception ? POLLPRI : 0));
        }
        left = deadline.left();
        // A hang-up that nobody asked for ends poll(), but not select().
        if (bits == 0 && result > 0) {
            if (left == nullptr || left->tv_sec != 0 || left->tv_nsec != 0) {
                const timespec pause{0, 1'000'000};
                ::nanosleep(&pause, nullptr);
                continue;
            }
        }
        for (fd_set* set : {reads, writes, exceptions}) {
            for (int fd = 0; set != nullptr && fd < count; ++fd) FD_CLR(fd, set);
        }
        for (nfds_t i = 0; i < used; ++i) {
            if ((entries[i].revents & POLLIN) != 0) FD_SET(entries[i].fd, reads);
            if ((entries[i].revents & POLLOUT) != 0) FD_SET(entries[i].fd, writes);
            if ((entries[i].revents & POLLPRI) != 0) FD_SET(entries[i].fd, exceptions);
        }
        return bits;
    }
}

}  // namespace

namespace daedalus::preload {

bool mayConcernUs(const pollfd* fds, nfds_t count) {
    if (!haveFiles() || fds == nullptr) return false;
    for (nfds_t i = 0; i < count; ++i) {
        if (mayBeFile(fds[i].fd)) return true;
    }
    return false;
}

bool mayConcernUs(int count, const fd_set* exceptions) {
    if (!haveFiles() || exceptions == nullptr || count > FD_SETSIZE) return false;
    for (int fd = 0; fd < count; ++fd) {
        if (FD_ISSET(fd, exceptions) && mayBeFile(fd)) return true;
    }
    return false;
}

int callPpoll(By by, pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
    return mayConcernUs(fds, count) ? pollFiles(by, fds, count, timeout, mask, true)
                                    : DAEDALUS_NEXT(ppoll)(fds, count, timeout, mask);
}

int callPoll(By by, pollfd* fds, nfds_t count, int timeoutMs) {
    if (!mayConcernUs(fds, count)) return DAEDALUS_NEXT(poll)(fds, count, timeoutMs);
    const timespec timeout = Deadline::fromMs(timeoutMs);
    return pollFiles(by, fds, count, timeoutMs < 0 ? nullptr : &timeout, nullptr, true);
}

int callSelect(By by, int count, fd_set* reads, fd_set* writes, fd_set* exceptions, timeval* timeout) {
    if (!mayConcernUs(count, exceptions)) return DAEDALUS_NEXT(select)(count, reads, writes, exceptions, timeout);
    if (timeout == nullptr) return selectByPoll(count, reads, writes, exceptions, nullptr, nullptr, by);
    if (timeout->tv_sec < 0 || timeout->tv_usec < 0) return errno = EINVAL, -1;
    // As Linux does it, which takes more than a second of microseconds.
    constexpr long kSecondUs = 1'000'000;
    const timespec wait{timeout->tv_sec + timeout->tv_usec / kSecondUs, timeout->tv_usec % kSecondUs * 1000};
    Deadline deadline(&wait);
    const int result = selectByPoll(count, reads, writes, exceptions, &wait, nullptr, by);
    // Linux tells how much of the time was left.
    if (const timespec* left = deadline.left()) *timeout = {left->tv_sec, left->tv_nsec / 1000};
    return result;
}

int callPselect(By by, int count, fd_set* reads, fd_set* writes, fd_set* exceptions, const timespec* timeout,
                const sigset_t* mask) {
    if (!mayConcernUs(count, exceptions)) return DAEDALUS_NEXT(pselect)(count, reads, writes, exceptions, timeout, mask);
    return selectByPoll(count, reads, writes, exceptions, timeout, mask, by);
}

}  // namespace daedalus::preload

DAEDALUS_EXPORT int poll(pollfd* fds, nfds_t count, int timeoutMs) { return callPoll(By::Function, fds, count, timeoutMs); }

DAEDALUS_EXPORT int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
    return callPpoll(By::Function, fds, count, timeout, mask);
}

DAEDALUS_EXPORT int __poll_chk(pollfd* fds, nfds_t count, int timeoutMs, size_t room);
DAEDALUS_EXPORT int __poll_chk(pollfd* fds, nfds_t count, int timeoutMs, size_t) {
    return callPoll(By::Function, fds, count, timeoutMs);
}

DAEDALUS_EXPORT int __ppoll_chk(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask, size_t room);
DAEDALUS_EXPORT int __ppoll_chk(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask, size_t) {
    return callPpoll(By::Function, fds, count, timeout, mask);
}

DAEDALUS_EXPORT int select(int count, fd_set* reads, fd_set* writes, fd_set* exceptions, timeval* timeout) {
    return callSelect(By::Function, count, reads, writes, exceptions, timeout);
}

DAEDALUS_EXPORT int pselect(int count, fd_set* reads, fd_set* writes, fd_set* exceptions, const timespec* timeout,
                            const sigset_t* mask) {
    return callPselect(By::Function, count, reads, writes, exceptions, timeout, mask);
}
