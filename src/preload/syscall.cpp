// syscall(2): what programs and runtimes call by number that others call by name. A call that is not ours ends in the kernel,
// never in a function of the C library: one that is interposed by another library may itself be made of syscall(2).
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>

#include "src/preload/client_memory.h"
#include "src/preload/copies.h"
#include "src/preload/dir_calls.h"
#include "src/preload/epoll_table.h"
#include "src/preload/fd_calls.h"
#include "src/preload/next.h"
#include "src/preload/on_path.h"
#include "src/preload/waits.h"

// Numbers that older headers lack.
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

using namespace daedalus::preload;

namespace {

/// When a call on a path follows a link at its end.
enum class Follow : uint8_t {
    Always,
    Never,
    UnlessNoFollow,    ///< AT_SYMLINK_NOFOLLOW in the argument `flags`
    UnlessDontFollow,  ///< IN_DONT_FOLLOW there
    IfFollow,          ///< AT_SYMLINK_FOLLOW there
};

/// Where a call has its path. Those listed here do with the file that stands for ours what they should do with ours.
struct PathCall {
    long number;
    int8_t directory;  ///< index of the argument, or -1
    int8_t path;
    Follow follow;
    int8_t flags = -1;
};

constexpr PathCall kPathCalls[] = {
#ifdef SYS_chmod
    {SYS_chmod, -1, 0, Follow::Always},
    {SYS_chown, -1, 0, Follow::Always},
    {SYS_lchown, -1, 0, Follow::Never},
    {SYS_utime, -1, 0, Follow::Always},
    {SYS_utimes, -1, 0, Follow::Always},
    {SYS_futimesat, 0, 1, Follow::Always},
#endif
    {SYS_chdir, -1, 0, Follow::Always},
    {SYS_fchmodat, 0, 1, Follow::Always},
    {SYS_fchmodat2, 0, 1, Follow::UnlessNoFollow, 3},
    {SYS_fchownat, 0, 1, Follow::UnlessNoFollow, 4},
    {SYS_utimensat, 0, 1, Follow::UnlessNoFollow, 3},
    {SYS_getxattr, -1, 0, Follow::Always},
    {SYS_lgetxattr, -1, 0, Follow::Never},
    {SYS_setxattr, -1, 0, Follow::Always},
    {SYS_lsetxattr, -1, 0, Follow::Never},
    {SYS_listxattr, -1, 0, Follow::Always},
    {SYS_llistxattr, -1, 0, Follow::Never},
    {SYS_removexattr, -1, 0, Follow::Always},
    {SYS_lremovexattr, -1, 0, Follow::Never},
    {SYS_statfs, -1, 0, Follow::Always},
    {SYS_truncate, -1, 0, Follow::Always},
    {SYS_inotify_add_watch, -1, 1, Follow::UnlessDontFollow, 2},
    {SYS_name_to_handle_at, 0, 1, Follow::IfFollow, 4},
};

/// Calls that would make a file where there is one already.
constexpr PathCall kMakingCalls[] = {
#ifdef SYS_mkdir
    {SYS_mkdir, -1, 0, Follow::Never},  {SYS_mknod, -1, 0, Follow::Never},  {SYS_symlink, -1, 1, Follow::Never},
#endif
    {SYS_mkdirat, 0, 1, Follow::Never}, {SYS_mknodat, 0, 1, Follow::Never}, {SYS_symlinkat, 1, 2, Follow::Never},
};

template <size_t N>
const PathCall* findCall(const PathCall (&calls)[N], long number) {
    for (const PathCall& call : calls) {
        if (call.number == number) return &call;
    }
    return nullptr;
}

/// The arguments of one syscall().
struct Arguments {
    long number;
    long a[6];

    [[nodiscard]] int fd(int i) const { return static_cast<int>(a[i]); }
    [[nodiscard]] const char* path(int i) const { return reinterpret_cast<const char*>(a[i]); }
    template <class T>
    [[nodiscard]] T* at(int i) const {
        return reinterpret_cast<T*>(a[i]);
    }
    [[nodiscard]] long go() const { return realSyscall(number, a[0], a[1], a[2], a[3], a[4], a[5]); }

