// Calls by number, calls on the node's attributes, and all calls on paths in a thread with little stack.
#include <dirent.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

#include <string>

#include "tests/integration/socket/client.h"

namespace daedalus::test {
namespace {

bool isNode(const struct stat& status) { return S_ISCHR(status.st_mode) && status.st_rdev == makedev(81, 7); }
bool isNode(const struct statx& status) {
    return S_ISCHR(status.stx_mode) && status.stx_rdev_major == 81 && status.stx_rdev_minor == 7;
}

int openRaw() {
    const long fd = ::syscall(SYS_openat, AT_FDCWD, kNode, O_RDWR);
    EXPECT(fd >= 0);
    return static_cast<int>(fd);
}

void rawPaths() {
    struct stat status {};
    const int fd = openRaw();
    const long dev = ::syscall(SYS_openat, AT_FDCWD, "/dev", O_RDONLY | O_DIRECTORY);
    open_how how{};
    how.flags = O_RDWR | O_CLOEXEC;
    const long second = ::syscall(SYS_openat2, dev, "video7", &how, sizeof how);
    EXPECT(second >= 0 && ask(static_cast<int>(second), kSessions) == 2);
    EXPECT((::fcntl(static_cast<int>(second), F_GETFD) & FD_CLOEXEC) != 0);
    EXPECT(::syscall(SYS_close, second) == 0);
    expectSessions(fd, 1);
    EXPECT_ERRNO(::syscall(SYS_openat2, AT_FDCWD, "/dev/video8", &how, sizeof how), ENOENT);
    EXPECT_ERRNO(::syscall(SYS_openat2, AT_FDCWD, kNode, &how, size_t{1}), EINVAL);
    EXPECT_ERRNO(::syscall(SYS_openat2, AT_FDCWD, kNode, nullptr, sizeof how), EFAULT);
    EXPECT(::syscall(SYS_newfstatat, AT_FDCWD, kNode, &status, 0) == 0 && isNode(status));
    EXPECT(::syscall(SYS_newfstatat, dev, "video7", &status, AT_SYMLINK_NOFOLLOW) == 0 && isNode(status));
    EXPECT(::syscall(SYS_newfstatat, fd, "", &status, AT_EMPTY_PATH) == 0 && isNode(status));
    EXPECT(::syscall(SYS_fstat, fd, &status) == 0 && isNode(status));
    EXPECT_ERRNO(::syscall(SYS_newfstatat, AT_FDCWD, kNode, nullptr, 0), EFAULT);
    struct statx extended {};
    EXPECT(::syscall(SYS_statx, AT_FDCWD, kNode, 0, STATX_ALL, &extended) == 0 && isNode(extended));
    EXPECT(::syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_ALL, &extended) == 0 && isNode(extended));
    EXPECT_ERRNO(::syscall(SYS_statx, AT_FDCWD, "/dev/video8", 0, STATX_ALL, &extended), ENOENT);
    EXPECT(::syscall(SYS_faccessat, AT_FDCWD, kNode, R_OK | W_OK) == 0);
    EXPECT(::syscall(SYS_faccessat2, dev, "video7", R_OK, 0) == 0);
    EXPECT_ERRNO(::syscall(SYS_faccessat, AT_FDCWD, kNode, X_OK), EACCES);
    char text[64] = {};
    EXPECT_ERRNO(::syscall(SYS_readlinkat, AT_FDCWD, kNode, text, sizeof text), EINVAL);
    const std::string byNumber = "/proc/self/fd/" + std::to_string(fd);
    EXPECT(::syscall(SYS_readlinkat, AT_FDCWD, byNumber.c_str(), text, sizeof text) == 11 && std::strcmp(text, kNode) == 0);
    EXPECT(::syscall(SYS_chdir, "/sys/class/video4linux/video7") == 0);
    char folder[PATH_MAX];
    EXPECT(::syscall(SYS_getcwd, folder, sizeof folder) == 40);
    EXPECT(std::strcmp(folder, "/sys/devices/virtual/video4linux/video7") == 0);
    const long file = ::syscall(SYS_openat, AT_FDCWD, "/sys/dev/char/81:7/uevent", O_RDONLY);
    EXPECT(file >= 0 && ::syscall(SYS_read, file, text, sizeof text) > 0);
    EXPECT(::syscall(SYS_fchmodat, AT_FDCWD, kNode, 0640) == 0);
    EXPECT(::stat(kNode, &status) == 0 && (status.st_mode & 0777) == 0640);
    EXPECT(::syscall(SYS_llistxattr, kNode, text, sizeof text) >= 0);
#ifdef SYS_open
    const long third = ::syscall(SYS_open, kNode, O_RDWR | O_NONBLOCK);
    EXPECT(third >= 0 && ::syscall(SYS_close, third) == 0);
    EXPECT(::syscall(SYS_stat, kNode, &status) == 0 && isNode(status));
    EXPECT(::syscall(SYS_lstat, kNode, &status) == 0 && isNode(status));
    EXPECT(::syscall(SYS_access, kNode, R_OK) == 0);
    EXPECT_ERRNO(::syscall(SYS_readlink, kNode, text, sizeof text), EINVAL);
    EXPECT(::syscall(SYS_chmod, kNode, 0600) == 0);
#endif
    EXPECT_ERRNO(::syscall(SYS_openat, AT_FDCWD, nullptr, O_RDWR), EFAULT);
    EXPECT_ERRNO(::syscall(SYS_openat, AT_FDCWD, 1L, O_RDWR), EFAULT);
}

/// The waits, for what only the library knows: POLLPRI and POLLERR.
void rawWaits() {
    const int fd = openRaw();
    const long dup = ::syscall(SYS_dup, fd);
    pollfd entry{static_cast<int>(dup), POLLIN | POLLPRI, 0};
    const timespec moment{0, 1'000'000};
    timespec left = moment;
    EXPECT(::syscall(SYS_ppoll, &entry, 1L, &left, nullptr, 8L) == 0);
    EXPECT(left.tv_sec == 0 && left.tv_nsec == 0);
    steer(fd, kEvents, 1);
    left = {3600, 0};
    EXPECT(::syscall(SYS_ppoll, &entry, 1L, &left, nullptr, 8L) == 1 && entry.revents == POLLPRI);
    EXPECT(left.tv_sec >= 3000 && left.tv_sec < 3600);
    fd_set exceptions;
    FD_ZERO(&exceptions);
    FD_SET(fd, &exceptions);
    left = moment;
    EXPECT(::syscall(SYS_pselect6, fd + 1L, nullptr, nullptr, &exceptions, &left, nullptr) == 1);
    EXPECT(FD_ISSET(fd, &exceptions));
    const int set = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event event{};
    event.events = EPOLLPRI;
    event.data.u64 = 77;
    EXPECT(::syscall(SYS_epoll_ctl, set, EPOLL_CTL_ADD, fd, &event) == 0);
    event = {};
    EXPECT(::syscall(SYS_epoll_pwait, set, &event, 1L, 1000L, nullptr, 8L) == 1);
    EXPECT(event.events == EPOLLPRI && event.data.u64 == 77);
#ifdef SYS_poll
    EXPECT(::syscall(SYS_poll, &entry, 1L, 1000L) == 1 && entry.revents == POLLPRI);
    timeval time{1, 0};
    EXPECT(::syscall(SYS_select, fd + 1L, nullptr, nullptr, &exceptions, &time) == 1);
    EXPECT(::syscall(SYS_epoll_wait, set, &event, 1L, 1000L) == 1 && event.events == EPOLLPRI);
#endif
    char byte = 0;
    iovec part{&byte, 1};
    EXPECT_ERRNO(::syscall(SYS_read, fd, &byte, 1L), EINVAL);
    EXPECT_ERRNO(::syscall(SYS_writev, fd, &part, 1L), EINVAL);
    // Descriptors of the program's own, and none.
    int pipe[2];
    EXPECT(::pipe(pipe) == 0 && ::syscall(SYS_write, pipe[1], "x", 1L) == 1);
    pollfd own{pipe[0], POLLIN, 0};
    left = {3600, 0};
    EXPECT(::syscall(SYS_ppoll, &own, 1L, &left, nullptr, 8L) == 1 && own.revents == POLLIN);
    EXPECT_ERRNO(::syscall(SYS_fstat, -1, nullptr), EBADF);
}

void attributes() {
    struct stat status {};
    const int fd = openNode();
    EXPECT(::chmod(kNode, 0604) == 0 && ::stat(kNode, &status) == 0 && status.st_mode == (S_IFCHR | 0604));
    EXPECT(::fchmod(fd, 0640) == 0 && ::fstat(fd, &status) == 0 && status.st_mode == (S_IFCHR | 0640));
    EXPECT(::fchmodat(AT_FDCWD, kNode, 0600, 0) == 0 && ::lstat(kNode, &status) == 0 && status.st_mode == (S_IFCHR | 0600));
    EXPECT(::chown(kNode, status.st_uid, status.st_gid) == 0 && ::lchown(kNode, static_cast<uid_t>(-1), status.st_gid) == 0);
    EXPECT(::fchownat(AT_FDCWD, kNode, status.st_uid, static_cast<gid_t>(-1), AT_SYMLINK_NOFOLLOW) == 0);
    const timespec times[2] = {{1000, 0}, {2000, 0}};
    EXPECT(::utimensat(AT_FDCWD, kNode, times, 0) == 0 && ::stat(kNode, &status) == 0);
    EXPECT(status.st_atime == 1000 && status.st_mtime == 2000);
    EXPECT(::futimens(fd, nullptr) == 0 && ::fstat(fd, &status) == 0 && status.st_mtime > 2000);
    EXPECT(::syscall(SYS_utimensat, fd, nullptr, times, 0) == 0 && ::fstat(fd, &status) == 0 && status.st_mtime == 2000);
    const timeval older[2] = {{10, 0}, {20, 0}};
    EXPECT(::utimes(kNode, older) == 0 && ::stat(kNode, &status) == 0 && status.st_mtime == 20);
    const utimbuf oldest{1, 2};
    EXPECT(::utime(kNode, &oldest) == 0 && ::stat(kNode, &status) == 0 && status.st_mtime == 2);
    // As of any device file that has none.
    char list[256];
    char value[64];
    const ssize_t names = ::listxattr(kNode, list, sizeof list);
    EXPECT(names >= 0 && ::llistxattr(kNode, list, sizeof list) == names && ::flistxattr(fd, list, sizeof list) == names);
    EXPECT_ERRNO(::getxattr(kNode, "user.none", value, sizeof value), ENODATA);
    EXPECT_ERRNO(::lgetxattr(kNode, "user.none", value, sizeof value), ENODATA);
    EXPECT_ERRNO(::fgetxattr(fd, "user.none", value, sizeof value), ENODATA);
    EXPECT_ERRNO(::setxattr(kNode, "user.none", "x", 1, 0), EPERM);
    EXPECT(::removexattr(kNode, "user.none") == -1 && errno != ENOENT);
    struct statvfs volume {};
    EXPECT(::statvfs(kNode, &volume) == 0 && volume.f_bsize > 0);
    EXPECT(::pathconf(kNode, _PC_LINK_MAX) > 0);
    EXPECT_ERRNO(::truncate(kNode, 0), EINVAL);
    EXPECT_ERRNO(::chdir(kNode), ENOTDIR);
    // There is a file already, and it is none of a folder's.
    EXPECT_ERRNO(::mkdir(kNode, 0700), EEXIST);
    EXPECT_ERRNO(::mknod(kNode, S_IFIFO | 0600, 0), EEXIST);
    EXPECT_ERRNO(::symlink("/dev/null", kNode), EEXIST);
    EXPECT_ERRNO(::syscall(SYS_symlinkat, "/dev/null", AT_FDCWD, kNode), EEXIST);
    EXPECT_ERRNO(::syscall(SYS_mkdirat, AT_FDCWD, kNode, 0700), EEXIST);
    EXPECT_ERRNO(::unlink(kNode), EPERM);
    EXPECT_ERRNO(::rename(kNode, "/dev/video8"), EPERM);
    // A watch is told of what happens to the node.
    const int watcher = ::inotify_init1(IN_CLOEXEC);
    EXPECT(::inotify_add_watch(watcher, kNode, IN_ATTRIB) >= 0);
    EXPECT(::inotify_add_watch(watcher, "/dev", IN_CREATE) >= 0);
    EXPECT(::chmod(kNode, 0600) == 0);
    pollfd entry{watcher, POLLIN, 0};
    EXPECT(::poll(&entry, 1, 5000) == 1);
    EXPECT_ERRNO(::inotify_add_watch(watcher, "/dev/video8", IN_ATTRIB), ENOENT);
}

/// Everything above that takes a path, with relative paths where they can be.
void callAll() {
    struct stat status {};
    struct statx extended {};
    char text[64];
    for (const char* path :
         {"video7", "video_not_there", kNode, "/proc/self/fd/0", "/tmp/none", "/sys/class/video4linux/video7"}) {
        const int fd = ::open(path, O_RDONLY | O_NONBLOCK);
        ::fstat(fd, &status);
        ::close(fd);
        ::close(::openat(AT_FDCWD, path, O_PATH));
        if (FILE* const stream = std::fopen(path, "r")) std::fclose(stream);
        ::stat(path, &status);
        ::lstat(path, &status);
        ::fstatat(AT_FDCWD, path, &status, 0);
        ::statx(AT_FDCWD, path, 0, STATX_ALL, &extended);
        EXPECT(::access(path, R_OK) == ::faccessat(AT_FDCWD, path, R_OK, 0));
        EXPECT(::readlink(path, text, sizeof text) <= static_cast<ssize_t>(sizeof text));
        ::getxattr(path, "user.none", text, sizeof text);
        ::utimensat(AT_FDCWD, path, nullptr, 0);
        if (DIR* const dir = ::opendir(path)) {
            while (::readdir(dir) != nullptr) {
            }
            ::closedir(dir);
        }
        EXPECT(::syscall(SYS_newfstatat, AT_FDCWD, path, &status, 0) <= 0);
        EXPECT(::syscall(SYS_statx, AT_FDCWD, path, 0, STATX_ALL, &extended) <= 0);
        ::syscall(SYS_close, ::syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK));
    }
}

