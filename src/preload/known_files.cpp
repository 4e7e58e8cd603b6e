#include "src/preload/known_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstring>

#include "proto/wire.h"
#include "src/preload/kernel.h"
#include "src/preload/process.h"

namespace daedalus::preload {
namespace {

/// One bit for each descriptor. Pages come into being when they are used.
class FdSet {
public:
    static constexpr unsigned kSize = 1U << 16;

    [[nodiscard]] bool has(unsigned fd) const { return (words_[fd / 64].load(std::memory_order_relaxed) >> fd % 64 & 1) != 0; }
    void add(unsigned fd) { words_[fd / 64].fetch_or(bit(fd)); }
    void remove(unsigned fd) {
        if (has(fd)) words_[fd / 64].fetch_and(~bit(fd));
    }

private:
    static uint64_t bit(unsigned fd) { return uint64_t{1} << fd % 64; }
    std::atomic<uint64_t> words_[kSize / 64];
};

FdSet files;
/// Not looked at yet.
FdSet received;
/// Some file of ours has been beyond the sets' size: there every descriptor is asked.
std::atomic<bool> beyond{false};
/// Until this is set, nothing needs to be looked up.
std::atomic<bool> any{false};

bool inSets(int fd) { return static_cast<unsigned>(fd) < FdSet::kSize; }

bool isKnown(int fd) { return inSets(fd) && files.has(static_cast<unsigned>(fd)); }

int hexDigit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

bool parseHex(const char* text, uint64_t& value) {
    value = 0;
    for (int i = 0; i < 16; ++i) {
        const int digit = hexDigit(text[i]);
        if (digit < 0) return false;
        value = value << 4 | static_cast<uint64_t>(digit);
    }
    return true;
}

/// Asks for the name that the daemon gave it.
bool findSession(int fd, uint64_t& session) {
    sockaddr_un name;
    socklen_t length = sizeof name;
    if (kernel(SYS_getsockname, fd, &name, &length) != 0) return false;
    if (name.sun_family != AF_UNIX || length != offsetof(sockaddr_un, sun_path) + proto::kFileNameLength) return false;
    const char* const path = name.sun_path;
    if (path[0] != '\0' || std::memcmp(path + 1, proto::kFileNamePrefix, proto::kFileNamePrefixLength) != 0) return false;
    return parseHex(path + proto::kFileNameLength - 16, session);
}

/// Sandboxes that refuse to tell a socket's name still tell its mode.
bool looksLikeFile(const struct stat& status) { return status.st_mode == (S_IFSOCK | proto::kFileMode); }

bool looksLikeFile(int fd) {
    struct stat status;
    return kernel(SYS_fstat, fd, &status) == 0 && looksLikeFile(status);
}

void noteIfFile(int fd) {
    if (looksLikeFile(fd)) noteFile(fd);
}

void noteEachIn(const char* entries, long bytes, int folder) {
    // As getdents64() fills it.
    struct Entry {
        uint64_t inode;
        int64_t offset;
        uint16_t length;
        uint8_t type;
        char name[5];
    };
    for (long at = 0; at < bytes;) {
        Entry entry;
        std::memcpy(&entry, entries + at, offsetof(Entry, name));
        const char* const name = entries + at + offsetof(Entry, name);
        int fd = 0;
        const char* digit = name;
        for (; *digit >= '0' && *digit <= '9'; ++digit) fd = fd * 10 + (*digit - '0');
        if (digit != name && fd != folder) noteIfFile(fd);
        at += entry.length;
    }
}

}  // namespace

void noteFile(int fd) {
    if (!inSets(fd)) {
        beyond.store(true);
    } else {
        received.remove(static_cast<unsigned>(fd));
        files.add(static_cast<unsigned>(fd));
    }
    any.store(true);
}

void noteStandIn() { any.store(true); }

void noteReceived(int fd) {
    if (socketPath() == nullptr) return;
    if (!inSets(fd)) {
        beyond.store(true);
    } else {
        received.add(static_cast<unsigned>(fd));
    }
    any.store(true);
}

void noteReceived(const msghdr& header) {
    if (header.msg_control == nullptr || header.msg_controllen < sizeof(cmsghdr)) return;
    auto* const writable = const_cast<msghdr*>(&header);
    for (cmsghdr* entry = CMSG_FIRSTHDR(writable); entry != nullptr; entry = CMSG_NXTHDR(writable, entry)) {
        if (entry->cmsg_level != SOL_SOCKET || entry->cmsg_type != SCM_RIGHTS || entry->cmsg_len < CMSG_LEN(0)) continue;
        const size_t count = (entry->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(entry) + i * sizeof fd, sizeof fd);
            if (fd >= 0) noteReceived(fd);
        }
    }
}

