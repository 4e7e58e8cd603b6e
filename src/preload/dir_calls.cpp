// Interposed directory listings: a folder of the host in which something of ours can be found lists that, too.
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>

#include "src/preload/dir_calls.h"
#include "src/preload/next.h"
#include "src/preload/on_path.h"

namespace daedalus::preload {
namespace {

/// A DIR of a folder that lists ours.
struct OpenListing {
    OpenListing* next;
    DIR* dir;
    dev_t device;
    ino_t inode;
    size_t position;  ///< of our own entries, which come behind the host's
    dirent64 entry;
};
static_assert(sizeof(dirent) == sizeof(dirent64), "one entry serves both");

Lock listingsLock;
OpenListing* listings = nullptr;  // guarded by listingsLock
std::atomic<size_t> listingCount{0};

/// A DIR is used by one thread at a time, so its entry stays good after the lock.
OpenListing* find(DIR* dir) {
    if (listingCount.load(std::memory_order_relaxed) == 0) return nullptr;
    const Locked locked(listingsLock);
    OpenListing* known = listings;
    while (known != nullptr && known->dir != dir) known = known->next;
    return known;
}

void remember(DIR* dir, dev_t device, ino_t inode) {
    if (find(dir) != nullptr) return;
    void* const memory = realMmap(nullptr, sizeof(OpenListing), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    auto* const fresh = static_cast<OpenListing*>(memory);
    fresh->dir = dir;
    fresh->device = device;
    fresh->inode = inode;
    const Locked locked(listingsLock);
    fresh->next = listings;
    listings = fresh;
    listingCount.fetch_add(1);
}

void forget(DIR* dir) {
    if (listingCount.load(std::memory_order_relaxed) == 0) return;
    const Locked locked(listingsLock);
    for (OpenListing** link = &listings; *link != nullptr; link = &(*link)->next) {
        if ((*link)->dir != dir) continue;
        OpenListing* const gone = *link;
        *link = gone->next;
        ::munmap(gone, sizeof *gone);
        listingCount.fetch_sub(1);
        return;
    }
}

bool isDot(const char* name) { return name[0] == '.' && name[1] == '\0'; }

/// readdir(): the "." of each folder tells which it is, so that others cost nothing. A DIR at its end goes on with ours.
template <class Entry>
Entry* readEntry(DIR* dir, Entry* (*next)(DIR*)) {
    const int before = errno;
    errno = 0;
    Entry* const entry = next(dir);
    if (entry != nullptr) {
        errno = before;
        struct stat status;
        if (isDot(entry->d_name) && mayListOurs(entry->d_ino)) {
            const KeepErrno keep;
            if (realFstat(::dirfd(dir), &status) == 0) remember(dir, status.st_dev, status.st_ino);
        }
        return entry;
    }
    if (errno != 0) return nullptr;
    errno = before;
    OpenListing* const open = find(dir);
    ListedEntry own;
    if (open == nullptr || !listedEntry(open->device, open->inode, open->position, own)) return nullptr;
    ++open->position;
    open->entry.d_ino = own.inode;
    open->entry.d_off = 0;
    open->entry.d_reclen = sizeof open->entry;
    open->entry.d_type = own.type;
    ::snprintf(open->entry.d_name, sizeof open->entry.d_name, "%s", own.name);
    return reinterpret_cast<Entry*>(&open->entry);
}

/// Our entries as getdents64() gives them, at `out`. Returns their size, which may be more than `room`: then none was put.
size_t putEntries(dev_t device, ino_t inode, char* out, size_t room, off64_t offset) {
    size_t used = 0;
    ListedEntry own;
    for (size_t i = 0; listedEntry(device, inode, i, own); ++i) {
        const size_t length = ::strlen(own.name) + 1;
        const size_t size = (offsetof(dirent64, d_name) + length + 7) / 8 * 8;
        if (used + size <= room) {
            auto* const entry = reinterpret_cast<dirent64*>(out + used);
            ::memset(static_cast<void*>(entry), 0, size);
            entry->d_ino = own.inode;
            entry->d_off = offset;
            entry->d_reclen = static_cast<unsigned short>(size);
            entry->d_type = own.type;
            ::memcpy(entry->d_name, own.name, length);
        }
        used += size;
    }
    return used;
}

}  // namespace

ssize_t addEntries(int fd, void* buffer, size_t size, ssize_t got, ssize_t (*again)(int fd, void* buffer, size_t size)) {
    // The first entries of a folder begin with "."; ours come behind them, and are passed over with the last of these.
    auto* const first = static_cast<dirent64*>(buffer);
    if (got < static_cast<ssize_t>(offsetof(dirent64, d_name) + 2) || !isDot(first->d_name)) return got;
    if (!mayListOurs(first->d_ino)) return got;
    const KeepErrno keep;
    struct stat status;
    if (realFstat(fd, &status) != 0) return got;
    for (size_t room = size;;) {
        auto* const bytes = static_cast<char*>(buffer);
        off64_t offset = 0;
        for (ssize_t at = 0; at < got;) {
            const auto* const entry = reinterpret_cast<const dirent64*>(bytes + at);
            offset = entry->d_off;
            at += entry->d_reclen;
        }
        const auto end = static_cast<size_t>(got);
        const size_t own = putEntries(status.st_dev, status.st_ino, bytes + end, size - end, offset);
        if (end + own <= size) return static_cast<ssize_t>(end + own);
        // No room: fewer of the host's, once.
        if (room < size || own >= size || ::lseek(fd, 0, SEEK_SET) != 0) return got;
        room = size - own;
        got = again(fd, buffer, room);
        if (got <= 0) {
            if (::lseek(fd, 0, SEEK_SET) != 0) return got;
            return again(fd, buffer, size);
        }
    }
}

}  // namespace daedalus::preload

using namespace daedalus::preload;

DAEDALUS_EXPORT DIR* opendir(const char* path) {
    return onPath(AT_FDCWD, path, true, [](int, const char* at) { return DAEDALUS_NEXT(opendir)(at); });
}

DAEDALUS_EXPORT dirent* readdir(DIR* dir) { return readEntry<dirent>(dir, DAEDALUS_NEXT(readdir)); }
DAEDALUS_EXPORT dirent64* readdir64(DIR* dir) { return readEntry<dirent64>(dir, DAEDALUS_NEXT(readdir64)); }

DAEDALUS_EXPORT void rewinddir(DIR* dir) noexcept {
    if (OpenListing* const open = find(dir)) open->position = 0;
    DAEDALUS_NEXT(rewinddir)(dir);
}

DAEDALUS_EXPORT void seekdir(DIR* dir, long position) noexcept {
    if (OpenListing* const open = find(dir)) open->position = 0;
    DAEDALUS_NEXT(seekdir)(dir, position);
}

DAEDALUS_EXPORT int closedir(DIR* dir) {
    forget(dir);
    return DAEDALUS_NEXT(closedir)(dir);
}

namespace {

template <class Entry>
int readEntryInto(DIR* dir, Entry* room, Entry** result, Entry* (*read)(DIR*)) {
    const int before = errno;
    errno = 0;
    const Entry* const entry = read(dir);
    const int error = errno;
    errno = before;
    *result = entry != nullptr ? room : nullptr;
    if (entry == nullptr) return error;
    const size_t length = ::strlen(entry->d_name);
    if (length >= sizeof room->d_name) return ENAMETOOLONG;
    ::memcpy(static_cast<void*>(room), entry, offsetof(Entry, d_name) + length + 1);
    return 0;
}

}  // namespace

DAEDALUS_EXPORT int readdir_r(DIR* dir, dirent* room, dirent** result) {
    return readEntryInto<dirent>(dir, room, result, ::readdir);
}

DAEDALUS_EXPORT int readdir64_r(DIR* dir, dirent64* room, dirent64** result) {
    return readEntryInto<dirent64>(dir, room, result, ::readdir64);
}

namespace {

ssize_t nextGetdents64(int fd, void* buffer, size_t size) {
    return realSyscall(SYS_getdents64, fd, reinterpret_cast<long>(buffer), static_cast<long>(size), 0, 0, 0);
}

}  // namespace

DAEDALUS_EXPORT ssize_t getdents64(int fd, void* buffer, size_t size) noexcept {
    return addEntries(fd, buffer, size, nextGetdents64(fd, buffer, size), nextGetdents64);
}

namespace {

/// scandir(): the C library's own does not call the functions above.
template <class Entry>
int scan(DIR* dir, Entry*** list, int (*filter)(const Entry*), int (*compare)(const Entry**, const Entry**),
         Entry* (*read)(DIR*)) {
    if (dir == nullptr) return -1;
    const int before = errno;
    Entry** entries = nullptr;
    size_t count = 0;
    int error = 0;
    for (errno = 0; const Entry* entry = read(dir); errno = 0) {
        if (filter != nullptr) {
            // A filter's errno is not an error of the listing.
            const bool wanted = filter(entry) != 0;
            errno = 0;
            if (!wanted) continue;
        }
        auto** const grown = static_cast<Entry**>(::realloc(entries, (count + 1) * sizeof(Entry*)));
        if (grown != nullptr) entries = grown;
        const size_t size = offsetof(Entry, d_name) + ::strlen(entry->d_name) + 1;
        auto* const copy = grown != nullptr ? static_cast<Entry*>(::malloc(size)) : nullptr;
        if (copy == nullptr) {
            error = ENOMEM;
            break;
        }
        ::memcpy(static_cast<void*>(copy), entry, size);
        entries[count++] = copy;
    }
    if (error == 0) error = errno;
    ::closedir(dir);
    if (error != 0) {
        while (count > 0) ::free(entries[--count]);
        ::free(entries);
        return errno = error, -1;
    }
    using Order = int (*)(const void*, const void*);
    if (compare != nullptr && count > 1) ::qsort(entries, count, sizeof *entries, reinterpret_cast<Order>(compare));
    *list = entries;
    errno = before;
    return static_cast<int>(count);
}

DIR* openAt(int directory, const char* path) {
    const int fd = ::openat(directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return nullptr;
    DIR* const dir = ::fdopendir(fd);
    if (dir == nullptr) realClose(fd);
    return dir;
}

}  // namespace

// Without a node, the C library's own: it is its business then.

DAEDALUS_EXPORT int scandir(const char* path, dirent*** list, int (*filter)(const dirent*),
                            int (*compare)(const dirent**, const dirent**)) {
    if (!servesNode()) return DAEDALUS_NEXT(scandir)(path, list, filter, compare);
    return scan<dirent>(::opendir(path), list, filter, compare, ::readdir);
}

DAEDALUS_EXPORT int scandir64(const char* path, dirent64*** list, int (*filter)(const dirent64*),
                              int (*compare)(const dirent64**, const dirent64**)) {
    if (!servesNode()) return DAEDALUS_NEXT(scandir64)(path, list, filter, compare);
    return scan<dirent64>(::opendir(path), list, filter, compare, ::readdir64);
}

DAEDALUS_EXPORT int scandirat(int directory, const char* path, dirent*** list, int (*filter)(const dirent*),
                              int (*compare)(const dirent**, const dirent**)) {
    if (!servesNode()) return DAEDALUS_NEXT(scandirat)(directory, path, list, filter, compare);
    return scan<dirent>(openAt(directory, path), list, filter, compare, ::readdir);
}

DAEDALUS_EXPORT int scandirat64(int directory, const char* path, dirent64*** list, int (*filter)(const dirent64*),
                                int (*compare)(const dirent64**, const dirent64**)) {
    if (!servesNode()) return DAEDALUS_NEXT(scandirat64)(directory, path, list, filter, compare);
    return scan<dirent64>(openAt(directory, path), list, filter, compare, ::readdir64);
}