    /// The call as the functions of on_path.h make it: with these in place of the directory and the path.
    [[nodiscard]] auto with(int directory, int path) const {
        return [this, directory, path](int from, const char* name) {
            long b[6];
            for (int i = 0; i < 6; ++i) b[i] = a[i];
            if (directory >= 0) b[directory] = from;
            b[path] = reinterpret_cast<long>(name);
            return static_cast<int>(realSyscall(number, b[0], b[1], b[2], b[3], b[4], b[5]));
        };
    }
};

long callOnPath(const PathCall& call, const Arguments& arguments) {
    const auto flags = call.flags >= 0 ? static_cast<unsigned long>(arguments.a[call.flags]) : 0;
    const bool follow = call.follow == Follow::Always ||
                        (call.follow == Follow::UnlessNoFollow && (flags & AT_SYMLINK_NOFOLLOW) == 0) ||
                        (call.follow == Follow::UnlessDontFollow && (flags & IN_DONT_FOLLOW) == 0) ||
                        (call.follow == Follow::IfFollow && (flags & AT_SYMLINK_FOLLOW) != 0);
    const int directory = call.directory >= 0 ? arguments.fd(call.directory) : AT_FDCWD;
    return onPath(directory, arguments.path(call.path), follow, arguments.with(call.directory, call.path));
}

long callOpenat2(const Arguments& arguments) {
    const auto* const how = arguments.at<open_how>(2);
    open_how wanted{};
    // What is not a valid argument is the kernel's to refuse; so are ways that our paths cannot be resolved by.
    const auto size = static_cast<size_t>(arguments.a[3]);
    if (size < sizeof wanted || !copyIn(&wanted, reinterpret_cast<uint64_t>(how), sizeof wanted)) return arguments.go();
    if ((wanted.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_NO_XDEV)) != 0) return arguments.go();
    return openOn(arguments.fd(0), arguments.path(1), static_cast<int>(wanted.flags), arguments.with(0, 1));
}

/// The kernel's own calls tell how much of the time was left; the C library's functions keep that to themselves.
template <class Wait>
long waitLeaving(timespec* timeout, Wait wait) {
    if (timeout == nullptr) return wait(nullptr);
    timespec before;
    timespec after;
    ::clock_gettime(CLOCK_MONOTONIC, &before);
    const long result = wait(timeout);
    const KeepErrno keep;
    ::clock_gettime(CLOCK_MONOTONIC, &after);
    constexpr int64_t kSecond = 1'000'000'000;
    const int64_t left =
        (timeout->tv_sec - (after.tv_sec - before.tv_sec)) * kSecond + timeout->tv_nsec - (after.tv_nsec - before.tv_nsec);
    timeout->tv_sec = left > 0 ? left / kSecond : 0;
    timeout->tv_nsec = left > 0 ? left % kSecond : 0;
    return result;
}

/// The mask of pselect6: a pointer to it and its size.
struct SizedMask {
    const sigset_t* mask;
    size_t size;
};

long callPselect6(const Arguments& arguments) {
    if (!mayConcernUs(arguments.fd(0), arguments.at<fd_set>(3))) return arguments.go();
    SizedMask sized{};
    if (arguments.a[5] != 0 && !copyIn(&sized, static_cast<uint64_t>(arguments.a[5]), sizeof sized)) return errno = EFAULT, -1;
    return waitLeaving(arguments.at<timespec>(4), [&](const timespec* timeout) {
        return callPselect(By::Number, arguments.fd(0), arguments.at<fd_set>(1), arguments.at<fd_set>(2),
                           arguments.at<fd_set>(3), timeout, sized.mask);
    });
}

ssize_t getdentsAgain(int fd, void* buffer, size_t size) {
    return realSyscall(SYS_getdents64, fd, reinterpret_cast<long>(buffer), static_cast<long>(size), 0, 0, 0);
}

/// Calls on descriptors.
long callOnFd(const Arguments& arguments) {
    const int fd = arguments.fd(0);
    switch (arguments.number) {
        case SYS_ioctl:
            return callIoctl(By::Number, fd, static_cast<unsigned long>(arguments.a[1]), arguments.at<void>(2));
#ifdef SYS_mmap
        case SYS_mmap:
            return reinterpret_cast<long>(callMmap(By::Number, arguments.at<void>(0), static_cast<size_t>(arguments.a[1]),
                                                   arguments.fd(2), arguments.fd(3), arguments.fd(4), arguments.a[5]));
#endif
        case SYS_read:
        case SYS_write:
        case SYS_readv:
        case SYS_writev:
            return refusesTransfer(fd) ? -1 : arguments.go();
        case SYS_close:
            return callClose(By::Number, fd);
        case SYS_close_range:
            noteClosing(static_cast<unsigned>(arguments.a[0]), static_cast<unsigned>(arguments.a[1]), arguments.fd(2));
            return arguments.go();
        case SYS_fstat: {
            const long result = arguments.go();
            if (result == 0) correctStat(fd, arguments.at<struct stat>(1));
            return result;
        }
        case SYS_getdents64:
            return addEntries(fd, arguments.at<void>(1), static_cast<size_t>(arguments.a[2]), arguments.go(), getdentsAgain);
        case SYS_epoll_ctl:
            return callEpollCtl(By::Number, fd, arguments.fd(1), arguments.fd(2), arguments.at<epoll_event>(3));
#ifdef SYS_epoll_wait
        case SYS_epoll_wait:
            return haveEpoll()
                       ? callEpollPwait(By::Number, fd, arguments.at<epoll_event>(1), arguments.fd(2), arguments.fd(3), nullptr)
                       : arguments.go();
#endif
        case SYS_epoll_pwait:
            return haveEpoll() ? callEpollPwait(By::Number, fd, arguments.at<epoll_event>(1), arguments.fd(2), arguments.fd(3),
                                                arguments.at<const sigset_t>(4))
                               : arguments.go();
#ifdef SYS_poll
        case SYS_poll:
            return mayConcernUs(arguments.at<pollfd>(0), static_cast<unsigned long>(arguments.a[1]))
                       ? callPoll(By::Number, arguments.at<pollfd>(0), static_cast<nfds_t>(arguments.a[1]), arguments.fd(2))
                       : arguments.go();
#endif
        case SYS_ppoll:
            if (!mayConcernUs(arguments.at<pollfd>(0), static_cast<unsigned long>(arguments.a[1]))) return arguments.go();
            return waitLeaving(arguments.at<timespec>(2), [&](const timespec* timeout) {
                return callPpoll(By::Number, arguments.at<pollfd>(0), static_cast<nfds_t>(arguments.a[1]), timeout,
                                 arguments.at<const sigset_t>(3));
            });
#ifdef SYS_select
        case SYS_select:
            return mayConcernUs(fd, arguments.at<fd_set>(3))
                       ? callSelect(By::Number, fd, arguments.at<fd_set>(1), arguments.at<fd_set>(2), arguments.at<fd_set>(3),
                                    arguments.at<timeval>(4))
                       : arguments.go();
#endif
        case SYS_pselect6:
            return callPselect6(arguments);
        default: {
            const long result = arguments.go();
            noteSyscall(arguments.number, arguments.a, result);
            return result;
        }
    }
}

