#include "src/preload/paths.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "proto/sysfs.h"
#include "src/preload/file.h"
#include "src/preload/process.h"
#include "src/preload/real.h"

namespace daedalus::preload {
namespace {

constexpr char kSysfs[] = "/sys";
constexpr int kMostLinks = 40;

/// The nodes, and the entries of /sys that the host does not have. Stays, as the greeting that it is made of.
struct Table {
    const Greeting* of;
    const proto::NodeEntry* nodes;
    size_t nodeCount;
    proto::SysfsEntry entries[proto::kMaxNodes * proto::kSysfsEntries];
    size_t count;
};

std::atomic<const Table*> newest{nullptr};  // changed under tableLock
Lock tableLock;

bool isThere(const char* path) {
    struct stat status;
    return realLstat(path, &status) == 0;
}

/// Under tableLock.
void makeTable(const Greeting& known) {
    // Its pages come into being when they are used.
    void* const memory = realMmap(nullptr, sizeof(Table), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    auto* const table = static_cast<Table*>(memory);
    table->of = &known;
    table->nodes = known.nodes;
    table->nodeCount = known.head.nodeCount;
    for (size_t n = 0; n < table->nodeCount; ++n) {
        for (size_t i = 0; proto::sysfsEntry(table->nodes[n], i, table->entries[table->count]); ++i) {
            const auto& entry = table->entries[table->count];
            const bool shared = entry.kind == proto::SysfsEntry::Kind::SharedFolder;
            if (!shared || (n == 0 && !isThere(entry.path))) ++table->count;
        }
    }
    newest.store(table, std::memory_order_release);
}

/// What there was when the daemon was asked last.
const Table* lastNames() {
    const Greeting* const known = greeting();
    if (known == nullptr) return nullptr;
    const Table* const table = newest.load(std::memory_order_acquire);
    if (table != nullptr && table->of == known) return table;
    const KeepErrno keep;
    const Locked locked(tableLock);
    const Greeting* const last = greeting();
    const Table* const made = newest.load(std::memory_order_relaxed);
    if (made == nullptr || made->of != last) makeTable(*last);
    return newest.load(std::memory_order_relaxed);
}

/// What there is now, or nullptr while no daemon answers.
const Table* names() { return freshGreeting() != nullptr ? lastNames() : nullptr; }

/// Cheap: most paths of a program are none of ours, and the daemon shall not be asked for them.
bool mayBeOurs(const char* path) {
    if (std::strstr(path, "81:") != nullptr || std::strstr(path, "/dev/char/") != nullptr) return true;
    for (const char* const name : {"video", "media"}) {
        for (const char* at = path; (at = std::strstr(at, name)) != nullptr;) {
            at += std::strlen(name);
            if (*at >= '0' && *at <= '9') return true;
        }
    }
    return false;
}

/// True if a node that came or went could have made a difference to what `path` is: one of its components is a node's name.
bool mayBeNews(const char* path) {
    if (std::strstr(path, "81:") != nullptr) return true;
    for (const char* at = path; (at = std::strstr(at, "video")) != nullptr;) {
        const bool begins = at == path || at[-1] == '/';
        at += std::strlen("video");
        const size_t digits = std::strspn(at, "0123456789");
        if (begins && digits > 0 && (at[digits] == '\0' || at[digits] == '/')) return true;
    }
    return false;
}

/// False for what the kernel would refuse with EFAULT, as far as that costs nothing to see.
bool isText(const char* path) { return reinterpret_cast<uintptr_t>(path) >= 4096; }

/// Copies `text` to `out`: false if it does not fit.
bool put(char* out, size_t size, const char* text) {
    const size_t length = std::strlen(text);
    if (length >= size) return false;
    std::memmove(out, text, length + 1);
    return true;
}

/// Ours is a node.
bool setNode(const proto::NodeEntry* node, Path& found) {
    if (node == nullptr) return false;
    found.kind = PathKind::Node;
    found.node = node;
    return put(found.standIn, sizeof found.standIn, socketPath());
}

/// The path that stands for `path` and what is below it: `rest`, which is empty or begins with '/'.
bool standFor(const Table& known, const char* path, const char* rest, Path& found) {
    for (size_t i = 0; i < known.nodeCount && rest[0] == '\0'; ++i) {
        if (std::strcmp(path, known.nodes[i].nodePath) == 0) return setNode(&known.nodes[i], found);
    }
    for (size_t i = 0; i < known.count; ++i) {
        if (std::strcmp(path, known.entries[i].path) != 0) continue;
        found.kind = PathKind::Sysfs;
        const int length = ::snprintf(found.standIn, sizeof found.standIn, "%s%s%s%s", socketPath(), proto::kSysfsSuffix,
                                      path + sizeof kSysfs - 1, rest);
        return length > 0 && static_cast<size_t>(length) < sizeof found.standIn;
    }
    found.kind = PathKind::None;
    return false;
}

/// Follows a path component by component as the kernel does, with our names put in.
class Walk {
public:
    explicit Walk(const Table& known) : known_(known) {}

    bool run(int directory, const char* path, bool follow, Path& found) {
        if (!put(rest_, sizeof rest_, path) || !begin(directory)) return false;
        size_t at = 0;
        for (int links = 0; links < kMostLinks;) {
            at += std::strspn(rest_ + at, "/");
            const size_t length = std::strcspn(rest_ + at, "/");
            if (length == 0) return false;
            const bool last = rest_[at + length] == '\0';
            const size_t before = used_;
            if (!enter(rest_ + at, length)) return false;
            at += length;
            if (used_ <= before) continue;
            if (standFor(known_, full_, rest_ + at, found)) {
                return last || found.kind != PathKind::Node;
            }
            if (last && !follow) return false;
            uint64_t session = 0;
            if (isOwnDescriptor(session)) return last && setNode(nodeOfSession(session), found);
            char target[kLongestPath];
            const ssize_t size = realReadlink(full_, target, sizeof target - 1);
            // What is not there may still be above what is ours: a host need not have all of /sys.
            if (size <= 0) continue;
            target[size] = '\0';
            showPath(target, static_cast<size_t>(size), sizeof target);
            if (std::strcmp(target, socketPath()) == 0) return false;
            if (!splice(target, at)) return false;
            at = 0;
            ++links;
            used_ = target[0] == '/' ? 0 : before;
            full_[used_] = '\0';
        }
        return false;
    }

private:
    /// Puts the folder that a relative path counts from into full_.
    bool begin(int directory) {
        full_[0] = '\0';
        used_ = 0;
        if (rest_[0] == '/') return true;
        ssize_t length = -1;
        if (directory == AT_FDCWD) {
            length = realGetcwd(full_, sizeof full_);
        } else {
            char link[32];
            ::snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
            length = realReadlink(link, full_, sizeof full_ - 1);
        }
        if (length <= 0 || full_[0] != '/') return false;
        full_[length] = '\0';
        showPath(full_, static_cast<size_t>(length), sizeof full_);
        used_ = std::strlen(full_);
        if (used_ == 1) used_ = 0;
        full_[used_] = '\0';
        return true;
    }

    /// Appends a component, or takes the last away for "..".
    bool enter(const char* name, size_t length) {
        if (length == 1 && name[0] == '.') return true;
        if (length == 2 && name[0] == '.' && name[1] == '.') {
            while (used_ > 0 && full_[--used_] != '/') {
            }
            full_[used_] = '\0';
            return true;
        }
        if (used_ + length + 2 > sizeof full_) return false;
        full_[used_++] = '/';
        std::memcpy(full_ + used_, name, length);
        used_ += length;
        full_[used_] = '\0';
        return true;
    }

    /// True if full_ is /proc/PID/fd/N, or the same of a thread, with a descriptor of this process that is a node's.
    [[nodiscard]] bool isOwnDescriptor(uint64_t& session) const {
        if (std::strncmp(full_, "/proc/", 6) != 0) return false;
        const char* const slash = std::strrchr(full_, '/');
        if (slash - full_ < 3 || std::strncmp(slash - 3, "/fd", 3) != 0) return false;
        char own[32];
        ::snprintf(own, sizeof own, "/proc/%d/", static_cast<int>(::getpid()));
        if (std::strncmp(full_, own, std::strlen(own)) != 0) return false;
        int fd = 0;
        for (const char* digit = slash + 1; *digit != '\0'; ++digit) {
            if (*digit < '0' || *digit > '9' || fd > 9'999'999) return false;
            fd = fd * 10 + (*digit - '0');
        }
        return isOurFileForSure(fd, session) || isNodePath(fd);
    }

    /// Puts a link's target before what is left of the path.
    bool splice(const char* target, size_t at) {
        const size_t length = std::strlen(target);
        const size_t left = std::strlen(rest_ + at) + 1;
        if (length + left > sizeof rest_) return false;
        std::memmove(rest_ + length, rest_ + at, left);
        std::memcpy(rest_, target, length);
        return true;
    }

    const Table& known_;
    char full_[kLongestPath] = "";
    size_t used_ = 0;
    char rest_[2 * kLongestPath] = "";
};

}  // namespace

bool servesNode() { return socketPath() != nullptr; }

namespace {

bool walkIn(const Table* known, int directory, const char* path, bool follow, Path& found) {
    if (known == nullptr) return false;
    const KeepErrno keep;
    Walk walk(*known);
    if (walk.run(directory, path, follow, found)) return true;
    found.kind = PathKind::None;
    return false;
}

}  // namespace

bool walkPath(int directory, const char* path, bool follow, Path& found) {
    return isText(path) && path[0] != '\0' && servesNode() && walkIn(lastNames(), directory, path, follow, found);
}

bool findPath(int directory, const char* path, bool follow, Path& found) {
    if (!isText(path) || !servesNode() || !mayBeOurs(path)) return false;
    const Table* const known = mayBeNews(path) ? names() : lastNames();
    if (known == nullptr) return false;
    return standFor(*known, path, "", found) || walkIn(known, directory, path, follow, found);
}

bool findPathLate(int directory, const char* path, bool follow, Path& found) {
    if ((errno != ENOENT && errno != ENXIO) || !isText(path) || !servesNode() || mayBeOurs(path)) return false;
    const KeepErrno keep;
    if (errno == ENXIO) return walkPath(directory, path, follow, found);
    struct stat status;
    if (!follow || realStatAt(directory, path, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISLNK(status.st_mode)) return false;
    return path[0] != '\0' && walkIn(names(), directory, path, follow, found);
}

bool isNodePath(int fd) {
    const KeepErrno keep;
    char link[32];
    char target[kLongestPath];
    ::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t length = realReadlink(link, target, sizeof target - 1);
    if (length <= 0 || !servesNode()) return false;
    target[length] = '\0';
    return std::strcmp(target, socketPath()) == 0;
}

size_t showPath(char* text, size_t length, size_t size) {
    if (!servesNode() || length == 0 || text[0] != '/') return 0;
    const size_t socket = std::strlen(socketPath());
    const size_t suffix = sizeof proto::kSysfsSuffix - 1;
    if (length < socket + suffix || std::memcmp(text, socketPath(), socket) != 0) return 0;
    if (std::memcmp(text + socket, proto::kSysfsSuffix, suffix) != 0) return 0;
    const size_t prefix = socket + suffix;
    if (length > prefix && text[prefix] != '/') return 0;
    const size_t shown = sizeof kSysfs - 1;
    std::memmove(text + shown, text + prefix, length - prefix);
    std::memcpy(text, kSysfs, shown);
    const size_t now = length - prefix + shown;
    if (now < size) text[now] = '\0';
    return now;
}

bool statNode(const proto::NodeEntry* node, struct stat* status) {
    if (node == nullptr) return false;
    const KeepErrno keep;
    if (realStat(socketPath(), status) != 0) {
        // In a sandbox the socket may be out of reach. A node that every host has tells what owner and times look like here.
        if (realStat("/dev/null", status) != 0) std::memset(status, 0, sizeof *status);
        status->st_mode = 0660;
    }
    status->st_mode = S_IFCHR | (status->st_mode & 07777);
    status->st_rdev = makedev(node->major, node->minor);
    status->st_size = 0;
    status->st_blocks = 0;
    return true;
}

// Listings

namespace {

/// The real folders in which an entry of ours can be.
constexpr const char* kParents[] = {
    "/dev", "/sys/class", "/sys/class/video4linux", "/sys/dev/char", "/sys/devices/virtual", "/sys/devices/virtual/video4linux",
};
constexpr size_t kParentCount = sizeof kParents / sizeof *kParents;

struct Parent {
    dev_t device;
    ino_t inode;  ///< 0: the host has no such folder
};
Parent parents[kParentCount];  // written once, under tableLock
std::atomic<bool> parentsMade{false};

const Parent* knownParents() {
    if (parentsMade.load(std::memory_order_acquire)) return parents;
    const KeepErrno keep;
    const Locked locked(tableLock);
    if (parentsMade.load(std::memory_order_relaxed)) return parents;
    for (size_t i = 0; i < kParentCount; ++i) {
        struct stat status;
        if (realStat(kParents[i], &status) == 0) parents[i] = {status.st_dev, status.st_ino};
    }
    parentsMade.store(true, std::memory_order_release);
    return parents;
}

/// The name of `path` if it lies right in `folder`.
const char* nameIn(const char* folder, const char* path) {
    const size_t length = std::strlen(folder);
    if (std::strncmp(path, folder, length) != 0 || path[length] != '/') return nullptr;
    return std::strchr(path + length + 1, '/') == nullptr ? path + length + 1 : nullptr;
}

unsigned char typeOf(proto::SysfsEntry::Kind kind) {
    using Kind = proto::SysfsEntry::Kind;
    constexpr unsigned char kDirectory = 4;
    constexpr unsigned char kRegular = 8;
    constexpr unsigned char kLink = 10;
    return kind == Kind::Link ? kLink : kind == Kind::File ? kRegular : kDirectory;
}

}  // namespace

bool mayListOurs(ino_t inode) {
    if (!servesNode()) return false;
    const Parent* const known = knownParents();
    for (size_t i = 0; i < kParentCount; ++i) {
        if (known[i].inode == inode) return true;
    }
    return false;
}

bool listedEntry(dev_t device, ino_t inode, size_t index, ListedEntry& entry) {
    constexpr unsigned char kCharacterDevice = 2;
    constexpr ino_t kFirstInode = 0x4456000000;
    const Parent* const folders = knownParents();
    size_t folder = 0;
    while (folder < kParentCount && (folders[folder].inode != inode || folders[folder].device != device)) ++folder;
    if (folder == kParentCount) return false;
    // A listing goes on with what it began with.
    const Table* const known = index == 0 ? names() : lastNames();
    if (known == nullptr) return false;
    const KeepErrno keep;
    // What the host itself has under our name, it lists itself.
    for (size_t i = 0; i < known->nodeCount + known->count; ++i) {
        const bool isNode = i < known->nodeCount;
        const auto* const made = isNode ? nullptr : &known->entries[i - known->nodeCount];
        const char* const path = isNode ? known->nodes[i].nodePath : made->path;
        const char* const name = nameIn(kParents[folder], path);
        if (name == nullptr || isThere(path) || index-- > 0) continue;
        entry = {name, isNode ? kCharacterDevice : typeOf(made->kind), kFirstInode + i};
        return true;
    }
    return false;
}

}  // namespace daedalus::preload
