// Interposed calls by which descriptors come, are copied and go without being opened or closed one by one. What they do is the
// C library's; only what is known of the descriptors is kept up to date, without a system call.
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>

#include "src/preload/copies.h"
#include "src/preload/known_files.h"
#include "src/preload/next.h"

namespace daedalus::preload {
namespace {

bool copies(int command) { return command == F_DUPFD || command == F_DUPFD_CLOEXEC; }

int copied(int from, int to) {
    if (to >= 0) noteCopy(from, to);
    return to;
}

/// True, with errno, for a file of ours.
bool isNoSocket(int fd) {
    uint64_t session = 0;
    if (!isOurFile(fd, session)) return false;
    errno = ENOTSOCK;
    return true;
}

void received(const mmsghdr* messages, long count) {
    for (long i = 0; i < count; ++i) noteReceived(messages[i].msg_hdr);
}

}  // namespace

void noteClosing(unsigned first, unsigned last, int flags) {
    if ((flags & CLOSE_RANGE_CLOEXEC) == 0) noteClosed(first, last);
}

void noteSyscall(long number, const long* arguments, long result) {
    if (result < 0) return;
    const auto from = static_cast<int>(arguments[0]);
    const auto to = static_cast<int>(result);
    switch (number) {
        case SYS_dup:
#ifdef SYS_dup2
        case SYS_dup2:
#endif
        case SYS_dup3:
            return noteCopy(from, to);
        case SYS_fcntl:
            return copies(static_cast<int>(arguments[1])) ? noteCopy(from, to) : void();
        case SYS_pidfd_getfd:
            return noteReceived(to);
        case SYS_recvmsg:
            return noteReceived(*reinterpret_cast<const msghdr*>(arguments[1]));
        case SYS_recvmmsg:
            return received(reinterpret_cast<const mmsghdr*>(arguments[1]), result);
        default:
            return;
    }
}

}  // namespace daedalus::preload

using namespace daedalus::preload;

DAEDALUS_EXPORT int dup(int fd) noexcept { return copied(fd, DAEDALUS_NEXT(dup)(fd)); }
DAEDALUS_EXPORT int dup2(int from, int to) noexcept { return copied(from, DAEDALUS_NEXT(dup2)(from, to)); }
DAEDALUS_EXPORT int dup3(int from, int to, int flags) noexcept { return copied(from, DAEDALUS_NEXT(dup3)(from, to, flags)); }

DAEDALUS_EXPORT int fcntl(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void* const argument = va_arg(arguments, void*);
    va_end(arguments);
    const int result = DAEDALUS_NEXT(fcntl)(fd, command, argument);
    return copies(command) ? copied(fd, result) : result;
}

DAEDALUS_EXPORT int fcntl64(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void* const argument = va_arg(arguments, void*);
    va_end(arguments);
    const int result = DAEDALUS_NEXT(fcntl64)(fd, command, argument);
    return copies(command) ? copied(fd, result) : result;
}

DAEDALUS_EXPORT int close_range(unsigned first, unsigned last, int flags) noexcept {
    noteClosing(first, last, flags);
    return DAEDALUS_NEXT(close_range)(first, last, flags);
}

DAEDALUS_EXPORT void closefrom(int lowest) noexcept {
    noteClosed(lowest > 0 ? static_cast<unsigned>(lowest) : 0, ~0U);
    DAEDALUS_NEXT(closefrom)(lowest);
}

// A video node is no socket.

DAEDALUS_EXPORT ssize_t recv(int fd, void* buffer, size_t size, int flags) {
    return isNoSocket(fd) ? -1 : DAEDALUS_NEXT(recv)(fd, buffer, size, flags);
}

DAEDALUS_EXPORT ssize_t __recv_chk(int fd, void* buffer, size_t size, size_t room, int flags);
DAEDALUS_EXPORT ssize_t __recv_chk(int fd, void* buffer, size_t size, size_t room, int flags) {
    return isNoSocket(fd) ? -1 : DAEDALUS_NEXT(__recv_chk)(fd, buffer, size, room, flags);
}

DAEDALUS_EXPORT ssize_t send(int fd, const void* buffer, size_t size, int flags) {
    return isNoSocket(fd) ? -1 : DAEDALUS_NEXT(send)(fd, buffer, size, flags);
}

DAEDALUS_EXPORT ssize_t recvmsg(int fd, msghdr* header, int flags) {
    if (isNoSocket(fd)) return -1;
    const ssize_t result = DAEDALUS_NEXT(recvmsg)(fd, header, flags);
    if (result >= 0) noteReceived(*header);
    return result;
}

DAEDALUS_EXPORT int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
    const int result = DAEDALUS_NEXT(recvmmsg)(fd, messages, count, flags, timeout);
    received(messages, result);
    return result;
}

// Newer C libraries have it in a header of its own.
DAEDALUS_EXPORT int pidfd_getfd(int pidfd, int fd, unsigned flags) noexcept;
DAEDALUS_EXPORT int pidfd_getfd(int pidfd, int fd, unsigned flags) noexcept {
    const int result = DAEDALUS_NEXT(pidfd_getfd)(pidfd, fd, flags);
    if (result >= 0) noteReceived(result);
    return result;
}