/// Calls on a file of the node's, which was opened by another thread.
void callOnFile(int fd) {
    v4l2_capability capability{};
    EXPECT(::ioctl(fd, VIDIOC_QUERYCAP, &capability) == 0);
    v4l2_ext_control control{};
    v4l2_ext_controls controls{};
    controls.count = 1;
    controls.controls = &control;
    EXPECT(::ioctl(fd, VIDIOC_G_EXT_CTRLS, &controls) == 0 && control.value == 1);
    pollfd entry{fd, POLLIN | POLLPRI, 0};
    EXPECT(::poll(&entry, 1, 1) == 0);
    timeval moment{0, 1000};
    fd_set exceptions;
    FD_ZERO(&exceptions);
    FD_SET(fd, &exceptions);
    EXPECT(::select(FD_SETSIZE, nullptr, nullptr, &exceptions, &moment) == 0);
    EXPECT(queue(fd, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE) == 0);
    epoll_event event{};
    event.events = EPOLLPRI;
    const int set = ::epoll_create1(EPOLL_CLOEXEC);
    EXPECT(::epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0 && ::epoll_wait(set, &event, 1, 1) >= 0);
    ::close(set);
    ::close(fd);
}

void smallStack() {
    EXPECT(::chdir("/dev") == 0);
    pthread_attr_t attributes;
    EXPECT(::pthread_attr_init(&attributes) == 0);
    EXPECT(::pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN) == 0);
    int fd = openNode();
    const auto run = [](void* file) -> void* {
        callAll();
        callOnFile(*static_cast<int*>(file));
        return nullptr;
    };
    pthread_t thread{};
    EXPECT(::pthread_create(&thread, &attributes, run, &fd) == 0);
    EXPECT(::pthread_join(thread, nullptr) == 0);
}

}  // namespace

void addRawCases(Cases& cases) {
    cases["raw_paths"] = rawPaths;
    cases["raw_waits"] = rawWaits;
    cases["attributes"] = attributes;
    cases["small_stack"] = smallStack;
}

}  // namespace daedalus::test
