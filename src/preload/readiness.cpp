#include "src/preload/readiness.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>

#include "src/preload/file.h"
#include "src/preload/kernel.h"
#include "src/preload/next.h"
#include "src/preload/process.h"
#include "src/preload/real.h"

namespace daedalus::preload {
namespace {

constexpr short kIn = POLLIN | POLLRDNORM;
constexpr short kOut = POLLOUT | POLLWRNORM;
constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kSliceNs = 20'000'000;

int64_t toNs(const timespec& time) { return time.tv_sec * kSecondNs + time.tv_nsec; }
timespec fromNs(int64_t ns) { return {ns / kSecondNs, ns % kSecondNs}; }

/// Entries for the kernel: those of the program, then the second descriptors of the files that are polled for POLLPRI.
class Entries {
public:
    explicit Entries(size_t count) {
        if (count <= sizeof small_ / sizeof small_[0]) return;
        void* const memory =
            realMmap(nullptr, count * sizeof(pollfd), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        entries_ = memory == MAP_FAILED ? nullptr : static_cast<pollfd*>(memory);
        mapped_ = count * sizeof(pollfd);
    }
    ~Entries() {
        if (mapped_ != 0 && entries_ != nullptr) ::munmap(entries_, mapped_);
    }
    Entries(const Entries&) = delete;
    Entries& operator=(const Entries&) = delete;
    [[nodiscard]] pollfd* get() const { return entries_; }

private:
    pollfd small_[64];
    pollfd* entries_ = small_;
    size_t mapped_ = 0;
};

/// A request, of which only POLLPRI can be waited for.
bool isRequest(int fd) {
    uint64_t session = 0;
    return isOurFile(fd, session) && proto::fileKindOf(session) == proto::FileKind::Request;
}

/// Requests that are idle show POLLERR to who waits for POLLPRI. No descriptor shows that: the daemon is asked, before a wait.
/// Returns how many there are.
int showIdleRequests(pollfd* fds, nfds_t count) {
    int idle = 0;
    for (nfds_t i = 0; i < count; ++i) {
        uint64_t session = 0;
        uint32_t mask = 0;
        fds[i].revents = 0;
        if ((fds[i].events & POLLPRI) == 0 || !isRequest(fds[i].fd) || !isOurFile(fds[i].fd, session)) continue;
        if (!readinessOf(fds[i].fd, session, mask) || (mask & POLLERR) == 0) continue;
        fds[i].revents = POLLERR;
        ++idle;
    }
    return idle;
}

/// POLLPRI of files of ours moves to their second descriptors, behind the others. Returns how many entries there are.
/// `unseen`: there is one whose POLLPRI no descriptor shows.
nfds_t splitPriority(const pollfd* fds, nfds_t count, pollfd* out, bool& unseen) {
    nfds_t used = count;
    unseen = false;
    for (nfds_t i = 0; i < count; ++i) {
        out[i] = fds[i];
        uint64_t session = 0;
        if ((fds[i].events & POLLPRI) == 0 && isRequest(fds[i].fd)) out[i].events = 0;
        if ((fds[i].events & POLLPRI) == 0 || !isOurFile(fds[i].fd, session)) continue;
        const int priority = priorityFdOf(fds[i].fd, session);
        if (priority < 0) {
            unseen = true;
            continue;
        }
        out[i].events = static_cast<short>(fds[i].events & ~POLLPRI);
        if (proto::fileKindOf(session) == proto::FileKind::Request) out[i].events = 0;
        out[used++] = {priority, POLLPRI, 0};
    }
    return used;
}

void mergePriority(pollfd* fds, nfds_t count, const pollfd* in) {
    const pollfd* priority = in + count;
    for (nfds_t i = 0; i < count; ++i) {
        fds[i].revents = in[i].revents;
        if ((fds[i].events & POLLPRI) == 0 || (in[i].events & POLLPRI) != 0) continue;
        if ((priority->revents & POLLPRI) != 0) fds[i].revents = static_cast<short>(fds[i].revents | POLLPRI);
        ++priority;
    }
}

int nativePpoll(By by, pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
    if (by == By::Function) return DAEDALUS_NEXT(ppoll)(fds, count, timeout, mask);
    // The kernel writes to it what is left.
    timespec left = timeout != nullptr ? *timeout : timespec{};
    constexpr size_t kMaskBytes = 8;
    return static_cast<int>(withErrno(kernel(SYS_ppoll, fds, count, timeout != nullptr ? &left : nullptr, mask, kMaskBytes)));
}

/// POLLPRI of the files that no second descriptor shows. True if there is any.
bool askForPriority(pollfd* fds, nfds_t count) {
    bool any = false;
    for (nfds_t i = 0; i < count; ++i) {
        uint64_t session = 0;
        uint32_t mask = 0;
        if ((fds[i].events & POLLPRI) == 0 || (fds[i].revents & POLLPRI) != 0 || !isOurFile(fds[i].fd, session)) continue;
        if (!readinessOf(fds[i].fd, session, mask) || (mask & POLLPRI) == 0) continue;
        fds[i].revents = static_cast<short>(fds[i].revents | POLLPRI);
        any = true;
    }
    return any;
}

/// IN and OUT at once can mean an error; so can IN alone, if the daemon has just begun to show one.
bool mayBeError(int fd, short got, short wanted) {
    char bytes[16];
    const long count = kernel(SYS_recvfrom, fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT, nullptr, nullptr);
    if (count <= 0) return false;
    for (long i = 0; i < count; ++i) {
        if (bytes[i] == proto::kErrorByte) return true;
    }
    if ((wanted & kOut) != 0) return (got & kOut) != 0;
    pollfd out{fd, POLLOUT, 0};
    timespec none{0, 0};
    return kernel(SYS_ppoll, &out, 1, &none, nullptr, 0) == 1 && (out.revents & POLLOUT) != 0;
}

}  // namespace

Deadline::Deadline(const timespec* timeout) : endless_(timeout == nullptr) {
    if (endless_) return;
    left_ = *timeout;
    timespec now;
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    // Longer waits than a century are as good as endless.
    if (timeout->tv_sec > 3'000'000'000)
        endless_ = true;
    else
        end_ = fromNs(toNs(now) + toNs(*timeout));
}

timespec Deadline::fromMs(int timeoutMs) { return fromNs(int64_t{timeoutMs} * 1'000'000); }

const timespec* Deadline::left() {
    if (endless_) return nullptr;
    timespec now;
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const int64_t rest = toNs(end_) - toNs(now);
    left_ = fromNs(rest > 0 ? rest : 0);
    return &left_;
}

short labelled(int fd, uint64_t session, short got, short wanted) {
    // A device that is gone, as the kernel shows it.
    if ((got & POLLHUP) != 0) return static_cast<short>(got | POLLERR);
    if ((got & (kIn | kOut)) == 0) return got;
    const KeepErrno keep;
    if (!mayBeError(fd, got, wanted)) return got;
    uint32_t mask = 0;
    if (!readinessOf(fd, session, mask)) return got;
    return static_cast<short>((got & ~(kIn | kOut)) | (static_cast<int>(mask) & (wanted | POLLERR | POLLHUP) & ~POLLPRI));
}

short withItsBuffer(int fd, uint64_t session, short got, short wanted) {
    if ((got & POLLPRI) == 0 || (got & kIn) != 0 || (wanted & kIn) == 0) return got;
    const KeepErrno keep;
    uint32_t mask = 0;
    if (!readinessOf(fd, session, mask)) return got;
    return static_cast<short>(got | (static_cast<int>(mask) & wanted & kIn));
}

int pollFiles(By by, pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask, bool label) {
    const Entries entries(2 * count);
    if (entries.get() == nullptr) return errno = ENOMEM, -1;
    Deadline deadline(timeout);
    const timespec* left = timeout;
    if (const int idle = label ? showIdleRequests(fds, count) : 0; idle > 0) {
        // What else is ready is told by the next call: the answer is one that does not go away.
        return idle;
    }
    for (;;) {
        bool unseen = false;
        const nfds_t used = splitPriority(fds, count, entries.get(), unseen);
        // Where no descriptor can be had for it, the daemon is asked from time to time.
        const bool slice = unseen && (left == nullptr || left->tv_sec > 0 || left->tv_nsec > kSliceNs);
        const timespec sliceTime = fromNs(kSliceNs);
        int result = nativePpoll(by, entries.get(), used, slice ? &sliceTime : left, mask);
        if (result < 0) return result;
        mergePriority(fds, count, entries.get());
        if (unseen && askForPriority(fds, count)) ++result;
        if (slice && result == 0) {
            left = deadline.left();
            continue;
        }
        int ready = 0;
        for (nfds_t i = 0; i < count; ++i) {
            uint64_t session = 0;
            if ((fds[i].revents & (kIn | kOut | POLLHUP | POLLPRI)) != 0 && isOurFile(fds[i].fd, session)) {
                if (label) fds[i].revents = labelled(fds[i].fd, session, fds[i].revents, fds[i].events);
                fds[i].revents = withItsBuffer(fds[i].fd, session, fds[i].revents, fds[i].events);
            }
            if (fds[i].revents != 0) ++ready;
        }
        // What looked ready was not any more, and the fd shows that now: wait on.
        if (ready > 0 || result == 0) return ready;
        left = deadline.left();
    }
}

}  // namespace daedalus::preload
