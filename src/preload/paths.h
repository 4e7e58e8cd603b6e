// The paths at which our node, and what describes it in /sys, appear to the program.
#pragma once

#include <sys/stat.h>

#include <cstddef>

#include "proto/wire.h"

namespace daedalus::preload {

enum class PathKind {
    None,       ///< not ours
    Node,       ///< /dev/videoN
    Directory,  ///< the device's folder, as /sys/class/video4linux/videoN or /sys/dev/char/M:m or where these lead to
    Link,       ///< the same, where the last part is a link and the caller does not follow it
    File,       ///< a file in that folder
    Class,      ///< /sys/class/video4linux, where the host has none
};

struct Path {
    PathKind kind = PathKind::None;
    const char* name = "";  ///< File: "uevent", "dev", "name", "index"
    char target[128] = "";  ///< Link: what readlink() gives; else: what realpath() gives
};

/// Whose path is it? Relative paths count from `directory` (AT_FDCWD). `follow`: a link at the end is followed.
Path classify(int directory, const char* path, bool follow);
/// True, with the result in `fd` (-1 with errno), if the path is ours.
bool openPath(int directory, const char* path, int flags, int& fd);
/// True, with `status` filled, if the path is ours.
bool statPath(int directory, const char* path, bool follow, struct stat* status);
/// What stat() says of the node itself.
bool statNode(struct stat* status);
/// The content of a file in the node's folder of /sys. Returns its length.
size_t fileContent(const proto::HelloBody& hello, const char* name, char* buffer, size_t size);
/// The files in the device's folder; nullptr after the last.
const char* fileName(size_t index);
/// Brings `path` into the form "/a/b" without links resolved. False if that is not possible.
bool normalise(int directory, const char* path, char* out, size_t size);

inline constexpr const char* kClassFolder = "/sys/class/video4linux";

}  // namespace daedalus::preload
