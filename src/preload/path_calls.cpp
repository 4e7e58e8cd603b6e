// Interposed calls on paths that have an answer of their own: open, stat, access, readlink and their families.
#include <stdio.h>
#include <stdlib.h>

#include <cstdarg>

#include "src/preload/next.h"
#include "src/preload/on_path.h"

using namespace daedalus::preload;

#if __SIZEOF_POINTER__ == 8
static_assert(sizeof(struct stat) == sizeof(struct stat64), "one function fills both");
#else
#error "The stat family of 32-bit programs is not served: build the preload library for a 64-bit target."
#endif

// open

// The mode is an argument only of calls that create a file.
#define MODE_OF(flags)                                                \
    mode_t mode = 0;                                                  \
    if (((flags)&O_CREAT) != 0 || ((flags)&O_TMPFILE) == O_TMPFILE) { \
        va_list arguments;                                            \
        va_start(arguments, flags);                                   \
        mode = va_arg(arguments, mode_t);                             \
        va_end(arguments);                                            \
    }

// A call without a directory goes on without one, as long as the path is none of ours.
#define OPEN_CALL(function)                                                                                                  \
    DAEDALUS_EXPORT int function(const char* path, int flags, ...) {                                                         \
        MODE_OF(flags)                                                                                                       \
        return openOn(AT_FDCWD, path, flags, [&](int, const char* at) { return DAEDALUS_NEXT(function)(at, flags, mode); }); \
    }
OPEN_CALL(open)
OPEN_CALL(open64)

#define OPENAT_CALL(function)                                                                                    \
    DAEDALUS_EXPORT int function(int directory, const char* path, int flags, ...) {                              \
        MODE_OF(flags)                                                                                           \
        return openOn(directory, path, flags,                                                                    \
                      [&](int from, const char* at) { return DAEDALUS_NEXT(function)(from, at, flags, mode); }); \
    }
OPENAT_CALL(openat)
OPENAT_CALL(openat64)

// What programs call that were built with _FORTIFY_SOURCE.
#define OPEN_2_CALL(function)                                                                                          \
    DAEDALUS_EXPORT int function(const char* path, int flags);                                                         \
    DAEDALUS_EXPORT int function(const char* path, int flags) {                                                        \
        return openOn(AT_FDCWD, path, flags, [&](int, const char* at) { return DAEDALUS_NEXT(function)(at, flags); }); \
    }
OPEN_2_CALL(__open_2)
OPEN_2_CALL(__open64_2)

#define OPENAT_2_CALL(function)                                                                            \
    DAEDALUS_EXPORT int function(int directory, const char* path, int flags);                              \
    DAEDALUS_EXPORT int function(int directory, const char* path, int flags) {                             \
        return openOn(directory, path, flags,                                                              \
                      [&](int from, const char* at) { return DAEDALUS_NEXT(function)(from, at, flags); }); \
    }
OPENAT_2_CALL(__openat_2)
OPENAT_2_CALL(__openat64_2)

#define CREAT_CALL(function)                                                                   \
    DAEDALUS_EXPORT int function(const char* path, mode_t mode) {                              \
        return openOn(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC,                            \
                      [&](int, const char* at) { return DAEDALUS_NEXT(function)(at, mode); }); \
    }
CREAT_CALL(creat)
CREAT_CALL(creat64)

namespace {

int flagsOf(const char* mode) {
    int flags = std::strchr(mode, '+') != nullptr ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;
    if (std::strchr(mode, 'e') != nullptr) flags |= O_CLOEXEC;
    return flags;
}

/// fopen(): `call` opens a path for good.
template <class Call>
FILE* openStream(const char* path, const char* mode, Call call) {
    Path found;
    if (!findPath(AT_FDCWD, path, true, found)) {
        const int before = errno;
        FILE* const stream = call(path);
        if (stream != nullptr || !findPathLate(AT_FDCWD, path, true, found)) return stream;
        errno = before;
    }
    if (found.kind != PathKind::Node) {
        if ((flagsOf(mode) & O_ACCMODE) != O_RDONLY) return errno = EACCES, nullptr;
        return call(found.standIn);
    }
    const int fd = openNode(*found.node, flagsOf(mode));
    return fd < 0 ? nullptr : ::fdopen(fd, mode);
}

/// freopen() on the node: the stream takes another file, and its descriptor then becomes the node's.
template <class Call>
FILE* reopenStream(const char* path, const char* mode, Call call) {
    Path found;
    const bool ours = findPath(AT_FDCWD, path, true, found) || walkPath(AT_FDCWD, path, true, found);
    if (!ours) return call(path);
    if (found.kind != PathKind::Node) return call(found.standIn);
    const int fd = openNode(*found.node, flagsOf(mode));
    const int error = errno;
    FILE* const result = call("/dev/null");
    if (fd < 0) {
        // As freopen() does when it fails: the stream is closed.
        if (result != nullptr) ::fclose(result);
        return errno = error, nullptr;
    }
    if (result != nullptr) ::dup3(fd, ::fileno(result), flagsOf(mode) & O_CLOEXEC);
    realClose(fd);
    return result;
}

}  // namespace

