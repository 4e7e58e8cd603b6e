// Interposed directory listings: /dev and the folders of /sys in which a video node shows up.
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>

#include "src/preload/next.h"
#include "src/preload/paths.h"
#include "src/preload/process.h"
#include "src/preload/real.h"

namespace daedalus::preload {
namespace {

/// What a listing gets from us.
enum class Listing {
    None,
    Node,    ///< the node's name, behind the real entries
    Number,  ///< "M:m", behind the real entries
    Class,   ///< only the node's name: the host has no such folder
    Device,  ///< the files of the device's folder
};

struct OpenListing {
    OpenListing* next;
    DIR* dir;
    Listing listing;
    size_t position;  ///< of our own entries
    dirent entry;
    dirent64 entry64;
};

Lock listingsLock;
OpenListing* listings = nullptr;  // guarded by listingsLock
std::atomic<size_t> listingCount{0};

Listing listingOf(const char* path) {
    char full[256];
    if (socketPath() == nullptr || path == nullptr || !normalise(AT_FDCWD, path, full, sizeof full)) return Listing::None;
    if (::strcmp(full, "/dev") == 0 || ::strcmp(full, kClassFolder) == 0) {
        if (node() == nullptr) return Listing::None;
        return classify(AT_FDCWD, full, true).kind == PathKind::Class ? Listing::Class : Listing::Node;
    }
    if (::strcmp(full, "/sys/dev/char") == 0) return node() != nullptr ? Listing::Number : Listing::None;
    return classify(AT_FDCWD, full, true).kind == PathKind::Directory ? Listing::Device : Listing::None;
}

void remember(DIR* dir, Listing listing) {
    void* const memory = realMmap(nullptr, sizeof(OpenListing), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    auto* const fresh = static_cast<OpenListing*>(memory);
    fresh->dir = dir;
    fresh->listing = listing;
    const Locked locked(listingsLock);
    fresh->next = listings;
    listings = fresh;
    listingCount.fetch_add(1);
}

/// A DIR is used by one thread at a time, so its entry stays good after the lock.
OpenListing* find(DIR* dir) {
    if (listingCount.load(std::memory_order_relaxed) == 0) return nullptr;
    const Locked locked(listingsLock);
    OpenListing* known = listings;
    while (known != nullptr && known->dir != dir) known = known->next;
    return known;
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

/// Our entry number `position`; false after the last.
bool ownEntry(Listing listing, size_t position, char* name, size_t size, unsigned char& type) {
    const proto::HelloBody* const hello = node();
    if (hello == nullptr) return false;
    const bool whole = listing == Listing::Class || listing == Listing::Device;
    if (whole && position < 2) {
        ::snprintf(name, size, "%s", position == 0 ? "." : "..");
        type = DT_DIR;
        return true;
    }
    const size_t index = whole ? position - 2 : position;
    if (listing == Listing::Device) {
        const char* const file = fileName(index);
        type = DT_REG;
        if (file != nullptr) ::snprintf(name, size, "%s", file);
        return file != nullptr;
    }
    if (index > 0) return false;
    const char* const slash = ::strrchr(hello->nodePath, '/');
    type = DT_LNK;
    if (listing == Listing::Number) {
        ::snprintf(name, size, "%u:%u", hello->major, hello->minor);
    } else {
        ::snprintf(name, size, "%s", slash != nullptr ? slash + 1 : hello->nodePath);
        // Of the listings with a node's name only /dev holds the node itself.
        if (listing == Listing::Node) type = DT_UNKNOWN;
    }
    return true;
}

template <class Entry>
Entry* nextOwn(OpenListing& open, Entry& entry) {
    if (!ownEntry(open.listing, open.position, entry.d_name, sizeof entry.d_name, entry.d_type)) return nullptr;
    ++open.position;
    entry.d_ino = 0x4456C00000 + open.position;
    entry.d_reclen = sizeof entry;
    return &entry;
}

bool onlyOwn(const OpenListing& open) { return open.listing == Listing::Class || open.listing == Listing::Device; }

}  // namespace
}  // namespace daedalus::preload

using namespace daedalus::preload;

DAEDALUS_EXPORT DIR* opendir(const char* path) {
    const Listing listing = listingOf(path);
    const bool own = listing == Listing::Class || listing == Listing::Device;
    // Where there is no real folder, any other gives the DIR that the program wants.
    DIR* const dir = DAEDALUS_NEXT(opendir)(own ? "/" : path);
    if (dir != nullptr && listing != Listing::None) remember(dir, listing);
    return dir;
}

DAEDALUS_EXPORT DIR* fdopendir(int fd) {
    DIR* const dir = DAEDALUS_NEXT(fdopendir)(fd);
    if (dir == nullptr || socketPath() == nullptr) return dir;
    char link[32];
    char path[256];
    ::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const KeepErrno keep;
    const ssize_t length = realReadlink(link, path, sizeof path - 1);
    if (length <= 0) return dir;
    path[length] = '\0';
    const Listing listing = listingOf(path);
    if (listing == Listing::Node || listing == Listing::Number) remember(dir, listing);
    return dir;
}

DAEDALUS_EXPORT dirent* readdir(DIR* dir) {
    OpenListing* const open = find(dir);
    if (open == nullptr) return DAEDALUS_NEXT(readdir)(dir);
    if (!onlyOwn(*open)) {
        const int before = errno;
        errno = 0;
        dirent* const entry = DAEDALUS_NEXT(readdir)(dir);
        if (entry != nullptr || errno != 0) return entry;
        errno = before;
    }
    return nextOwn(*open, open->entry);
}

DAEDALUS_EXPORT dirent64* readdir64(DIR* dir) {
    OpenListing* const open = find(dir);
    if (open == nullptr) return DAEDALUS_NEXT(readdir64)(dir);
    if (!onlyOwn(*open)) {
        const int before = errno;
        errno = 0;
        dirent64* const entry = DAEDALUS_NEXT(readdir64)(dir);
        if (entry != nullptr || errno != 0) return entry;
        errno = before;
    }
    return nextOwn(*open, open->entry64);
}

DAEDALUS_EXPORT void rewinddir(DIR* dir) noexcept {
    if (OpenListing* const open = find(dir)) open->position = 0;
    DAEDALUS_NEXT(rewinddir)(dir);
}

DAEDALUS_EXPORT int closedir(DIR* dir) {
    forget(dir);
    return DAEDALUS_NEXT(closedir)(dir);
}

namespace {

/// scandir() for a listing of which some entries are ours.
template <class Entry>
int scan(const char* path, Entry*** list, int (*filter)(const Entry*), int (*compare)(const Entry**, const Entry**),
         Entry* (*read)(DIR*)) {
    DIR* const dir = ::opendir(path);
    if (dir == nullptr) return -1;
    Entry** entries = nullptr;
    size_t count = 0;
    bool good = true;
    while (const Entry* entry = read(dir)) {
        if (filter != nullptr && filter(entry) == 0) continue;
        auto** const grown = static_cast<Entry**>(::realloc(entries, (count + 1) * sizeof(Entry*)));
        const size_t size = offsetof(Entry, d_name) + ::strlen(entry->d_name) + 1;
        auto* const copy = static_cast<Entry*>(::malloc(size));
        if (grown != nullptr) entries = grown;
        good = grown != nullptr && copy != nullptr;
        if (!good) {
            ::free(copy);
            break;
        }
        ::memcpy(static_cast<void*>(copy), entry, size);
        entries[count++] = copy;
    }
    ::closedir(dir);
    if (!good) {
        while (count > 0) ::free(entries[--count]);
        ::free(entries);
        return errno = ENOMEM, -1;
    }
    using Order = int (*)(const void*, const void*);
    if (compare != nullptr && count > 1) ::qsort(entries, count, sizeof *entries, reinterpret_cast<Order>(compare));
    *list = entries;
    return static_cast<int>(count);
}

}  // namespace

DAEDALUS_EXPORT int scandir(const char* path, dirent*** list, int (*filter)(const dirent*),
                            int (*compare)(const dirent**, const dirent**)) {
    if (listingOf(path) == Listing::None) return DAEDALUS_NEXT(scandir)(path, list, filter, compare);
    return scan<dirent>(path, list, filter, compare, ::readdir);
}

DAEDALUS_EXPORT int scandir64(const char* path, dirent64*** list, int (*filter)(const dirent64*),
                              int (*compare)(const dirent64**, const dirent64**)) {
    if (listingOf(path) == Listing::None) return DAEDALUS_NEXT(scandir64)(path, list, filter, compare);
    return scan<dirent64>(path, list, filter, compare, ::readdir64);
}