long call(const Arguments& arguments) {
    switch (arguments.number) {
#ifdef SYS_open
        case SYS_open:
            return openOn(AT_FDCWD, arguments.path(0), arguments.fd(1), arguments.with(-1, 0));
        case SYS_creat:
            return openOn(AT_FDCWD, arguments.path(0), O_CREAT | O_WRONLY | O_TRUNC, arguments.with(-1, 0));
        case SYS_stat:
            return statOn(AT_FDCWD, arguments.path(0), true, arguments.at<struct stat>(1), arguments.with(-1, 0));
        case SYS_lstat:
            return statOn(AT_FDCWD, arguments.path(0), false, arguments.at<struct stat>(1), arguments.with(-1, 0));
        case SYS_access:
            return accessOn(AT_FDCWD, arguments.path(0), arguments.fd(1), true, arguments.with(-1, 0));
        case SYS_readlink:
            return readlinkOn(AT_FDCWD, arguments.path(0), arguments.at<char>(1), static_cast<size_t>(arguments.a[2]),
                              arguments.with(-1, 0));
#endif
        case SYS_openat:
            return openOn(arguments.fd(0), arguments.path(1), arguments.fd(2), arguments.with(0, 1));
        case SYS_openat2:
            return callOpenat2(arguments);
        case SYS_newfstatat:
            return statAtOn(arguments.fd(0), arguments.path(1), arguments.at<struct stat>(2), arguments.fd(3),
                            arguments.with(0, 1));
        case SYS_statx:
            return statxOn(arguments.fd(0), arguments.path(1), arguments.fd(2), arguments.at<struct statx>(4),
                           arguments.with(0, 1));
        case SYS_faccessat:
            return accessOn(arguments.fd(0), arguments.path(1), arguments.fd(2), true, arguments.with(0, 1));
        case SYS_faccessat2:
            return accessOn(arguments.fd(0), arguments.path(1), arguments.fd(2), (arguments.a[3] & AT_SYMLINK_NOFOLLOW) == 0,
                            arguments.with(0, 1));
        case SYS_readlinkat:
            return readlinkOn(arguments.fd(0), arguments.path(1), arguments.at<char>(2), static_cast<size_t>(arguments.a[3]),
                              arguments.with(0, 1));
        case SYS_utimensat: {
            uint64_t session = 0;
            if (arguments.a[1] != 0 || !isOurFile(arguments.fd(0), session)) break;
            return ::futimens(arguments.fd(0), arguments.at<const timespec>(2));
        }
        case SYS_getcwd: {
            const long length = arguments.go();
            if (length <= 0) return length;
            const auto size = static_cast<size_t>(length);
            const size_t shown = showPath(arguments.at<char>(0), size - 1, size);
            return shown > 0 ? static_cast<long>(shown + 1) : length;
        }
        default:
            break;
    }
    if (const PathCall* const onAPath = findCall(kPathCalls, arguments.number)) return callOnPath(*onAPath, arguments);
    if (const PathCall* const making = findCall(kMakingCalls, arguments.number)) {
        Path found;
        const int directory = making->directory >= 0 ? arguments.fd(making->directory) : AT_FDCWD;
        return findPath(directory, arguments.path(making->path), false, found) ? (errno = EEXIST, -1) : arguments.go();
    }
    return callOnFd(arguments);
}

}  // namespace

DAEDALUS_EXPORT long syscall(long number, ...) noexcept {
    Arguments arguments{number, {}};
    va_list list;
    va_start(list, number);
    for (long& argument : arguments.a) argument = va_arg(list, long);
    va_end(list);
    return servesNode() ? call(arguments) : arguments.go();
}
