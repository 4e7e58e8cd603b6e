// What /sys says of a node: the daemon lays it out in a folder beside its socket, the preload library shows that folder to
// programs as a part of /sys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "proto/wire.h"

namespace daedalus::proto {

/// The folder that stands for /sys is the socket's path and this.
inline constexpr char kSysfsSuffix[] = ".sys";

struct SysfsEntry {
    enum class Kind : uint8_t {
        SharedFolder,  ///< holds nodes of the kernel, too: only where the host has none does ours take its place
        Folder,        ///< the device's own
        Link,
        File,
    };
    Kind kind;
    char path[128];
    char content[128];  ///< Link: its target; File: what it reads as
};

/// "video0"
inline const char* nodeName(const NodeEntry& node) {
    const char* const slash = std::strrchr(node.nodePath, '/');
    return slash != nullptr ? slash + 1 : node.nodePath;
}

/// No node has more entries.
inline constexpr size_t kSysfsEntries = 10;

/// The folder of a media device, below the parent that it has in common with its video node, which has the same number.
inline void mediaFolder(const NodeEntry& node, char (&folder)[128]) {
    std::snprintf(folder, sizeof folder, "/sys/devices/virtual/video4linux/video%u/device/media%u", node.minor, node.minor);
}

/// sysfsEntry() of a media device.
inline bool mediaSysfsEntry(const NodeEntry& node, size_t index, SysfsEntry& entry) {
    using Kind = SysfsEntry::Kind;
    char folder[128];
    mediaFolder(node, folder);
    const auto set = [&](Kind kind, const char* rest) {
        entry.kind = kind;
        entry.content[0] = '\0';
        std::snprintf(entry.path, sizeof entry.path, "%.100s%s", folder, rest);
        return true;
    };
    const auto say = [&](const char* format, auto... values) {
        std::snprintf(entry.content, sizeof entry.content, format, values...);
        return true;
    };
    switch (index) {
        case 0:
            return set(Kind::Folder, "");
        case 1:
            return set(Kind::File, "/uevent") &&
                   say("MAJOR=%u\nMINOR=%u\nDEVNAME=%s\n", node.major, node.minor, nodeName(node));
        case 2:
            return set(Kind::File, "/dev") && say("%u:%u\n", node.major, node.minor);
        case 3:
            return set(Kind::File, "/model") && say("%s\n", node.card);
        case 4:
            return set(Kind::Link, "/subsystem") && say("%s", "../../../../../../../bus/media");
        case 5:
            set(Kind::Link, "");
            std::snprintf(entry.path, sizeof entry.path, "/sys/dev/char/%u:%u", node.major, node.minor);
            return say("../../devices/virtual/video4linux/video%u/device/media%u", node.minor, node.minor);
        default:
            return false;
    }
}

/// Entry number `index` of a node, parents before their children. False after the last.
inline bool sysfsEntry(const NodeEntry& node, size_t index, SysfsEntry& entry) {
    using Kind = SysfsEntry::Kind;
    const char* const name = nodeName(node);
    const auto set = [&](Kind kind, const char* folder, const char* rest) {
        entry.kind = kind;
        entry.content[0] = '\0';
        std::snprintf(entry.path, sizeof entry.path, "%s/%s%s", folder, name, rest);
        return true;
    };
    const auto say = [&](const char* format, auto... values) {
        std::snprintf(entry.content, sizeof entry.content, format, values...);
        return true;
    };
    if (node.kind == FileKind::Media) return mediaSysfsEntry(node, index, entry);
    constexpr const char* kDevices = "/sys/devices/virtual/video4linux";
    constexpr const char* kClass = "/sys/class/video4linux";
    switch (index) {
        case 0:
        case 1:
            set(Kind::SharedFolder, "", "");
            std::strcpy(entry.path, index == 0 ? kDevices : kClass);
            return true;
        case 2:
            return set(Kind::Folder, kDevices, "");
        case 3:
            return set(Kind::File, kDevices, "/uevent") &&
                   say("MAJOR=%u\nMINOR=%u\nDEVNAME=%s\n", node.major, node.minor, name);
        case 4:
            return set(Kind::File, kDevices, "/dev") && say("%u:%u\n", node.major, node.minor);
        case 5:
            return set(Kind::File, kDevices, "/name") && say("%s\n", node.card);
        case 6:
            return set(Kind::File, kDevices, "/index") && say("%s\n", "0");
        case 7:
            return set(Kind::Link, kDevices, "/subsystem") && say("%s", "../../../../class/video4linux");
        case 8:
            return set(Kind::Link, kClass, "") && say("../../devices/virtual/video4linux/%s", name);
        case 9:
            set(Kind::Link, "", "");
            std::snprintf(entry.path, sizeof entry.path, "/sys/dev/char/%u:%u", node.major, node.minor);
            return say("../../devices/virtual/video4linux/%s", name);
        default:
            return false;
    }
}

}  // namespace daedalus::proto
