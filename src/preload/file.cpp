#include "src/preload/file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

#include "src/preload/kernel.h"
#include "src/preload/process.h"
#include "src/preload/real.h"
#include "src/preload/sessions.h"
#include "src/preload/sweep.h"

namespace daedalus::preload {
namespace {

void closeFds(Exchange& exchange) {
    for (size_t i = 0; i < exchange.fdCount; ++i) kernel(SYS_close, exchange.fds[i]);
    exchange.fdCount = 0;
}

/// Between two tries of a call that must not wait in the daemon: what it waits for may not show on its file.
constexpr long kHurriedPauseNs = 10'000'000;

}  // namespace

Outcome exchangeFor(int fd, uint64_t session, Exchange& exchange) {
    exchange.request.session = session;
    exchange.file = fd;
    Outcome outcome = ::daedalus::preload::exchange(exchange);
    // What could not wait on the way waits here.
    const auto shouldWait = [&exchange] {
        return exchange.hurried && (exchange.reply.error == EAGAIN || (exchange.reply.flags & proto::kReplyHasty) != 0);
    };
    while (outcome == Outcome::Answered && shouldWait()) {
        pollfd entry{fd, POLLIN | POLLOUT, 0};
        const timespec pause{0, kHurriedPauseNs};
        timespec left = pause;
        if (kernel(SYS_ppoll, &entry, 1, &left, nullptr, 0) == -EINTR && exchange.interruptible) {
            exchange.reply.error = EINTR;
            break;
        }
        outcome = ::daedalus::preload::exchange(exchange);
    }
    if (outcome != Outcome::Answered && outcome != Outcome::CannotWrite) return outcome;
    const uint32_t flags = exchange.reply.flags;
    if ((flags & (proto::kReplyEat | proto::kReplyFill)) != 0) {
        // The program may have closed the fd meanwhile, and have something else under its number.
        uint64_t still = 0;
        char filler[proto::kFillerBytes];
        if (isOurFileForSure(fd, still) && still == session) {
            if ((flags & proto::kReplyEat) != 0) kernel(SYS_recvfrom, fd, filler, 1, MSG_DONTWAIT, nullptr, nullptr);
            if ((flags & proto::kReplyFill) != 0) {
                std::memset(filler, 0, sizeof filler);
                kernel(SYS_sendto, fd, filler, sizeof filler, MSG_DONTWAIT | MSG_NOSIGNAL, nullptr, 0);
            }
        }
    }
    if ((flags & proto::kReplyReleased) != 0) dropReleasedBounces(session);
    return outcome;
}

int openNode(const proto::NodeEntry& node, int flags) {
    if ((flags & O_DIRECTORY) != 0) return errno = ENOTDIR, -1;
    if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) return errno = EEXIST, -1;
    const int before = errno;
    forgetClosedSessions();
    Exchange open;
    open.request.kind = proto::Kind::Open;
    open.request.value = proto::whereOf(node.kind, node.minor);
    int error = 0;
    if (exchange(open) != Outcome::Answered) {
        // As for a device file without its driver; but who may not open it, or has no descriptor left, is told so.
        const int why = whyGone();
        error = why == EACCES || why == EPERM || why == EMFILE || why == ENFILE ? why : ENODEV;
    } else if (open.reply.error != 0) {
        error = open.reply.error;
    } else if (open.fdCount != 1) {
        error = EMFILE;
    }
    if (error == 0) {
        const int fd = open.fds[0];
        noteFile(fd);
        if ((flags & O_CLOEXEC) == 0) kernel(SYS_fcntl, fd, F_SETFD, 0);
        if ((flags & O_NONBLOCK) != 0) kernel(SYS_fcntl, fd, F_SETFL, O_NONBLOCK);
        errno = before;
        return fd;
    }
    closeFds(open);
    errno = error;
    return -1;
}

void* mmapFile(int fd, uint64_t session, void* address, size_t length, int protection, int flags, int64_t offset) {
    // As vb2: a private mapping, or one that can neither be read nor written, is of no use.
    if ((flags & MAP_SHARED) == 0 || (protection & (PROT_READ | PROT_WRITE)) == 0) return errno = EINVAL, MAP_FAILED;
    const int before = errno;
    Exchange map;
    map.request.kind = proto::Kind::Map;
    map.request.value = static_cast<uint64_t>(offset);
    map.request.length = length;
    int error = ENODEV;
    if (exchangeFor(fd, session, map) == Outcome::Answered) {
        error = map.reply.error;
        if (error == 0 && map.fdCount != 1) error = EMFILE;
    }
    void* result = MAP_FAILED;
    if (error == 0) {
        result = realMmap(address, length, protection, flags, map.fds[0], 0);
        if (result == MAP_FAILED) error = errno;
    }
    closeFds(map);
    errno = error != 0 ? error : before;
    return result;
}

bool readinessOf(int fd, uint64_t session, uint32_t& mask) {
    const KeepErrno keep;
    Exchange readiness;
    readiness.request.kind = proto::Kind::Readiness;
    if (exchangeFor(fd, session, readiness) != Outcome::Answered || readiness.reply.error != 0) return false;
    mask = static_cast<uint32_t>(readiness.reply.value);
    return true;
}

int priorityFdOf(int fd, uint64_t session) {
    if (const int known = knownPriorityFd(session); known >= 0) return known;
    // What is kept would be the parent's.
    if (sharesMemory()) return -1;
    const KeepErrno keep;
    Exchange ask;
    ask.request.kind = proto::Kind::Priority;
    if (exchangeFor(fd, session, ask) != Outcome::Answered || ask.fdCount != 1) {
        closeFds(ask);
        return -1;
    }
    return keepPriorityFd(session, ask.fds[0]);
}

}  // namespace daedalus::preload
