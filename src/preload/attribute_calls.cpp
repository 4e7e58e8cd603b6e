// Interposed calls that do with the file that stands for a path of ours what they should do with ours: owner, mode, times,
// extended attributes, watches, the working directory.
#include <pwd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#include "src/preload/next.h"
#include "src/preload/on_path.h"

using namespace daedalus::preload;

// A call whose first argument is the path; `...` are the others as they are handed on.
#define PATH_CALL(result, function, follow, parameters, ...)                                                        \
    DAEDALUS_EXPORT result function parameters noexcept {                                                           \
        return onPath(AT_FDCWD, path, follow,                                                                       \
                      [&](int, const char* at) { return DAEDALUS_NEXT(function)(at __VA_OPT__(, ) __VA_ARGS__); }); \
    }
// A call whose path counts from a directory.
#define PATH_AT_CALL(result, function, follow, parameters, ...)                                                                \
    DAEDALUS_EXPORT result function parameters noexcept {                                                                      \
        return onPath(directory, path, follow,                                                                                 \
                      [&](int from, const char* at) { return DAEDALUS_NEXT(function)(from, at __VA_OPT__(, ) __VA_ARGS__); }); \
    }
// A call on a descriptor: on the node's it does what `function` of a path does with the socket.
#define FD_CALL(result, function, pathFunction, parameters, ...)                                   \
    DAEDALUS_EXPORT result function parameters noexcept {                                          \
        uint64_t session = 0;                                                                      \
        if (isOurFile(fd, session)) return DAEDALUS_NEXT(pathFunction)(socketPath(), __VA_ARGS__); \
        return DAEDALUS_NEXT(function)(fd, __VA_ARGS__);                                           \
    }

PATH_CALL(int, chdir, true, (const char* path))
PATH_CALL(int, chmod, true, (const char* path, mode_t mode), mode)
PATH_CALL(int, chown, true, (const char* path, uid_t owner, gid_t group), owner, group)
PATH_CALL(int, lchown, false, (const char* path, uid_t owner, gid_t group), owner, group)
PATH_AT_CALL(int, fchmodat, (flags & AT_SYMLINK_NOFOLLOW) == 0, (int directory, const char* path, mode_t mode, int flags), mode,
             flags)
PATH_AT_CALL(int, fchownat, (flags & AT_SYMLINK_NOFOLLOW) == 0,
             (int directory, const char* path, uid_t owner, gid_t group, int flags), owner, group, flags)
FD_CALL(int, fchmod, chmod, (int fd, mode_t mode), mode)
FD_CALL(int, fchown, chown, (int fd, uid_t owner, gid_t group), owner, group)

PATH_CALL(int, utime, true, (const char* path, const utimbuf* times), times)
PATH_CALL(int, utimes, true, (const char* path, const timeval* times), times)
PATH_CALL(int, lutimes, false, (const char* path, const timeval* times), times)
DAEDALUS_EXPORT int utimensat(int directory, const char* path, const timespec* times, int flags) noexcept {
    uint64_t session = 0;
    const bool isNode = path == nullptr && isOurFile(directory, session);
    return onPath(directory, isNode ? socketPath() : path, (flags & AT_SYMLINK_NOFOLLOW) == 0,
                  [&](int from, const char* at) { return DAEDALUS_NEXT(utimensat)(from, at, times, flags); });
}
DAEDALUS_EXPORT int futimens(int fd, const timespec* times) noexcept {
    uint64_t session = 0;
    return isOurFile(fd, session) ? ::utimensat(AT_FDCWD, socketPath(), times, 0) : DAEDALUS_NEXT(futimens)(fd, times);
}
FD_CALL(int, futimes, utimes, (int fd, const timeval* times), times)
PATH_AT_CALL(int, futimesat, true, (int directory, const char* path, const timeval* times), times)

PATH_CALL(ssize_t, getxattr, true, (const char* path, const char* name, void* value, size_t size), name, value, size)
PATH_CALL(ssize_t, lgetxattr, false, (const char* path, const char* name, void* value, size_t size), name, value, size)
PATH_CALL(int, setxattr, true, (const char* path, const char* name, const void* value, size_t size, int flags), name, value,
          size, flags)