DAEDALUS_EXPORT FILE* fopen(const char* path, const char* mode) {
    return openStream(path, mode, [&](const char* at) { return DAEDALUS_NEXT(fopen)(at, mode); });
}

DAEDALUS_EXPORT FILE* fopen64(const char* path, const char* mode) {
    return openStream(path, mode, [&](const char* at) { return DAEDALUS_NEXT(fopen64)(at, mode); });
}

DAEDALUS_EXPORT FILE* freopen(const char* path, const char* mode, FILE* stream) {
    return reopenStream(path, mode, [&](const char* at) { return DAEDALUS_NEXT(freopen)(at, mode, stream); });
}

DAEDALUS_EXPORT FILE* freopen64(const char* path, const char* mode, FILE* stream) {
    return reopenStream(path, mode, [&](const char* at) { return DAEDALUS_NEXT(freopen64)(at, mode, stream); });
}

// stat. The 64-bit twins are the same functions here.

DAEDALUS_EXPORT int stat(const char* path, struct stat* status) noexcept {
    return statOn(AT_FDCWD, path, true, status, [&](int, const char* at) { return realStat(at, status); });
}

DAEDALUS_EXPORT int lstat(const char* path, struct stat* status) noexcept {
    return statOn(AT_FDCWD, path, false, status, [&](int, const char* at) { return realLstat(at, status); });
}

DAEDALUS_EXPORT int fstatat(int directory, const char* path, struct stat* status, int flags) noexcept {
    return statAtOn(directory, path, status, flags,
                    [&](int from, const char* at) { return realStatAt(from, at, status, flags); });
}

DAEDALUS_EXPORT int fstat(int fd, struct stat* status) noexcept {
    const int result = realFstat(fd, status);
    if (result == 0) correctStat(fd, status);
    return result;
}

namespace {

struct stat* plain(struct stat64* status) { return reinterpret_cast<struct stat*>(status); }

}  // namespace

DAEDALUS_EXPORT int stat64(const char* path, struct stat64* status) noexcept { return ::stat(path, plain(status)); }
DAEDALUS_EXPORT int lstat64(const char* path, struct stat64* status) noexcept { return ::lstat(path, plain(status)); }
DAEDALUS_EXPORT int fstat64(int fd, struct stat64* status) noexcept { return ::fstat(fd, plain(status)); }
DAEDALUS_EXPORT int fstatat64(int directory, const char* path, struct stat64* status, int flags) noexcept {
    return ::fstatat(directory, path, plain(status), flags);
}

DAEDALUS_EXPORT int statx(int directory, const char* path, int flags, unsigned mask, struct statx* out) noexcept {
    return statxOn(directory, path, flags, out, [&](int from, const char* at) {
        const auto next = DAEDALUS_NEXT(statx);
        return next != nullptr ? next(from, at, flags, mask, out) : (errno = ENOSYS, -1);
    });
}

// The names that the stat family had before glibc 2.33; their first argument is a version.
DAEDALUS_EXPORT int __xstat(int version, const char* path, struct stat* status);
DAEDALUS_EXPORT int __xstat64(int version, const char* path, struct stat64* status);
DAEDALUS_EXPORT int __lxstat(int version, const char* path, struct stat* status);
DAEDALUS_EXPORT int __lxstat64(int version, const char* path, struct stat64* status);
DAEDALUS_EXPORT int __fxstat(int version, int fd, struct stat* status);
DAEDALUS_EXPORT int __fxstat64(int version, int fd, struct stat64* status);
DAEDALUS_EXPORT int __fxstatat(int version, int directory, const char* path, struct stat* status, int flags);
DAEDALUS_EXPORT int __fxstatat64(int version, int directory, const char* path, struct stat64* status, int flags);

DAEDALUS_EXPORT int __xstat(int, const char* path, struct stat* status) { return ::stat(path, status); }
DAEDALUS_EXPORT int __xstat64(int, const char* path, struct stat64* status) { return ::stat64(path, status); }
DAEDALUS_EXPORT int __lxstat(int, const char* path, struct stat* status) { return ::lstat(path, status); }
DAEDALUS_EXPORT int __lxstat64(int, const char* path, struct stat64* status) { return ::lstat64(path, status); }
DAEDALUS_EXPORT int __fxstat(int, int fd, struct stat* status) { return ::fstat(fd, status); }
DAEDALUS_EXPORT int __fxstat64(int, int fd, struct stat64* status) { return ::fstat64(fd, status); }
DAEDALUS_EXPORT int __fxstatat(int, int directory, const char* path, struct stat* status, int flags) {
    return ::fstatat(directory, path, status, flags);
}
DAEDALUS_EXPORT int __fxstatat64(int, int directory, const char* path, struct stat64* status, int flags) {
    return ::fstatat64(directory, path, status, flags);
}

