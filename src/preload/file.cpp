#include "src/preload/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "src/preload/process.h"
#include "src/preload/real.h"
#include "src/preload/sessions.h"

namespace daedalus::preload {
namespace {

int hexDigit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

bool parseHex(const char* text, uint64_t& value) {
    value = 0;
    for (int i = 0; i < 16; ++i) {
        const int digit = hexDigit(text[i]);
        if (digit < 0) return false;
        value = value << 4 | static_cast<uint64_t>(digit);
    }
    return true;
}

void closeFds(Exchange& exchange) {
    for (size_t i = 0; i < exchange.fdCount; ++i) realClose(exchange.fds[i]);
    exchange.fdCount = 0;
}

}  // namespace

bool findSession(int fd, uint64_t& session) {
    if (socketPath() == nullptr) return false;
    const KeepErrno keep;
    sockaddr_un name;
    socklen_t length = sizeof name;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) != 0) return false;
    if (name.sun_family != AF_UNIX || length != offsetof(sockaddr_un, sun_path) + proto::kFileNameLength) return false;
    const char* const path = name.sun_path;
    if (path[0] != '\0' || std::memcmp(path + 1, proto::kFileNamePrefix, proto::kFileNamePrefixLength) != 0) return false;
    if (!parseHex(path + proto::kFileNameLength - 16, session)) return false;
    usesNode.store(true, std::memory_order_relaxed);
    return true;
}

bool isOurFile(int fd, uint64_t& session) {
    return usesNode.load(std::memory_order_relaxed) && fd >= 0 && findSession(fd, session);
}

Outcome exchangeFor(int fd, uint64_t session, Exchange& exchange) {
    exchange.request.session = session;
    const Outcome outcome = ::daedalus::preload::exchange(exchange);
    if (outcome != Outcome::Answered && outcome != Outcome::CannotWrite) return outcome;
    const uint32_t flags = exchange.reply.flags;
    if ((flags & (proto::kReplyEat | proto::kReplyFill)) != 0) {
        // The program may have closed the fd meanwhile, and have something else under its number.
        const KeepErrno keep;
        uint64_t still = 0;
        char filler[proto::kFillerBytes];
        if (findSession(fd, still) && still == session) {
            if ((flags & proto::kReplyEat) != 0) (void)::recv(fd, filler, 1, MSG_DONTWAIT);
            if ((flags & proto::kReplyFill) != 0) {
                std::memset(filler, 0, sizeof filler);
                (void)::send(fd, filler, sizeof filler, MSG_DONTWAIT | MSG_NOSIGNAL);
            }
        }
    }
    if ((flags & proto::kReplyReleased) != 0) dropReleasedBounces(session);
    return outcome;
}

int openNode(int flags) {
    if ((flags & O_DIRECTORY) != 0) return errno = ENOTDIR, -1;
    if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) return errno = EEXIST, -1;
    const int before = errno;
    sweepSessions();
    Exchange open;
    open.request.kind = proto::Kind::Open;
    int error = 0;
    if (exchange(open) != Outcome::Answered) {
        error = ENODEV;
    } else if (open.reply.error != 0) {
        error = open.reply.error;
    } else if (open.fdCount != 1) {
        error = EMFILE;
    }
    if (error == 0) {
        usesNode.store(true, std::memory_order_relaxed);
        const int fd = open.fds[0];
        if ((flags & O_CLOEXEC) == 0) ::fcntl(fd, F_SETFD, 0);
        if ((flags & O_NONBLOCK) != 0) ::fcntl(fd, F_SETFL, O_NONBLOCK);
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

}  // namespace daedalus::preload