PATH_CALL(int, lsetxattr, false, (const char* path, const char* name, const void* value, size_t size, int flags), name, value,
          size, flags)
PATH_CALL(ssize_t, listxattr, true, (const char* path, char* list, size_t size), list, size)
PATH_CALL(ssize_t, llistxattr, false, (const char* path, char* list, size_t size), list, size)
PATH_CALL(int, removexattr, true, (const char* path, const char* name), name)
PATH_CALL(int, lremovexattr, false, (const char* path, const char* name), name)
FD_CALL(ssize_t, fgetxattr, getxattr, (int fd, const char* name, void* value, size_t size), name, value, size)
FD_CALL(int, fsetxattr, setxattr, (int fd, const char* name, const void* value, size_t size, int flags), name, value, size,
        flags)
FD_CALL(ssize_t, flistxattr, listxattr, (int fd, char* list, size_t size), list, size)
FD_CALL(int, fremovexattr, removexattr, (int fd, const char* name), name)

PATH_CALL(int, statfs, true, (const char* path, struct statfs* status), status)
PATH_CALL(int, statfs64, true, (const char* path, struct statfs64* status), status)
PATH_CALL(int, statvfs, true, (const char* path, struct statvfs* status), status)
PATH_CALL(int, statvfs64, true, (const char* path, struct statvfs64* status), status)
FD_CALL(int, fstatfs, statfs, (int fd, struct statfs* status), status)
FD_CALL(int, fstatfs64, statfs64, (int fd, struct statfs64* status), status)
FD_CALL(int, fstatvfs, statvfs, (int fd, struct statvfs* status), status)
FD_CALL(int, fstatvfs64, statvfs64, (int fd, struct statvfs64* status), status)
PATH_CALL(long, pathconf, true, (const char* path, int name), name)
PATH_CALL(int, truncate, true, (const char* path, off_t length), length)
PATH_CALL(int, truncate64, true, (const char* path, off64_t length), length)

// What would make a file where there is one already, or take ours away, which is not in any folder of the host.
#define REFUSED_CALL(function, error, at, parameters, ...)                \
    DAEDALUS_EXPORT int function parameters noexcept {                    \
        Path found;                                                       \
        if (findPath(at, path, false, found)) return errno = (error), -1; \
        return DAEDALUS_NEXT(function)(__VA_ARGS__);                      \
    }
REFUSED_CALL(mkdir, EEXIST, AT_FDCWD, (const char* path, mode_t mode), path, mode)
REFUSED_CALL(mkdirat, EEXIST, directory, (int directory, const char* path, mode_t mode), directory, path, mode)
REFUSED_CALL(mknod, EEXIST, AT_FDCWD, (const char* path, mode_t mode, dev_t device), path, mode, device)
REFUSED_CALL(mknodat, EEXIST, directory, (int directory, const char* path, mode_t mode, dev_t device), directory, path, mode,
             device)
REFUSED_CALL(symlink, EEXIST, AT_FDCWD, (const char* target, const char* path), target, path)
REFUSED_CALL(symlinkat, EEXIST, directory, (const char* target, int directory, const char* path), target, directory, path)
REFUSED_CALL(unlink, EPERM, AT_FDCWD, (const char* path), path)
REFUSED_CALL(unlinkat, EPERM, directory, (int directory, const char* path, int flags), directory, path, flags)
REFUSED_CALL(rename, EPERM, AT_FDCWD, (const char* path, const char* to), path, to)

DAEDALUS_EXPORT int inotify_add_watch(int fd, const char* path, uint32_t mask) noexcept {
    return onPath(AT_FDCWD, path, (mask & IN_DONT_FOLLOW) == 0,
                  [&](int, const char* at) { return DAEDALUS_NEXT(inotify_add_watch)(fd, at, mask); });
}

DAEDALUS_EXPORT int name_to_handle_at(int directory, const char* path, file_handle* handle, int* mount, int flags) noexcept {
    return onPath(directory, path, (flags & AT_SYMLINK_FOLLOW) != 0,
                  [&](int from, const char* at) { return DAEDALUS_NEXT(name_to_handle_at)(from, at, handle, mount, flags); });
}