void noteCopy(int from, int to) {
    if (from == to || (!mayBeFile(from) && !mayBeFile(to))) return;
    if (!inSets(to)) {
        if (mayBeFile(from)) beyond.store(true);
        return;
    }
    const auto target = static_cast<unsigned>(to);
    noteClosed(target, target);
    if (!mayBeFile(from)) return;
    if (!isKnown(from)) {
        received.add(target);
    } else if (!sharesMemory()) {
        files.add(target);
    }
}

void noteClosed(unsigned first, unsigned last) {
    if (!any.load(std::memory_order_relaxed)) return;
    bool asked = false;
    for (unsigned fd = first; fd <= last && fd < FdSet::kSize; ++fd) {
        // What nobody has looked at yet is not worth a system call.
        received.remove(fd);
        if (!files.has(fd)) continue;
        // A child of vfork() closes its own.
        if (!asked && sharesMemory()) return;
        asked = true;
        files.remove(fd);
    }
}

namespace {

/// What the process got from the one before it, looked for before any other thread is there, and before a sandbox.
__attribute__((constructor)) void noteInherited() {
    if (socketPath() == nullptr) return;
    alignas(8) char entries[2048];
    const long folder = kernel(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (folder < 0) {
        constexpr int kUsual = 64;
        for (int fd = 0; fd < kUsual; ++fd) noteIfFile(fd);
        return;
    }
    long bytes = 0;
    while ((bytes = kernel(SYS_getdents64, folder, entries, sizeof entries)) > 0)
        noteEachIn(entries, bytes, static_cast<int>(folder));
    kernel(SYS_close, folder);
}

}  // namespace

bool haveFiles() { return any.load(std::memory_order_relaxed); }

bool mayBeFile(int fd) {
    if (!any.load(std::memory_order_relaxed) || fd < 0) return false;
    if (!inSets(fd)) return beyond.load(std::memory_order_relaxed);
    const auto number = static_cast<unsigned>(fd);
    return files.has(number) || received.has(number);
}

bool isOurFile(int fd, uint64_t& session) {
    if (!mayBeFile(fd)) return false;
    if (isKnown(fd)) {
        if (findSession(fd, session)) return true;
    } else if (looksLikeFile(fd) && findSession(fd, session)) {
        if (!sharesMemory()) noteFile(fd);
        return true;
    }
    // Closed unseen, and perhaps something else since; or received, and something else.
    if (!inSets(fd)) return false;
    noteClosed(static_cast<unsigned>(fd), static_cast<unsigned>(fd));
    // Unless another thread has opened it just now.
    if (!looksLikeFile(fd) || !findSession(fd, session)) return false;
    if (!sharesMemory()) noteFile(fd);
    return true;
}

bool isOurFileForSure(int fd, uint64_t& session) {
    if (!any.load(std::memory_order_relaxed) || fd < 0) return false;
    if (mayBeFile(fd)) return isOurFile(fd, session);
    if (!looksLikeFile(fd) || !findSession(fd, session)) return false;
    if (!sharesMemory()) noteFile(fd);
    return true;
}

bool isOurFile(int fd, const struct stat& status, uint64_t& session) {
    if (!looksLikeFile(status) || socketPath() == nullptr || !findSession(fd, session)) return false;
    if (!mayBeFile(fd) && !sharesMemory()) noteFile(fd);
    return true;
}

}  // namespace daedalus::preload
