#include "private_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <tuple>
#include <utility>

namespace daedalus::daemon {

namespace {

constexpr std::string_view kNamePrefix = "daedalus-run-";

std::string lockOf(const std::string& folder) { return folder + "/lock"; }

/// Holds `folder` against sweep(). The file has its name only once it is locked: a sweeper that finds it free takes the folder
/// for abandoned.
UniqueFd makeLock(const std::string& folder) {
    const std::string unnamed = lockOf(folder) + ".new";
    UniqueFd lock(::open(unnamed.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock || ::flock(lock.get(), LOCK_SH) != 0 || ::rename(unnamed.c_str(), lockOf(folder).c_str()) != 0) return {};
    return lock;
}

/// True if somebody listens at this socket.
bool isServed(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return true;
    path.copy(address.sun_path, path.size());
    const UniqueFd probe(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe) return true;
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
    return errno != ECONNREFUSED && errno != ENOENT;
}

/// True of a folder of ours whose `run` is gone, and whose daemon is, too.
bool isAbandoned(const std::string& folder) {
    struct stat status {};
    if (::lstat(folder.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) || status.st_uid != ::geteuid()) return false;
    // One that has none yet is being made.
    const UniqueFd lock(::open(lockOf(folder).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    return lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0 && !isServed(folder + "/socket");
}

void sweep(const std::string& place) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(place, ignored)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with(kNamePrefix) && isAbandoned(entry.path().string()))
            std::filesystem::remove_all(entry.path(), ignored);
    }
}

}  // namespace

/// What the program starts as another user loads the library too; nobody else lists the folder, and the socket has a mode of
/// its own.
constexpr mode_t kMode = 0711;

Result<PrivateFolder> PrivateFolder::create() {
    int error = ENOENT;
    const char* const places[] = {std::getenv("XDG_RUNTIME_DIR"), std::getenv("TMPDIR"), "/tmp", "/dev/shm"};
    for (const char* place : places) {
        // A socket's path has 107 bytes at most.
        constexpr size_t kLongest = 60;
        if (place == nullptr || *place != '/' || std::string_view(place).size() > kLongest) continue;
        sweep(place);
        std::string folder = std::string(place) + "/" + std::string(kNamePrefix) + "XXXXXX";
        if (::mkdtemp(folder.data()) == nullptr) {
            error = errno;
            continue;
        }
        ::chmod(folder.c_str(), kMode);
        UniqueFd lock = makeLock(folder);
        return PrivateFolder(std::move(folder), std::move(lock));
    }
    return fail(error);
}

namespace {

/// What dynamic linkers put in place of $LIB: those of our class, and those of the other. Debian's, then others'.
#if defined(__aarch64__)
constexpr const char* kOwn[] = {"lib/aarch64-linux-gnu", "lib64"};
#else
constexpr const char* kOwn[] = {"lib/x86_64-linux-gnu", "lib64"};
#endif
constexpr const char* kOther[] = {"lib/i386-linux-gnu", "lib/arm-linux-gnueabihf", "lib32"};

/// "lib" is the 32-bit one where there is a lib64 beside it, and ours elsewhere.
bool libIsOwn() {
    std::error_code error;
    return !std::filesystem::is_directory(std::filesystem::symlink_status("/usr/lib64", error));
}

Result<> link(const std::filesystem::path& target, const std::filesystem::path& place) {
    std::error_code error;
    std::filesystem::create_directories(place.parent_path(), error);
    if (!error) std::filesystem::create_symlink(target, place, error);
    if (error && error != std::errc::file_exists) return fail(error.value());
    return {};
}

}  // namespace

Result<std::string> PrivateFolder::preloadable(const std::string& library) const {
    const std::string folder = path_ + "/preload";
    const auto name = std::filesystem::path(library).filename();
    const auto placeFor = [&](const std::string& lib) { return std::filesystem::path(folder) / lib / name; };
    // For scripts in which a shell takes $LIB for a variable of its own, too.
    if (auto made = link(library, placeFor(".")); !made) return fail(made.error());
    std::string empty = library;
    if (const size_t suffix = empty.rfind(".so"); suffix != std::string::npos) empty.insert(suffix, "-32");
    const bool haveEmpty = ::access(empty.c_str(), R_OK) == 0;
    Result<> given;
    const auto give = [&](const char* lib, bool isOwn) {
        if (given && (isOwn || haveEmpty)) given = link(isOwn ? library : empty, placeFor(lib));
    };
    give("lib", libIsOwn());
    for (const char* lib : kOwn) give(lib, true);
    for (const char* lib : kOther) give(lib, false);
    if (!given) return fail(given.error());
    return placeFor("$LIB").string();
}

void PrivateFolder::remove() const {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

}  // namespace daedalus::daemon
