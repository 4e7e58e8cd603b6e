// The node's paths: stat, access, directories, /sys.
#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "tests/integration/socket/client.h"

namespace daedalus::test {
namespace {

void checkStat(const struct stat& status) {
    EXPECT(S_ISCHR(status.st_mode));
    EXPECT(status.st_rdev == makedev(81, 7));
}

void stats() {
    struct stat status {};
    EXPECT(::stat(kNode, &status) == 0);
    checkStat(status);
    EXPECT(::lstat(kNode, &status) == 0);
    checkStat(status);
    EXPECT(::fstatat(AT_FDCWD, "/dev/../dev//./video7", &status, 0) == 0);
    checkStat(status);
    const int dev = ::open("/dev", O_RDONLY | O_DIRECTORY);
    EXPECT(::fstatat(dev, "video7", &status, AT_SYMLINK_NOFOLLOW) == 0);
    checkStat(status);
    const int relative = ::openat(dev, "video7", O_RDWR);
    EXPECT(relative >= 0);
    EXPECT(::chdir("/dev") == 0);
    EXPECT(::access("video7", R_OK | W_OK) == 0);
    EXPECT_ERRNO(::access(kNode, X_OK), EACCES);
    EXPECT_ERRNO(::access("/dev/video8", F_OK), ENOENT);
    EXPECT_ERRNO(::open("/dev/video77", O_RDWR), ENOENT);
    EXPECT_ERRNO(::open(kNode, O_RDWR | O_DIRECTORY), ENOTDIR);
    EXPECT_ERRNO(::open(kNode, O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
    EXPECT(::fstat(relative, &status) == 0);
    checkStat(status);
    EXPECT(::fstatat(relative, "", &status, AT_EMPTY_PATH) == 0);
    checkStat(status);
    struct statx extended {};
    EXPECT(::statx(AT_FDCWD, kNode, 0, STATX_ALL, &extended) == 0);
    EXPECT(S_ISCHR(extended.stx_mode) && extended.stx_rdev_major == 81 && extended.stx_rdev_minor == 7);
    EXPECT(::statx(relative, "", AT_EMPTY_PATH, STATX_ALL, &extended) == 0);
    EXPECT(S_ISCHR(extended.stx_mode) && extended.stx_rdev_major == 81 && extended.stx_rdev_minor == 7);
    EXPECT((::fcntl(relative, F_GETFD) & FD_CLOEXEC) == 0);
    const int other = openNode(O_RDWR | O_CLOEXEC | O_NONBLOCK);
    EXPECT((::fcntl(other, F_GETFD) & FD_CLOEXEC) != 0);
    EXPECT((::fcntl(other, F_GETFL) & O_NONBLOCK) != 0);
    EXPECT((::fcntl(relative, F_GETFL) & O_NONBLOCK) == 0);
    // Real files and sockets stay what they are.
    EXPECT(::stat("/dev/null", &status) == 0 && status.st_rdev == makedev(1, 3));
    EXPECT(std::filesystem::is_character_file(kNode));
}

std::set<std::string> list(const char* path) {
    std::set<std::string> names;
    DIR* const dir = ::opendir(path);
    if (dir == nullptr) return names;
    while (const dirent* entry = ::readdir(dir)) EXPECT(names.insert(entry->d_name).second);
    ::closedir(dir);
    return names;
}

void directories() {
    const auto dev = list("/dev");
    EXPECT(dev.count("video7") == 1 && dev.count("null") == 1);
    EXPECT(list("/dev/").count("video7") == 1);
    EXPECT(list("/").count("video7") == 0);
    EXPECT(list("/sys/class/video4linux").count("video7") == 1);
    const auto device = list("/sys/dev/char/81:7");
    EXPECT(device.count("uevent") == 1 && device.count("dev") == 1 && device.count("name") == 1);
    EXPECT(::opendir("/sys/dev/char/81:7/device") == nullptr);
    bool found = false;
    for (const auto& entry : std::filesystem::directory_iterator("/dev")) {
        found = found || entry.path() == kNode;
    }
    EXPECT(found);
    dirent** entries = nullptr;
    const int count = ::scandir(
        "/dev", &entries, [](const dirent* entry) { return std::strncmp(entry->d_name, "video", 5) == 0 ? 1 : 0; },
        ::alphasort);
    EXPECT(count >= 1);
    EXPECT(std::strcmp(entries[count - 1]->d_name, "video7") == 0);
    DIR* const twice = ::opendir("/dev");
    for (int round = 0; round < 2; ++round) {
        int seen = 0;
        while (const dirent* entry = ::readdir(twice)) seen += std::strcmp(entry->d_name, "video7") == 0 ? 1 : 0;
        EXPECT(seen == 1);
        ::rewinddir(twice);
    }
    ::closedir(twice);
}

std::string slurp(const char* path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

void sysfs() {
    EXPECT(slurp("/sys/dev/char/81:7/uevent") == "MAJOR=81\nMINOR=7\nDEVNAME=video7\n");
    EXPECT(slurp("/sys/class/video4linux/video7/name") == "Fake\n");
    EXPECT(slurp("/sys/class/video4linux/video7/dev") == "81:7\n");
    const int fd = ::open("/sys/class/video4linux/video7/index", O_RDONLY | O_CLOEXEC);
    char text[8] = {};
    EXPECT(fd >= 0 && ::read(fd, text, sizeof text) == 2 && text[0] == '0');
    FILE* const stream = std::fopen("/sys/dev/char/81:7/dev", "r");
    unsigned major = 0;
    unsigned minor = 0;
    EXPECT(stream != nullptr && std::fscanf(stream, "%u:%u", &major, &minor) == 2 && major == 81 && minor == 7);
    std::fclose(stream);
    char link[256] = {};
    EXPECT(::readlink("/sys/dev/char/81:7", link, sizeof link) > 0);
    EXPECT(std::strcmp(link, "../../devices/virtual/video4linux/video7") == 0);
    char resolved[4096];
    EXPECT(::realpath("/sys/class/video4linux/video7", resolved) != nullptr);
    EXPECT(std::strcmp(resolved, "/sys/devices/virtual/video4linux/video7") == 0);
    struct stat status {};
    EXPECT(::stat("/sys/class/video4linux/video7", &status) == 0 && S_ISDIR(status.st_mode));
    EXPECT(::lstat("/sys/class/video4linux/video7", &status) == 0 && S_ISLNK(status.st_mode));
    EXPECT_ERRNO(::open("/sys/dev/char/81:7/uevent", O_WRONLY), EACCES);
    EXPECT(::access("/sys/dev/char/81:7/uevent", R_OK) == 0);
}

}  // namespace

void addPathCases(Cases& cases) {
    cases["stat"] = stats;
    cases["directories"] = directories;
    cases["sysfs"] = sysfs;
}

}  // namespace daedalus::test
