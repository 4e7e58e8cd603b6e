// The paths at which our node, and what describes it in /sys, appear to the program. Each has a real file that stands for it:
// the daemon's socket for the node, so that owner, mode and times are those of the right to use it; a file in the folder beside
// the socket for what is in /sys.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>

#include "proto/wire.h"

namespace daedalus::preload {

/// The longest of our paths and of those that stand for them. Nothing longer is ours, so no call here needs a larger buffer.
inline constexpr size_t kLongestPath = 256;

enum class PathKind : uint8_t {
    None,   ///< not ours
    Node,   ///< /dev/videoN
    Sysfs,  ///< a part of /sys that the host does not have
};

struct Path {
    PathKind kind = PathKind::None;
    const proto::NodeEntry* node = nullptr;  ///< of a Node
    char standIn[kLongestPath] = "";
};

/// Whose path is it? Relative paths count from `directory` (AT_FDCWD). `follow`: a link at the end is followed. Looks at the
/// name alone, as long as it is none of ours: then it makes no system call. Keeps errno.
bool findPath(int directory, const char* path, bool follow, Path& found);
/// The same after a call on `path` failed with errno: a link, or a descriptor in /proc, may lead to what is ours. Keeps errno.
bool findPathLate(int directory, const char* path, bool follow, Path& found);
/// As findPathLate(), whatever the call said.
bool walkPath(int directory, const char* path, bool follow, Path& found);

/// True if `fd` was opened with O_PATH on a node. Which one is not known: it counts as the first.
bool isNodePath(int fd);
/// Brings a path that the kernel gave into the form in which the program knows it, in place; `size` is the room there. Returns
/// its length, or 0 if nothing was changed. `text` need not end in NUL.
size_t showPath(char* text, size_t length, size_t size);

/// True if the daemon's node, and with it anything of ours, can be there.
bool servesNode();

/// What stat() says of a node itself. False if `node` is null.
bool statNode(const proto::NodeEntry* node, struct stat* status);

/// One of our entries in a real directory of the host.
struct ListedEntry {
    const char* name;
    unsigned char type;  ///< DT_CHR, DT_LNK or DT_DIR
    ino_t inode;
};

/// True if some directory with this inode number lists an entry of ours: only then is listedEntry() worth its call.
bool mayListOurs(ino_t inode);
/// Our entry number `index` in a directory; false after the last.
bool listedEntry(dev_t device, ino_t inode, size_t index, ListedEntry& entry);

}  // namespace daedalus::preload
