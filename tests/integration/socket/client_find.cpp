// The ways by which programs find or reach the node other than by opening its path.
#include <dirent.h>
#include <fts.h>
#include <ftw.h>
#include <glob.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <wordexp.h>

#include <string>
#include <vector>

#include "tests/integration/socket/client.h"

namespace daedalus::test {
namespace {

using Names = std::vector<std::string>;

size_t count(const Names& names, const std::string& name) {
    size_t found = 0;
    for (const auto& each : names) found += each == name ? 1 : 0;
    return found;
}

/// The node is there, once; so is a neighbour of it.
void expectNode(const Names& names, const std::string& folder = "/dev/") {
    EXPECT(count(names, folder + "video7") == 1);
    EXPECT(count(names, folder + "null") == 1);
}

Names byGlob(const char* pattern, int flags = 0) {
    glob_t found{};
    Names names;
    if (::glob(pattern, flags, nullptr, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; ++i) names.emplace_back(found.gl_pathv[i]);
    }
    ::globfree(&found);
    return names;
}

Names byWords(const char* text, int flags = 0) {
    wordexp_t words{};
    EXPECT(::wordexp(text, &words, flags) == 0);
    Names names;
    for (size_t i = 0; i < words.we_wordc; ++i) names.emplace_back(words.we_wordv[i]);
    EXPECT(words.we_wordv[words.we_wordc] == nullptr);
    ::wordfree(&words);
    return names;
}

void globs() {
    expectNode(byGlob("/dev/*"));
    EXPECT(byGlob("/dev/video7") == Names{"/dev/video7"});
    EXPECT(count(byGlob("/d*/vide[a-z]?"), "/dev/video7") == 1);
    EXPECT(count(byGlob("/dev/{null,video7}", GLOB_BRACE), "/dev/video7") == 1);
    EXPECT(byGlob("/dev/video8*").empty());
    EXPECT(count(byGlob("/sys/class/video4linux/*"), "/sys/class/video4linux/video7") == 1);
    EXPECT(count(byGlob("/sys/class/video4linux/video*/uevent"), "/sys/class/video4linux/video7/uevent") == 1);
    EXPECT(::chdir("/dev") == 0);
    expectNode(byGlob("*"), "");
    // What the caller brings itself is left alone.
    glob_t own{};
    own.gl_opendir = [](const char*) -> void* { return nullptr; };
    own.gl_readdir = [](void*) -> dirent* { return nullptr; };
    own.gl_closedir = [](void*) {};
    own.gl_stat = own.gl_lstat = [](const char*, struct stat*) { return -1; };
    EXPECT(::glob("/dev/vid*", GLOB_ALTDIRFUNC, nullptr, &own) == GLOB_NOMATCH);
}

void words() {
    expectNode(byWords("/dev/*"));
    EXPECT(byWords("/dev/video[7]") == Names{"/dev/video7"});
    EXPECT(byWords("a '/dev/video*' \"/dev/video*\" /dev/video\\* /dev/video7* b") ==
           (Names{"a", "/dev/video*", "/dev/video*", "/dev/video*", "/dev/video7", "b"}));
    EXPECT(byWords("/dev/video8? x[") == (Names{"/dev/video8?", "x["}));
    ::setenv("FOLDER", "/dev", 1);
    EXPECT(byWords("$FOLDER/video7* ${FOLDER#/*}") == (Names{"/dev/video7", "dev"}));
    EXPECT(byWords("$((2*3)) `echo '*'x`") == (Names{"6", "*x"}));
    wordexp_t more{};
    more.we_offs = 2;
    EXPECT(::wordexp("first", &more, WRDE_DOOFFS) == 0);
    EXPECT(::wordexp("/dev/video7* /dev/nul*", &more, WRDE_DOOFFS | WRDE_APPEND) == 0);
    EXPECT(more.we_wordc == 3 && std::strcmp(more.we_wordv[3], "/dev/video7") == 0 && more.we_wordv[5] == nullptr);
    EXPECT(std::strcmp(more.we_wordv[4], "/dev/null") == 0);
    ::wordfree(&more);
    EXPECT(::wordexp("a|b", &more, 0) == WRDE_BADCHAR);
}

Names walked;
int walkedType = 0;
std::string walkedFolder;

void byTree(const char* root, int flags) {
    walked.clear();
    const auto visit = [](const char* path, const struct stat* status, int type, FTW* place) {
        walked.emplace_back(path);
        if (std::strcmp(path, kNode) != 0) return 0;
        EXPECT(type == FTW_F && S_ISCHR(status->st_mode) && status->st_rdev == makedev(81, 7));
        EXPECT(place->level == 1 && std::strcmp(path + place->base, "video7") == 0);
        char folder[4096];
        EXPECT(::getcwd(folder, sizeof folder) != nullptr);
        walkedFolder = folder;
        return 0;
    };
    EXPECT(::nftw(root, visit, 8, flags) == 0);
}

void trees() {
    const int before = ::open(".", O_RDONLY | O_DIRECTORY);
    constexpr int kFlags[] = {0, FTW_PHYS, FTW_PHYS | FTW_DEPTH, FTW_PHYS | FTW_MOUNT, FTW_PHYS | FTW_CHDIR};
    for (const int flags : kFlags) {
        byTree("/dev", flags);
        expectNode(walked);
        EXPECT((walkedFolder == "/dev") == ((flags & FTW_CHDIR) != 0));
        EXPECT(::fchdir(before) == 0);
    }
    EXPECT(::chdir("/") == 0);
    walked.clear();
    EXPECT(::nftw(
               "dev",
               [](const char* path, const struct stat* status, int, FTW* place) {
                   struct stat again {};
                   walked.emplace_back(path);
                   // In its folder, its name leads there.
                   EXPECT(::lstat(path + place->base, &again) == 0 || place->level > 1);
                   EXPECT(place->level > 1 || again.st_mode == status->st_mode);
                   return 0;
               },
               8, FTW_PHYS | FTW_CHDIR) == 0);
    expectNode(walked, "dev/");
    EXPECT(::fchdir(before) == 0);
    byTree("/sys/class/video4linux", FTW_PHYS);
    EXPECT(count(walked, "/sys/class/video4linux/video7") == 1 && walked[0] == "/sys/class/video4linux");
    walked.clear();
    EXPECT(::ftw(
               "/dev",
               [](const char* path, const struct stat*, int type) {
                   walked.emplace_back(path);
                   if (std::strcmp(path, kNode) == 0) walkedType = type;
                   return 0;
               },
               8) == 0);
    expectNode(walked);
    EXPECT(walkedType == FTW_F);
    // A walk that its program ends, or whose folder it passes over.
    EXPECT(::nftw(
               "/dev", [](const char* path, const struct stat*, int, FTW*) { return std::strcmp(path, kNode) == 0 ? 42 : 0; },
               8, FTW_PHYS) == 42);
    EXPECT(::nftw(
               "/dev",
               [](const char* path, const struct stat*, int, FTW*) -> int {
                   EXPECT(std::strcmp(path, kNode) != 0);
                   return std::strcmp(path, "/dev") == 0 ? FTW_SKIP_SUBTREE : FTW_CONTINUE;
               },
               8, FTW_PHYS | FTW_ACTIONRETVAL) == 0);
    for (const int options : {FTS_PHYSICAL, FTS_PHYSICAL | FTS_NOCHDIR, FTS_LOGICAL}) {
        char folder[] = "/dev";
        char node[] = "/dev/video7";
        char* const roots[] = {folder, node, nullptr};
        FTS* const tree = ::fts_open(roots, options, nullptr);
        EXPECT(tree != nullptr);
        Names seen;
        while (const FTSENT* entry = ::fts_read(tree)) {
            if (entry->fts_info == FTS_DP) continue;
            seen.emplace_back(entry->fts_path);
            if (seen.back() != kNode) continue;
            EXPECT(entry->fts_info == FTS_DEFAULT && S_ISCHR(entry->fts_statp->st_mode));
            EXPECT(entry->fts_level == 0 || std::strcmp(entry->fts_name, "video7") == 0);
            struct stat status {};
            EXPECT(::stat(entry->fts_accpath, &status) == 0);
        }
        EXPECT(errno == 0);
        // In its folder, and as a root of its own.
        EXPECT(count(seen, kNode) == 2 && count(seen, "/dev/null") == 1);
        EXPECT(::fts_close(tree) == 0);
    }
    ::close(before);
}

Names byGetdents(int fd, size_t size, bool raw) {
    Names names;
    std::vector<char> buffer(size);
    for (;;) {
        const long got =
            raw ? ::syscall(SYS_getdents64, fd, buffer.data(), size) : static_cast<long>(::getdents64(fd, buffer.data(), size));
        EXPECT(got >= 0);
        if (got == 0) return names;
        for (long at = 0; at < got;) {
            const auto* const entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
            if (std::strcmp(entry->d_name, "video7") == 0) EXPECT(entry->d_type == DT_CHR);
            names.emplace_back(entry->d_name);
            at += entry->d_reclen;
        }
    }
}

void listings() {
    const int dev = ::open("/dev", O_RDONLY | O_DIRECTORY);
    for (const bool raw : {false, true}) {
        for (const size_t size : {size_t{200}, size_t{2000}, size_t{65536}}) {
            expectNode(byGetdents(dev, size, raw), "");
            EXPECT(::lseek(dev, 0, SEEK_SET) == 0);
        }
    }
    dirent** entries = nullptr;
    const int root = ::open("/", O_RDONLY | O_DIRECTORY);
    const auto isNode = [](const dirent* entry) { return std::strcmp(entry->d_name, "video7") == 0 ? 1 : 0; };
    EXPECT(::scandirat(root, "dev", &entries, isNode, ::alphasort) == 1 && entries[0]->d_type == DT_CHR);
    EXPECT(::scandir("/dev", &entries, isNode, ::versionsort) == 1);
    EXPECT_ERRNO(::scandir("/dev/nothing", &entries, isNode, nullptr), ENOENT);
    EXPECT_ERRNO(::scandirat(root, "dev/null", &entries, isNode, nullptr), ENOTDIR);
    DIR* const dir = ::fdopendir(dev);
    dirent room{};
    dirent* result = nullptr;
    Names names;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    while (::readdir_r(dir, &room, &result) == 0 && result != nullptr) names.emplace_back(result->d_name);
#pragma GCC diagnostic pop
    expectNode(names, "");
    ::closedir(dir);
    // Others list what they have.
    DIR* const other = ::opendir("/proc/self/task");
    while (const dirent* entry = ::readdir(other)) EXPECT(std::strcmp(entry->d_name, "video7") != 0);
    ::closedir(other);
}

void expectIsNode(int fd) {
    v4l2_capability capability{};
    EXPECT(fd >= 0 && ::ioctl(fd, VIDIOC_QUERYCAP, &capability) == 0);
    struct stat status {};
    EXPECT(::fstat(fd, &status) == 0 && S_ISCHR(status.st_mode));
    ::close(fd);
}

std::string linkOf(const std::string& path) {
    char target[256] = {};
    EXPECT(::readlink(path.c_str(), target, sizeof target - 1) > 0);
    return target;
}

void links() {
    char folder[] = "/tmp/daedalus-links-XXXXXX";
    EXPECT(::mkdtemp(folder) != nullptr && ::chdir(folder) == 0);
    EXPECT(::symlink(kNode, "camera") == 0 && ::symlink("camera", "again") == 0 && ::symlink("/dev", "devices") == 0);
    EXPECT(::symlink("/sys/class/video4linux/video7", "about") == 0 && ::symlink("nowhere", "dangling") == 0);
    for (const char* path : {"camera", "again", "devices/video7", "./devices/../dev//video7"}) {
        struct stat status {};
        EXPECT(::stat(path, &status) == 0 && S_ISCHR(status.st_mode));
        EXPECT(::access(path, R_OK | W_OK) == 0);
        expectIsNode(::open(path, O_RDWR));
        char resolved[4096];
        EXPECT(::realpath(path, resolved) != nullptr && std::strcmp(resolved, kNode) == 0);
    }
    struct stat status {};
    EXPECT(::lstat("camera", &status) == 0 && S_ISLNK(status.st_mode));
    EXPECT(linkOf("camera") == kNode);
    EXPECT_ERRNO(::open("camera", O_RDWR | O_NOFOLLOW), ELOOP);
    EXPECT_ERRNO(::open("dangling", O_RDWR), ENOENT);
    EXPECT_ERRNO(::stat("dangling", &status), ENOENT);
    EXPECT_ERRNO(::open("camera/", O_RDWR), ENOENT);
    EXPECT(::stat("about", &status) == 0 && S_ISDIR(status.st_mode));
    // By a descriptor.
    const int fd = openNode();
    const std::string byNumber = "/proc/self/fd/" + std::to_string(fd);
    EXPECT(linkOf(byNumber) == kNode);
    EXPECT(linkOf("/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd)) == kNode);
    EXPECT(::symlink(byNumber.c_str(), "descriptor") == 0);
    for (const std::string& path : {byNumber, "/dev/fd/" + std::to_string(fd), std::string("descriptor")}) {
        EXPECT(::stat(path.c_str(), &status) == 0 && S_ISCHR(status.st_mode));
        const int again = ::open(path.c_str(), O_RDWR | O_NONBLOCK);
        // A file of its own, as each open of a device is.
        expectSessions(fd, 2);
        EXPECT((::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
        expectIsNode(again);
    }
    // O_PATH is a place, not a file.
    const int place = ::open(kNode, O_PATH | O_CLOEXEC);
    v4l2_capability capability{};
    EXPECT(place >= 0);
    expectSessions(fd, 1);
    EXPECT_ERRNO(::ioctl(place, VIDIOC_QUERYCAP, &capability), EBADF);
    EXPECT(::fstat(place, &status) == 0 && S_ISCHR(status.st_mode));
    EXPECT(::fstatat(place, "", &status, AT_EMPTY_PATH) == 0 && S_ISCHR(status.st_mode));
    const std::string placeName = "/proc/self/fd/" + std::to_string(place);
    EXPECT(linkOf(placeName) == kNode);
    expectIsNode(::open(placeName.c_str(), O_RDWR));
    ::close(place);
    ::close(fd);
    // Streams.
    FILE* stream = std::fopen("camera", "r+");
    EXPECT(stream != nullptr);
    expectIsNode(::dup(::fileno(stream)));
    stream = std::freopen("/dev/null", "r", stream);
    EXPECT(stream != nullptr);
    stream = std::freopen(kNode, "r+", stream);
    EXPECT(stream != nullptr);
    expectIsNode(::dup(::fileno(stream)));
    std::fclose(stream);
    for (const char* name : {"camera", "again", "devices", "about", "dangling", "descriptor"}) EXPECT(::unlink(name) == 0);
    EXPECT(::chdir("/") == 0 && ::rmdir(folder) == 0);
}

/// What `find`, a shell and os.walk() do in /sys.
void sysfsFolders() {
    EXPECT(::chdir("/sys/class/video4linux") == 0);
    char folder[4096];
    EXPECT(::getcwd(folder, sizeof folder) != nullptr && std::strcmp(folder, "/sys/class/video4linux") == 0);
    struct stat status {};
    EXPECT(::lstat("video7", &status) == 0 && S_ISLNK(status.st_mode));
    EXPECT(linkOf("video7") == "../../devices/virtual/video4linux/video7");
    EXPECT(::access("video7/uevent", R_OK) == 0);
    EXPECT(::chdir("video7") == 0);
    EXPECT(::getcwd(folder, sizeof folder) != nullptr);
    EXPECT(std::strcmp(folder, "/sys/devices/virtual/video4linux/video7") == 0);
    EXPECT(linkOf("subsystem") == "../../../../class/video4linux");
    EXPECT(linkOf("/proc/self/cwd") == folder);
    const int dir = ::open("/sys/class/video4linux/video7/", O_RDONLY | O_DIRECTORY);
    const int file = ::openat(dir, "uevent", O_RDONLY);
    char text[64] = {};
    EXPECT(dir >= 0 && file >= 0 && ::read(file, text, sizeof text - 1) > 0);
    EXPECT(std::strstr(text, "DEVNAME=video7\n") != nullptr);
    EXPECT(linkOf("/proc/self/fd/" + std::to_string(file)) == "/sys/devices/virtual/video4linux/video7/uevent");
    EXPECT(count(byGetdents(dir, 4096, true), "index") == 1);
    EXPECT_ERRNO(::openat(dir, "device", O_RDONLY), ENOENT);
    EXPECT_ERRNO(::open("/sys/class/video4linux/video7/uevent", O_RDWR), EACCES);
    EXPECT(::lstat("/sys/dev/char/81:7", &status) == 0 && S_ISLNK(status.st_mode));
    EXPECT(::lstat("/sys/dev/char/81:7/", &status) == 0 && S_ISDIR(status.st_mode));
    const int parent = ::open("/sys/dev/char", O_RDONLY | O_DIRECTORY);
    EXPECT(count(byGetdents(parent, 65536, false), "81:7") == 1);
    for (const int fd : {dir, file, parent}) ::close(fd);
}

}  // namespace

void addFindCases(Cases& cases) {
    cases["globs"] = globs;
    cases["words"] = words;
    cases["trees"] = trees;
    cases["listings"] = listings;
    cases["links"] = links;
    cases["sysfs_folders"] = sysfsFolders;
}

}  // namespace daedalus::test
