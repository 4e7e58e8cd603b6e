#include "src/preload/paths.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "src/preload/file.h"
#include "src/preload/next.h"
#include "src/preload/process.h"
#include "src/preload/real.h"

namespace daedalus::preload {
namespace {

constexpr const char* kFiles[] = {"uevent", "dev", "name", "index"};
constexpr const char* kDeviceFolder = "/sys/devices/virtual/video4linux";

/// Appends `length` characters; false if they do not fit.
bool append(char* out, size_t size, size_t& used, const char* text, size_t length) {
    if (used + length + 1 > size) return false;
    std::memcpy(out + used, text, length);
    used += length;
    out[used] = '\0';
    return true;
}

/// Takes "//", "/./" and "/../" out of an absolute path.
bool collapse(const char* path, char* out, size_t size) {
    size_t used = 0;
    out[0] = '\0';
    for (const char* at = path; *at != '\0';) {
        while (*at == '/') ++at;
        const size_t length = std::strcspn(at, "/");
        if (length == 0) break;
        if (length == 2 && at[0] == '.' && at[1] == '.') {
            while (used > 0 && out[--used] != '/') {
            }
            out[used] = '\0';
        } else if (length != 1 || at[0] != '.') {
            if (!append(out, size, used, "/", 1) || !append(out, size, used, at, length)) return false;
        }
        at += length;
    }
    return used > 0 || append(out, size, used, "/", 1);
}

const char* nodeName(const proto::HelloBody& hello) {
    const char* const slash = std::strrchr(hello.nodePath, '/');
    return slash != nullptr ? slash + 1 : hello.nodePath;
}

/// The rest of `path` after the folder "prefix/name" (or "prefix" and "name" with `glue` between), or nullptr.
const char* restAfter(const char* path, const char* folder) {
    const size_t length = std::strlen(folder);
    if (std::strncmp(path, folder, length) != 0) return nullptr;
    return path[length] == '\0' || path[length] == '/' ? path + length : nullptr;
}

/// Cheap: most paths of a program are none of ours, and the daemon shall not be asked for them.
bool mayBeOurs(const char* path) { return std::strstr(path, "video") != nullptr || std::strstr(path, "81:") != nullptr; }

Path classifyDevice(const proto::HelloBody& hello, const char* path, bool follow) {
    char folder[3][96];
    ::snprintf(folder[0], sizeof folder[0], "%s/%s", kDeviceFolder, nodeName(hello));
    ::snprintf(folder[1], sizeof folder[1], "%s/%s", kClassFolder, nodeName(hello));
    ::snprintf(folder[2], sizeof folder[2], "/sys/dev/char/%u:%u", hello.major, hello.minor);
    Path result;
    for (int i = 0; i < 3; ++i) {
        const char* const rest = restAfter(path, folder[i]);
        if (rest == nullptr) continue;
        if (rest[0] == '\0') {
            const bool link = i > 0 && !follow;
            result.kind = link ? PathKind::Link : PathKind::Directory;
            ::snprintf(result.target, sizeof result.target, "%s%s", link ? "../.." : "/sys", folder[0] + std::strlen("/sys"));
            return result;
        }
        if (std::strcmp(rest, "/subsystem") == 0) {
            result.kind = follow ? PathKind::Class : PathKind::Link;
            ::snprintf(result.target, sizeof result.target, "%s", follow ? kClassFolder : "../../../../class/video4linux");
            return result;
        }
        for (const char* file : kFiles) {
            if (std::strcmp(rest + 1, file) != 0) continue;
            result.kind = PathKind::File;
            result.name = file;
            ::snprintf(result.target, sizeof result.target, "%s/%s", folder[0], file);
            return result;
        }
    }
    return result;
}

bool isRealDirectory(const char* path) {
    struct stat status;
    const KeepErrno keep;
    return realStat(path, &status) == 0;
}

/// A file that reads as `name` in the device's folder.
int openFile(const char* name, int flags) {
    if ((flags & O_ACCMODE) != O_RDONLY) return errno = EACCES, -1;
    char content[256];
    const proto::HelloBody* const hello = node();
    const size_t length = hello != nullptr ? fileContent(*hello, name, content, sizeof content) : 0;
    const int fd = ::memfd_create("daedalus-sysfs", (flags & O_CLOEXEC) != 0 ? MFD_CLOEXEC : 0);
    if (fd < 0) return -1;
    if (DAEDALUS_NEXT(write)(fd, content, length) != static_cast<ssize_t>(length) || ::lseek(fd, 0, SEEK_SET) != 0) {
        realClose(fd);
        return errno = EIO, -1;
    }
    return fd;
}

}  // namespace

const char* fileName(size_t index) { return index < sizeof kFiles / sizeof kFiles[0] ? kFiles[index] : nullptr; }

bool normalise(int directory, const char* path, char* out, size_t size) {
    const KeepErrno keep;
    if (path[0] == '/') return collapse(path, out, size);
    char joined[2 * PATH_MAX];
    if (directory == AT_FDCWD) {
        if (::getcwd(joined, PATH_MAX) == nullptr) return false;
    } else {
        char link[32];
        ::snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        const ssize_t length = realReadlink(link, joined, PATH_MAX - 1);
        if (length <= 0) return false;
        joined[length] = '\0';
    }
    size_t used = std::strlen(joined);
    const size_t length = ::strnlen(path, PATH_MAX);
    if (!append(joined, sizeof joined, used, "/", 1) || !append(joined, sizeof joined, used, path, length)) return false;
    return collapse(joined, out, size);
}

Path classify(int directory, const char* path, bool follow) {
    Path result;
    if (path == nullptr || socketPath() == nullptr || !mayBeOurs(path)) return result;
    char full[256];
    if (!normalise(directory, path, full, sizeof full)) return result;
    if (std::strncmp(full, "/dev/", 5) != 0 && std::strncmp(full, "/sys/", 5) != 0) return result;
    const proto::HelloBody* const hello = node();
    if (hello == nullptr) return result;
    if (std::strcmp(full, hello->nodePath) == 0) {
        result.kind = PathKind::Node;
        ::snprintf(result.target, sizeof result.target, "%s", full);
        return result;
    }
    if (std::strcmp(full, kClassFolder) == 0 && !isRealDirectory(kClassFolder)) {
        result.kind = PathKind::Class;
        ::snprintf(result.target, sizeof result.target, "%s", full);
        return result;
    }
    return classifyDevice(*hello, full, follow);
}

size_t fileContent(const proto::HelloBody& hello, const char* name, char* buffer, size_t size) {
    int length = 0;
    if (std::strcmp(name, "uevent") == 0) {
        length = ::snprintf(buffer, size, "MAJOR=%u\nMINOR=%u\nDEVNAME=%s\n", hello.major, hello.minor, nodeName(hello));
    } else if (std::strcmp(name, "dev") == 0) {
        length = ::snprintf(buffer, size, "%u:%u\n", hello.major, hello.minor);
    } else if (std::strcmp(name, "name") == 0) {
        length = ::snprintf(buffer, size, "%s\n", hello.card);
    } else {
        length = ::snprintf(buffer, size, "0\n");
    }
    return length > 0 ? static_cast<size_t>(length) : 0;
}

bool openPath(int directory, const char* path, int flags, int& fd) {
    const Path found = classify(directory, path, true);
    switch (found.kind) {
        case PathKind::Node:
            fd = openNode(flags);
            return true;
        case PathKind::File:
            fd = openFile(found.name, flags);
            return true;
        default:
            return false;
    }
}

bool statNode(struct stat* status) {
    const proto::HelloBody* const hello = node();
    const KeepErrno keep;
    // A node that every host has tells what owner, device and times look like here.
    if (hello == nullptr || realStat("/dev/null", status) != 0) return false;
    status->st_mode = S_IFCHR | 0660;
    status->st_rdev = makedev(hello->major, hello->minor);
    status->st_ino = 0x4456000000 + hello->minor;
    return true;
}

bool statPath(int directory, const char* path, bool follow, struct stat* status) {
    const Path found = classify(directory, path, follow);
    if (found.kind == PathKind::None) return false;
    if (found.kind == PathKind::Node) return statNode(status);
    const KeepErrno keep;
    if (realStat("/", status) != 0) return false;
    status->st_rdev = 0;
    status->st_nlink = 1;
    status->st_size = 0;
    status->st_blocks = 0;
    if (found.kind == PathKind::File) {
        status->st_mode = S_IFREG | 0444;
        status->st_size = 4096;
    } else {
        status->st_mode = found.kind == PathKind::Link ? S_IFLNK | 0777 : S_IFDIR | 0755;
    }
    status->st_ino = 0x4456800000 + static_cast<ino_t>(found.kind) * 16 + static_cast<ino_t>(found.name[0] % 16);
    return true;
}

}  // namespace daedalus::preload
