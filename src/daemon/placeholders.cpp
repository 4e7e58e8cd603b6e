#include "placeholders.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <spdlog/fmt/fmt.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <tuple>
#include <utility>

#include "daedalus/base/unique_fd.h"

namespace daedalus::daemon {
namespace {

constexpr const char* kDevices = "/dev";
/// The placeholder's device, which does the least to who takes it for something else.
constexpr const char* kNull = "null";
/// By which programs of v4l-utils tell what kind of node a device is.
constexpr const char* kNullDescription = "/sys/dev/char/1:3/uevent";
constexpr mode_t kForAll = 0666;
constexpr unsigned kCopy = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;

Result<> failed() { return fail(errno); }

Result<> writeTo(const char* path, const std::string& text) {
    const UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
    if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return failed();
    return {};
}

Result<> unshare(PlaceholderWay way) {
    if (way == PlaceholderWay::MountNamespace) return ::unshare(CLONE_NEWNS) == 0 ? Result<>() : failed();
    const uid_t user = ::geteuid();
    const gid_t group = ::getegid();
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return failed();
    // Whoever may map no user but himself may not drop groups either: they could be what keeps him from a file.
    if (auto denied = writeTo("/proc/self/setgroups", "deny"); !denied) return denied;
    if (auto mapped = writeTo("/proc/self/uid_map", fmt::format("{0} {0} 1", user)); !mapped) return mapped;
    return writeTo("/proc/self/gid_map", fmt::format("{0} {0} 1", group));
}

/// Mounts what is at `name` of `from`, with all that is mounted below it, at `path`.
Result<> bind(int from, const char* name, const std::string& path) {
    const UniqueFd tree(::open_tree(from, name, kCopy));
    if (!tree || ::move_mount(tree.get(), "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) return failed();
    return {};
}

Result<> makeFile(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kForAll));
    return file ? Result<>() : failed();
}

/// The same entry in the new /dev as in `host`, the one that it covers.
Result<> copyEntry(int host, const char* name) {
    struct stat status {};
    if (::fstatat(host, name, &status, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0)
        return errno == ENOENT ? Result<>() : failed();
    const std::string path = std::string(kDevices) + '/' + name;
    if (S_ISLNK(status.st_mode)) {
        std::array<char, PATH_MAX> target{};
        if (::readlinkat(host, name, target.data(), target.size() - 1) < 0) return failed();
        return ::symlink(target.data(), path.c_str()) == 0 ? Result<>() : failed();
    }
    const auto made = !S_ISDIR(status.st_mode) ? makeFile(path) : ::mkdir(path.c_str(), 0755) == 0 ? Result<>() : failed();
    return made ? bind(host, name, path) : made;
}

/// A device of its own where that may be made, so that a change of its rights changes nobody else's; the host's elsewhere.
Result<> makePlaceholder(int host, const std::string& path) {
    struct stat null {};
    if (::fstatat(host, kNull, &null, 0) != 0) return failed();
    if (::mknod(path.c_str(), S_IFCHR | kForAll, null.st_rdev) != 0) {
        if (errno != EPERM) return failed();
        if (::geteuid() == 0 && null.st_uid == 0) return fail(EPERM);
        if (auto made = makeFile(path); !made) return made;
        if (auto bound = bind(host, kNull, path); !bound) return bound;
    }
    // A /dev of which nothing may be opened as a device would be worse than none.
    const UniqueFd opened(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    return opened ? Result<>() : failed();
}

/// Programs of v4l-utils look the device's name up by its numbers. Where they cannot be told, they refuse the node.
void describeNull(const std::string& path) {
    const std::string file = std::string(kDevices) + "/.uevent";
    if (!makeFile(file)) return;
    const std::string name = path.substr(std::strlen(kDevices) + 1);
    if (writeTo(file.c_str(), fmt::format("MAJOR=1\nMINOR=3\nDEVNAME={}\nDEVMODE=0666\n", name)))
        std::ignore = bind(AT_FDCWD, file.c_str(), kNullDescription);
    ::unlink(file.c_str());
}

Result<> fillDevices(int host, const std::vector<std::string>& paths) {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(::openat(host, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
                                                     ::closedir);
    if (!folder) return failed();
    while (const dirent* const entry = ::readdir(folder.get())) {
        const std::string_view name = entry->d_name;
        if (name == "." || name == "..") continue;
        if (auto copied = copyEntry(host, entry->d_name); !copied) return copied;
    }
    bool described = false;
    for (const std::string& path : paths) {
        if (::access(path.c_str(), F_OK) == 0) continue;
        if (auto made = makePlaceholder(host, path); !made) return made;
        if (!std::exchange(described, true)) describeNull(path);
    }
    // The folder is no more writable than the host's.
    if (::geteuid() != 0 && ::chmod(kDevices, 0555) != 0) return failed();
    return {};
}

/// What way this process could take.
PlaceholderWay likelyWay() {
    if (::getuid() != ::geteuid() || ::getgid() != ::getegid()) return PlaceholderWay::None;
    // root in a user namespace of its own would lose its rights over files of others.
    return ::geteuid() == 0 ? PlaceholderWay::MountNamespace : PlaceholderWay::UserNamespace;
}

std::string obstacleOf(int error) {
    if (::geteuid() == 0) return fmt::format("mounting in /dev is refused ({})", std::strerror(error));
    return fmt::format(
        "a user namespace with a /dev of its own is refused ({}); see user.max_user_namespaces, "
        "kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns",
        std::strerror(error));
}

}  // namespace

Result<> showPlaceholders(PlaceholderWay way, const std::vector<std::string>& paths) {
    if (way == PlaceholderWay::None) return {};
    std::array<char, PATH_MAX> place{};
    const bool hasPlace = ::getcwd(place.data(), place.size()) != nullptr;
    // No mask of the caller's may take others their rights.
    const mode_t mask = ::umask(0);
    const auto show = [&]() -> Result<> {
        if (auto left = unshare(way); !left) return left;
        // Mounts of the host still come in; ours do not get out.
        if (::mount(nullptr, "/", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) return failed();
        const UniqueFd host(::open(kDevices, O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!host || ::mount("daedalus", kDevices, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755") != 0) return failed();
        return fillDevices(host.get(), paths);
    };
    const auto shown = show();
    ::umask(mask);
    // In /dev it would be in the covered one.
    if (hasPlace && std::string_view(place.data()).starts_with(kDevices) && ::chdir(place.data()) != 0 && shown)
        return failed();
    return shown;
}

PlaceholderTier findPlaceholderWay() {
    const PlaceholderWay way = likelyWay();
    if (way == PlaceholderWay::None) return {.way = way, .obstacle = "this process runs with the rights of another user"};
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
        return {PlaceholderWay::None, obstacleOf(errno)};
    const UniqueFd ours(ends[0]);
    UniqueFd theirs(ends[1]);
    const pid_t pid = ::fork();
    if (pid == 0) {
        const auto shown = showPlaceholders(way, {"/dev/video"});
        const int error = shown ? 0 : shown.error().value;
        ::_exit(::send(theirs.get(), &error, sizeof error, MSG_NOSIGNAL) == sizeof error ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    int error = errno;
    theirs.reset();
    if (pid > 0) {
        // A filter over this process may kill it for the attempt.
        error = EPERM;
        while (::recv(ours.get(), &error, sizeof error, 0) < 0 && errno == EINTR) {
        }
        while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
        }
    }
    if (error == 0) return {.way = way, .obstacle = {}};
    return {PlaceholderWay::None, obstacleOf(error)};
}

std::string describe(const PlaceholderTier& tier, const std::string& nodes) {
    switch (tier.way) {
        case PlaceholderWay::MountNamespace:
            return fmt::format("{} can be seen in a /dev that the program has for itself", nodes);
        case PlaceholderWay::UserNamespace:
            return fmt::format(
                "{} can be seen in a /dev that the program has for itself, in a user namespace: other users and "
                "groups are nobody there",
                nodes);
        case PlaceholderWay::None:
            break;
    }
    return fmt::format("{} can be opened, but not seen by stat() and readdir(): {}", nodes, tier.obstacle);
}

}  // namespace daedalus::daemon