// access

DAEDALUS_EXPORT int access(const char* path, int mode) noexcept {
    return accessOn(AT_FDCWD, path, mode, true, [&](int, const char* at) { return DAEDALUS_NEXT(access)(at, mode); });
}

DAEDALUS_EXPORT int faccessat(int directory, const char* path, int mode, int flags) noexcept {
    return accessOn(directory, path, mode, (flags & AT_SYMLINK_NOFOLLOW) == 0,
                    [&](int from, const char* at) { return DAEDALUS_NEXT(faccessat)(from, at, mode, flags); });
}

DAEDALUS_EXPORT int euidaccess(const char* path, int mode) noexcept {
    return accessOn(AT_FDCWD, path, mode, true, [&](int, const char* at) { return DAEDALUS_NEXT(euidaccess)(at, mode); });
}

DAEDALUS_EXPORT int eaccess(const char* path, int mode) noexcept { return ::euidaccess(path, mode); }

// readlink, realpath, getcwd

DAEDALUS_EXPORT ssize_t readlink(const char* path, char* buffer, size_t size) noexcept {
    return readlinkOn(AT_FDCWD, path, buffer, size,
                      [&](int, const char* at) { return DAEDALUS_NEXT(readlink)(at, buffer, size); });
}

DAEDALUS_EXPORT ssize_t readlinkat(int directory, const char* path, char* buffer, size_t size) noexcept {
    return readlinkOn(directory, path, buffer, size,
                      [&](int from, const char* at) { return DAEDALUS_NEXT(readlinkat)(from, at, buffer, size); });
}

DAEDALUS_EXPORT ssize_t __readlink_chk(const char* path, char* buffer, size_t size, size_t room);
DAEDALUS_EXPORT ssize_t __readlink_chk(const char* path, char* buffer, size_t size, size_t room) {
    return readlinkOn(AT_FDCWD, path, buffer, size,
                      [&](int, const char* at) { return DAEDALUS_NEXT(__readlink_chk)(at, buffer, size, room); });
}

DAEDALUS_EXPORT ssize_t __readlinkat_chk(int directory, const char* path, char* buffer, size_t size, size_t room);
DAEDALUS_EXPORT ssize_t __readlinkat_chk(int directory, const char* path, char* buffer, size_t size, size_t room) {
    return readlinkOn(directory, path, buffer, size,
                      [&](int from, const char* at) { return DAEDALUS_NEXT(__readlinkat_chk)(from, at, buffer, size, room); });
}

namespace {

/// Gives a path that the C library found the form in which the program knows it.
char* shown(char* path) {
    if (path == nullptr || !servesNode()) return path;
    const size_t length = std::strlen(path);
    showPath(path, length, length + 1);
    return path;
}

/// realpath(): `call` does it for good.
template <class Call>
char* resolveOn(const char* path, char* resolved, Call call) {
    Path found;
    const int before = errno;
    if (!findPath(AT_FDCWD, path, true, found)) {
        char* const result = call(path);
        if (result != nullptr || !findPathLate(AT_FDCWD, path, true, found)) return shown(result);
        errno = before;
    }
    if (found.kind != PathKind::Node) return shown(call(found.standIn));
    const char* const name = found.node->nodePath;
    return resolved != nullptr ? std::strcpy(resolved, name) : ::strdup(name);
}

}  // namespace

DAEDALUS_EXPORT char* realpath(const char* path, char* resolved) noexcept {
    return resolveOn(path, resolved, [&](const char* at) { return DAEDALUS_NEXT(realpath)(at, resolved); });
}

DAEDALUS_EXPORT char* __realpath_chk(const char* path, char* resolved, size_t room);
DAEDALUS_EXPORT char* __realpath_chk(const char* path, char* resolved, size_t room) {
    return resolveOn(path, resolved, [&](const char* at) { return DAEDALUS_NEXT(__realpath_chk)(at, resolved, room); });
}

DAEDALUS_EXPORT char* canonicalize_file_name(const char* path) noexcept {
    return resolveOn(path, nullptr, [&](const char* at) { return DAEDALUS_NEXT(canonicalize_file_name)(at); });
}

DAEDALUS_EXPORT char* getcwd(char* buffer, size_t size) noexcept { return shown(DAEDALUS_NEXT(getcwd)(buffer, size)); }

DAEDALUS_EXPORT char* __getcwd_chk(char* buffer, size_t size, size_t room);
DAEDALUS_EXPORT char* __getcwd_chk(char* buffer, size_t size, size_t room) {
    return shown(DAEDALUS_NEXT(__getcwd_chk)(buffer, size, room));
}

DAEDALUS_EXPORT char* get_current_dir_name() noexcept { return shown(DAEDALUS_NEXT(get_current_dir_name)()); }
