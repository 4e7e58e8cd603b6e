// Interposed calls on paths: open, stat, access, readlink and their families.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstring>

#include "src/preload/file.h"
#include "src/preload/next.h"
#include "src/preload/paths.h"
#include "src/preload/process.h"
#include "src/preload/real.h"

using namespace daedalus::preload;

#if __SIZEOF_POINTER__ == 8
static_assert(sizeof(struct stat) == sizeof(struct stat64), "one function fills both");
#else
#error "The stat family of 32-bit programs is not served: build the preload library for a 64-bit target."
#endif

namespace {

mode_t modeOf(int flags, va_list arguments) {
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

struct stat* plain(struct stat64* status) { return reinterpret_cast<struct stat*>(status); }

/// fstat(): `status` holds what the kernel says of `fd`.
void correct(int fd, struct stat* status) {
    uint64_t session = 0;
    if (S_ISSOCK(status->st_mode) && findSession(fd, session)) statNode(status);
}

/// access() on a path of ours: true, with the result.
bool checkAccess(int directory, const char* path, int mode, int& result) {
    const Path found = classify(directory, path, true);
    if (found.kind == PathKind::None) return false;
    const bool folder = found.kind == PathKind::Directory || found.kind == PathKind::Class;
    const bool refused = ((mode & X_OK) != 0 && !folder) || ((mode & W_OK) != 0 && found.kind != PathKind::Node);
    result = refused ? -1 : 0;
    if (refused) errno = EACCES;
    return true;
}

bool openStream(const char* path, const char* mode, FILE*& stream) {
    const bool update = std::strchr(mode, '+') != nullptr;
    int flags = update ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;
    if (std::strchr(mode, 'e') != nullptr) flags |= O_CLOEXEC;
    int fd = -1;
    if (!openPath(AT_FDCWD, path, flags, fd)) return false;
    stream = fd < 0 ? nullptr : ::fdopen(fd, mode);
    return true;
}

bool readLink(int directory, const char* path, char* buffer, size_t size, ssize_t& result) {
    const Path found = classify(directory, path, false);
    if (found.kind == PathKind::None) return false;
    if (found.kind != PathKind::Link) {
        errno = EINVAL;
        result = -1;
        return true;
    }
    const size_t length = std::strlen(found.target);
    result = static_cast<ssize_t>(length < size ? length : size);
    std::memcpy(buffer, found.target, static_cast<size_t>(result));
    return true;
}

bool resolve(const char* path, char*& result) {
    const Path found = classify(AT_FDCWD, path, true);
    if (found.kind == PathKind::None) return false;
    if (result == nullptr) {
        result = ::strdup(found.target);
    } else {
        std::strcpy(result, found.target);
    }
    return true;
}

}  // namespace

// open

DAEDALUS_EXPORT int open(const char* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = modeOf(flags, arguments);
    va_end(arguments);
    int fd = -1;
    return openPath(AT_FDCWD, path, flags, fd) ? fd : DAEDALUS_NEXT(open)(path, flags, mode);
}

DAEDALUS_EXPORT int open64(const char* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = modeOf(flags, arguments);
    va_end(arguments);
    int fd = -1;
    return openPath(AT_FDCWD, path, flags, fd) ? fd : DAEDALUS_NEXT(open64)(path, flags, mode);
}

DAEDALUS_EXPORT int openat(int directory, const char* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = modeOf(flags, arguments);
    va_end(arguments);
    int fd = -1;
    return openPath(directory, path, flags, fd) ? fd : DAEDALUS_NEXT(openat)(directory, path, flags, mode);
}

DAEDALUS_EXPORT int openat64(int directory, const char* path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = modeOf(flags, arguments);
    va_end(arguments);
    int fd = -1;
    return openPath(directory, path, flags, fd) ? fd : DAEDALUS_NEXT(openat64)(directory, path, flags, mode);
}

// What programs call that were built with _FORTIFY_SOURCE.
DAEDALUS_EXPORT int __open_2(const char* path, int flags);
DAEDALUS_EXPORT int __open64_2(const char* path, int flags);
DAEDALUS_EXPORT int __openat_2(int directory, const char* path, int flags);
DAEDALUS_EXPORT int __openat64_2(int directory, const char* path, int flags);

DAEDALUS_EXPORT int __open_2(const char* path, int flags) {
    int fd = -1;
    return openPath(AT_FDCWD, path, flags, fd) ? fd : DAEDALUS_NEXT(__open_2)(path, flags);
}

DAEDALUS_EXPORT int __open64_2(const char* path, int flags) {
    int fd = -1;
    return openPath(AT_FDCWD, path, flags, fd) ? fd : DAEDALUS_NEXT(__open64_2)(path, flags);
}

DAEDALUS_EXPORT int __openat_2(int directory, const char* path, int flags) {
    int fd = -1;
    return openPath(directory, path, flags, fd) ? fd : DAEDALUS_NEXT(__openat_2)(directory, path, flags);
}

DAEDALUS_EXPORT int __openat64_2(int directory, const char* path, int flags) {
    int fd = -1;
    return openPath(directory, path, flags, fd) ? fd : DAEDALUS_NEXT(__openat64_2)(directory, path, flags);
}

DAEDALUS_EXPORT FILE* fopen(const char* path, const char* mode) {
    FILE* stream = nullptr;
    return openStream(path, mode, stream) ? stream : DAEDALUS_NEXT(fopen)(path, mode);
}

DAEDALUS_EXPORT FILE* fopen64(const char* path, const char* mode) {
    FILE* stream = nullptr;
    return openStream(path, mode, stream) ? stream : DAEDALUS_NEXT(fopen64)(path, mode);
}

// stat

DAEDALUS_EXPORT int stat(const char* path, struct stat* status) noexcept {
    return statPath(AT_FDCWD, path, true, status) ? 0 : DAEDALUS_NEXT(stat)(path, status);
}

DAEDALUS_EXPORT int stat64(const char* path, struct stat64* status) noexcept {
    return statPath(AT_FDCWD, path, true, plain(status)) ? 0 : DAEDALUS_NEXT(stat64)(path, status);
}

DAEDALUS_EXPORT int lstat(const char* path, struct stat* status) noexcept {
    return statPath(AT_FDCWD, path, false, status) ? 0 : DAEDALUS_NEXT(lstat)(path, status);
}

DAEDALUS_EXPORT int lstat64(const char* path, struct stat64* status) noexcept {
    return statPath(AT_FDCWD, path, false, plain(status)) ? 0 : DAEDALUS_NEXT(lstat64)(path, status);
}

DAEDALUS_EXPORT int fstat(int fd, struct stat* status) noexcept {
    const int result = DAEDALUS_NEXT(fstat)(fd, status);
    if (result == 0) correct(fd, status);
    return result;
}

DAEDALUS_EXPORT int fstat64(int fd, struct stat64* status) noexcept {
    const int result = DAEDALUS_NEXT(fstat64)(fd, status);
    if (result == 0) correct(fd, plain(status));
    return result;
}

namespace {

template <class Status, class Next>
int statAt(int directory, const char* path, Status* status, int flags, Next next) {
    auto* const filled = reinterpret_cast<struct stat*>(status);
    const bool itself = (flags & AT_EMPTY_PATH) != 0 && (path == nullptr || path[0] == '\0');
    if (!itself && statPath(directory, path, (flags & AT_SYMLINK_NOFOLLOW) == 0, filled)) return 0;
    const int result = next(directory, path, status, flags);
    if (result == 0 && itself) correct(directory, filled);
    return result;
}

}  // namespace

DAEDALUS_EXPORT int fstatat(int directory, const char* path, struct stat* status, int flags) noexcept {
    return statAt(directory, path, status, flags, DAEDALUS_NEXT(fstatat));
}

DAEDALUS_EXPORT int fstatat64(int directory, const char* path, struct stat64* status, int flags) noexcept {
    return statAt(directory, path, status, flags, DAEDALUS_NEXT(fstatat64));
}

DAEDALUS_EXPORT int statx(int directory, const char* path, int flags, unsigned mask, struct statx* out) noexcept {
    struct stat status;
    const bool itself = (flags & AT_EMPTY_PATH) != 0 && (path == nullptr || path[0] == '\0');
    bool ours = false;
    if (itself) {
        uint64_t session = 0;
        ours = isOurFile(directory, session) && statNode(&status);
    } else {
        ours = statPath(directory, path, (flags & AT_SYMLINK_NOFOLLOW) == 0, &status);
    }
    if (!ours) return DAEDALUS_NEXT(statx)(directory, path, flags, mask, out);
    // The kernel's answer for a file that is there, with what differs put in.
    if (DAEDALUS_NEXT(statx)(AT_FDCWD, "/dev/null", flags & ~AT_EMPTY_PATH, mask, out) != 0) return -1;
    out->stx_mode = static_cast<decltype(out->stx_mode)>(status.st_mode);
    out->stx_ino = status.st_ino;
    out->stx_size = static_cast<uint64_t>(status.st_size);
    out->stx_rdev_major = static_cast<uint32_t>(status.st_rdev >> 8 & 0xFFF);
    out->stx_rdev_minor = static_cast<uint32_t>((status.st_rdev & 0xFF) | (status.st_rdev >> 12 & ~0xFFUL));
    return 0;
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
    int result = 0;
    return checkAccess(AT_FDCWD, path, mode, result) ? result : DAEDALUS_NEXT(access)(path, mode);
}

DAEDALUS_EXPORT int faccessat(int directory, const char* path, int mode, int flags) noexcept {
    int result = 0;
    return checkAccess(directory, path, mode, result) ? result : DAEDALUS_NEXT(faccessat)(directory, path, mode, flags);
}

DAEDALUS_EXPORT int euidaccess(const char* path, int mode) noexcept {
    int result = 0;
    return checkAccess(AT_FDCWD, path, mode, result) ? result : DAEDALUS_NEXT(euidaccess)(path, mode);
}

DAEDALUS_EXPORT int eaccess(const char* path, int mode) noexcept { return ::euidaccess(path, mode); }

// readlink, realpath

DAEDALUS_EXPORT ssize_t readlink(const char* path, char* buffer, size_t size) noexcept {
    ssize_t result = 0;
    return readLink(AT_FDCWD, path, buffer, size, result) ? result : DAEDALUS_NEXT(readlink)(path, buffer, size);
}

DAEDALUS_EXPORT ssize_t readlinkat(int directory, const char* path, char* buffer, size_t size) noexcept {
    ssize_t result = 0;
    return readLink(directory, path, buffer, size, result) ? result : DAEDALUS_NEXT(readlinkat)(directory, path, buffer, size);
}

DAEDALUS_EXPORT ssize_t __readlink_chk(const char* path, char* buffer, size_t size, size_t room);
DAEDALUS_EXPORT ssize_t __readlink_chk(const char* path, char* buffer, size_t size, size_t room) {
    ssize_t result = 0;
    return readLink(AT_FDCWD, path, buffer, size, result) ? result : DAEDALUS_NEXT(__readlink_chk)(path, buffer, size, room);
}

DAEDALUS_EXPORT char* realpath(const char* path, char* resolved) noexcept {
    char* result = resolved;
    return resolve(path, result) ? result : DAEDALUS_NEXT(realpath)(path, resolved);
}

DAEDALUS_EXPORT char* __realpath_chk(const char* path, char* resolved, size_t room);
DAEDALUS_EXPORT char* __realpath_chk(const char* path, char* resolved, size_t room) {
    char* result = resolved;
    return resolve(path, result) ? result : DAEDALUS_NEXT(__realpath_chk)(path, resolved, room);
}

DAEDALUS_EXPORT char* canonicalize_file_name(const char* path) noexcept {
    char* result = nullptr;
    return resolve(path, result) ? result : DAEDALUS_NEXT(canonicalize_file_name)(path);
}
