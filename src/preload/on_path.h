// What an interposed call does with a path of ours, however the call was made: by its function or by syscall(2). `call` makes
// it for good, on the directory and the path that it is given.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <type_traits>

#include "src/preload/client_memory.h"
#include "src/preload/file.h"
#include "src/preload/paths.h"
#include "src/preload/process.h"
#include "src/preload/real.h"

namespace daedalus::preload {

template <class Result>
bool failed(Result result) {
    if constexpr (std::is_pointer_v<Result>) {
        return result == nullptr;
    } else {
        return result == static_cast<Result>(-1);
    }
}

/// Calls that do with the file that stands for ours what they should do with ours.
template <class Call>
auto onPath(int directory, const char* path, bool follow, Call call) {
    Path found;
    if (findPath(directory, path, follow, found)) return call(AT_FDCWD, found.standIn);
    // No look at errno before: sandboxes are entered by children whose thread pointer leads nowhere.
    const auto result = call(directory, path);
    if (!failed(result) || !findPathLate(directory, path, follow, found)) return result;
    return call(AT_FDCWD, found.standIn);
}

/// Opens what was found. Our part of /sys is for reading.
template <class Call>
int openFound(const Path& found, int flags, Call call) {
    if ((flags & O_PATH) != 0 || found.kind != PathKind::Node) {
        const bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0;
        if ((flags & O_PATH) == 0 && writes) return errno = EACCES, -1;
        const int fd = call(AT_FDCWD, found.standIn);
        // From now on descriptors are looked at.
        if (fd >= 0) noteStandIn();
        return fd;
    }
    return openNode(*found.node, flags);
}

template <class Call>
int openOn(int directory, const char* path, int flags, Call call) {
    Path found;
    const bool follow = (flags & O_NOFOLLOW) == 0;
    if (findPath(directory, path, follow, found)) return openFound(found, flags, call);
    const int before = errno;
    const int fd = call(directory, path);
    if (fd >= 0 || !findPathLate(directory, path, follow, found)) return fd;
    errno = before;
    return openFound(found, flags, call);
}

/// stat() of the node: 0, or -1 with errno.
inline int giveNodeStat(const proto::NodeEntry* node, struct stat* status) {
    struct stat own;
    if (!statNode(node, &own)) return errno = ENOENT, -1;
    if (!copyOut(reinterpret_cast<uint64_t>(status), &own, sizeof own)) return errno = EFAULT, -1;
    return 0;
}

/// fstat(): `status` holds what the kernel says of `fd`.
inline void correctStat(int fd, struct stat* status) {
    uint64_t session = 0;
    if (S_ISSOCK(status->st_mode) && (isOurFile(fd, *status, session) || (haveFiles() && isNodePath(fd)))) {
        statNode(nodeOfSession(session), status);
    }
}

template <class Call>
int statOn(int directory, const char* path, bool follow, struct stat* status, Call call) {
    Path found;
    const int before = errno;
    if (findPath(directory, path, follow, found)) {
        return found.kind == PathKind::Node ? giveNodeStat(found.node, status) : call(AT_FDCWD, found.standIn);
    }
    const int result = call(directory, path);
    // A link to a descriptor of ours, as /dev/stdin, leads to its socket.
    const bool socket = result == 0 && S_ISSOCK(status->st_mode) && haveFiles();
    const bool late =
        socket ? walkPath(directory, path, follow, found) : result != 0 && findPathLate(directory, path, follow, found);
    if (!late) return result;
    errno = before;
    return found.kind == PathKind::Node ? giveNodeStat(found.node, status) : call(AT_FDCWD, found.standIn);
}

/// True if a call with these means the descriptor `directory` itself.
inline bool meansItself(const char* path, int flags) {
    return (flags & AT_EMPTY_PATH) != 0 && (path == nullptr || path[0] == '\0');
}

template <class Call>
int statAtOn(int directory, const char* path, struct stat* status, int flags, Call call) {
    if (!meansItself(path, flags)) return statOn(directory, path, (flags & AT_SYMLINK_NOFOLLOW) == 0, status, call);
    const int result = call(directory, path);
    if (result == 0) correctStat(directory, status);
    return result;
}

/// `call` fills `out`.
template <class Call>
int statxOn(int directory, const char* path, int flags, struct statx* out, Call call) {
    struct stat status;
    const proto::NodeEntry* ours = nullptr;
    if (meansItself(path, flags)) {
        uint64_t session = 0;
        if (isOurFile(directory, session) || (haveFiles() && isNodePath(directory))) ours = nodeOfSession(session);
    } else {
        const bool follow = (flags & AT_SYMLINK_NOFOLLOW) == 0;
        Path found;
        if (findPath(directory, path, follow, found)) {
            if (found.kind != PathKind::Node) return call(AT_FDCWD, found.standIn);
            ours = found.node;
        } else {
            const int before = errno;
            const int result = call(directory, path);
            const bool socket = result == 0 && S_ISSOCK(out->stx_mode) && haveFiles();
            const bool late =
                socket ? walkPath(directory, path, follow, found) : result != 0 && findPathLate(directory, path, follow, found);
            if (!late) return result;
            errno = before;
            if (found.kind != PathKind::Node) return call(AT_FDCWD, found.standIn);
            ours = found.node;
        }
    }
    if (!statNode(ours, &status)) return call(directory, path);
    // The kernel's answer for a file that is there, with what differs put in.
    if (call(AT_FDCWD, socketPath()) != 0 && call(AT_FDCWD, "/dev/null") != 0) return -1;
    out->stx_mode = static_cast<decltype(out->stx_mode)>(status.st_mode);
    out->stx_ino = status.st_ino;
    out->stx_size = 0;
    out->stx_blocks = 0;
    out->stx_rdev_major = major(status.st_rdev);
    out->stx_rdev_minor = minor(status.st_rdev);
    return 0;
}

template <class Call>
int accessOn(int directory, const char* path, int mode, bool follow, Call call) {
    Path found;
    if (findPath(directory, path, follow, found) && found.kind == PathKind::Sysfs && (mode & W_OK) != 0) {
        return errno = EACCES, -1;
    }
    return onPath(directory, path, follow, call);
}

/// `call` fills `buffer` as readlink() does.
template <class Call>
ssize_t readlinkOn(int directory, const char* path, char* buffer, size_t size, Call call) {
    const ssize_t length = onPath(directory, path, false, call);
    if (length <= 0) return length;
    const auto got = static_cast<size_t>(length);
    // What stands for ours is called by our name; so is a descriptor of ours. What was longer leaves nothing behind: programs
    // clear their buffers, and count on it.
    if (const size_t shown = showPath(buffer, got, got)) {
        std::memset(buffer + shown, 0, got - shown);
        return static_cast<ssize_t>(shown);
    }
    const bool isSocket = got > 8 && std::memcmp(buffer, "socket:[", 8) == 0 && haveFiles();
    const bool isNode =
        socketPath() != nullptr && got == std::strlen(socketPath()) && std::memcmp(buffer, socketPath(), got) == 0;
    Path found;
    if ((!isSocket && !isNode) || !walkPath(directory, path, true, found) || found.kind != PathKind::Node) return length;
    const char* const name = found.node->nodePath;
    const size_t whole = std::strlen(name);
    const size_t copied = whole < size ? whole : size;
    std::memcpy(buffer, name, copied);
    if (copied < got) std::memset(buffer + copied, 0, got - copied);
    return static_cast<ssize_t>(copied);
}

}  // namespace daedalus::preload
