// Our nodes as udev devices.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "proto/sysfs.h"
#include "src/preload/old_symbols.h"
#include "src/preload/paths.h"
#include "src/preload/process.h"
#include "src/preload/real.h"
#include "src/preload/shown_node.h"
#include "src/preload/udev.h"

namespace daedalus::preload {
namespace {

/// An element of a list of ours, as libudev's callers walk it.
struct Entry {
    const char* name;
    const char* value;
    Entry* next;
};

/// "/dev/media" is as long.
constexpr char kNodePrefix[] = "/dev/video";
constexpr size_t kProperties = 10;
constexpr size_t kAttributes = 4;
constexpr char kVirtualFolder[] = "/sys/devices/virtual/video4linux/";

struct Device {
    bool made;
    const char* subsystem;
    dev_t number;
    udev* context;
    char syspath[128];
    char major[16];
    char minor[16];
    char devnode[64];
    char card[32];
    char subsystemPath[32];
    Entry properties[kProperties];
    Entry attributes[kAttributes];
    char attributeNames[kAttributes][16];
    char attributeValues[kAttributes][sizeof proto::SysfsEntry::content];
};

Device devices[proto::kMaxNodes];
Lock deviceLock;

const char* baseName(const char* path) {
    const char* const slash = std::strrchr(path, '/');
    return slash != nullptr ? slash + 1 : path;
}

const char* subsystemOf(const proto::NodeEntry& node) { return node.kind == proto::FileKind::Media ? "media" : "video4linux"; }

void syspathOf(const proto::NodeEntry& node, char (&path)[128]) {
    if (node.kind == proto::FileKind::Media) return proto::mediaFolder(node, path);
    ::snprintf(path, sizeof path, "%s%s", kVirtualFolder, baseName(node.nodePath));
}

void makeDevice(const proto::NodeEntry& hello, Device& device) {
    device.number = makedev(hello.major, hello.minor);
    device.subsystem = subsystemOf(hello);
    syspathOf(hello, device.syspath);
    ::snprintf(device.major, sizeof device.major, "%u", hello.major);
    ::snprintf(device.minor, sizeof device.minor, "%u", hello.minor);
    ::snprintf(device.devnode, sizeof device.devnode, "%s", hello.nodePath);
    ::snprintf(device.card, sizeof device.card, "%s", hello.card);
    // What udev's rules and its v4l_id would have said.
    const Entry properties[kProperties] = {
        {"DEVPATH", device.syspath + std::strlen("/sys"), nullptr},
        {"SUBSYSTEM", device.subsystem, nullptr},
        {"MAJOR", device.major, nullptr},
        {"MINOR", device.minor, nullptr},
        {"DEVNAME", device.devnode, nullptr},
        {"ID_V4L_VERSION", "2", nullptr},
        {"ID_V4L_PRODUCT", device.card, nullptr},
        {"ID_V4L_CAPABILITIES", ":", nullptr},
        {"USEC_INITIALIZED", "1", nullptr},
        {"TAGS", ":uaccess:", nullptr},
    };
    size_t said = 0;
    for (const Entry& property : properties) {
        if (hello.kind == proto::FileKind::Media && std::strncmp(property.name, "ID_V4L", 6) == 0) continue;
        device.properties[said] = property;
        if (said > 0) device.properties[said - 1].next = &device.properties[said];
        ++said;
    }
    proto::SysfsEntry entry;
    size_t count = 0;
    for (size_t i = 0; count < kAttributes && proto::sysfsEntry(hello, i, entry); ++i) {
        if (entry.kind != proto::SysfsEntry::Kind::File) continue;
        char* const value = device.attributeValues[count];
        ::snprintf(device.attributeNames[count], sizeof device.attributeNames[count], "%s", baseName(entry.path));
        ::snprintf(value, sizeof device.attributeValues[count], "%s", entry.content);
        const size_t length = std::strlen(value);
        if (length > 0 && value[length - 1] == '\n') value[length - 1] = '\0';
        device.attributes[count] = {device.attributeNames[count], nullptr, nullptr};
        if (count > 0) device.attributes[count - 1].next = &device.attributes[count];
        ++count;
    }
    device.made = true;
}

const Entry* asEntry(udev_list_entry* entry) { return reinterpret_cast<const Entry*>(entry); }
udev_list_entry* asList(Entry* entry) { return reinterpret_cast<udev_list_entry*>(entry); }

const char* findValue(const Entry* entries, const char* key) {
    for (; entries != nullptr; entries = entries->next) {
        if (std::strcmp(entries->name, key) == 0) return entries->value;
    }
    return nullptr;
}

/// True for a folder that describes one device.
bool isDevice(const char* folder) {
    struct stat status;
    char file[kLongestPath + 8];
    const KeepErrno keep;
    ::snprintf(file, sizeof file, "%s/dev", folder);
    return realStat(file, &status) == 0;
}

/// Exactly that of the node, or any of the paths in /sys that lead to it.
bool isSyspathOf(const proto::NodeEntry& node, const char* path) {
    if (path[0] != '/') return false;
    char folder[128];
    syspathOf(node, folder);
    if (std::strcmp(path, folder) == 0) return true;
    Path found;
    if (!findPath(AT_FDCWD, path, true, found) || found.kind != PathKind::Sysfs || !isDevice(found.standIn)) return false;
    char device[32];
    char own[32];
    ::snprintf(own, sizeof own, "%u:%u\n", node.major, node.minor);
    char file[kLongestPath + 8];
    ::snprintf(file, sizeof file, "%s/dev", found.standIn);
    const KeepErrno keep;
    const int fd = DAEDALUS_NEXT(open)(file, O_RDONLY | O_CLOEXEC);
    const ssize_t length = fd >= 0 ? ::pread(fd, device, sizeof device - 1, 0) : 0;
    if (fd >= 0) realClose(fd);
    return length > 0 && static_cast<size_t>(length) == std::strlen(own) &&
           std::memcmp(device, own, static_cast<size_t>(length)) == 0;
}

/// The first of our devices for whose node `isWanted` is true, or nullptr.
template <class IsWanted>
udev_device* findDevice(udev* context, IsWanted isWanted) {
    const proto::NodeEntry* node = nullptr;
    for (size_t i = 0; (node = shownNode(i)) != nullptr; ++i) {
        if (isWanted(*node)) return ourDevice(context, i);
    }
    return nullptr;
}

Device& of(udev_device* ours) { return *reinterpret_cast<Device*>(ours); }

}  // namespace

void* findUdev(const char* name) {
    const KeepErrno keep;
    void* found = findNext(name);
    if (found == nullptr) {
        // dlopen()ed by a plugin, it is not in the order that RTLD_NEXT searches.
        if (void* const library = ::dlopen("libudev.so.1", RTLD_LAZY | RTLD_LOCAL)) found = ::dlsym(library, name);
    }
    return found;
}

bool isOurDevice(const void* candidate) {
    for (const Device& device : devices) {
        if (candidate == &device) return true;
    }
    return false;
}

bool isOurEntry(const void* entry) {
    const auto* const at = static_cast<const char*>(entry);
    const auto* const from = reinterpret_cast<const char*>(devices);
    return at >= from && at < from + sizeof devices;
}

udev_device* ourDevice(udev* context, size_t index) {
    const proto::NodeEntry* const hello = shownNode(index);
    if (hello == nullptr) return nullptr;
    const Locked locked(deviceLock);
    Device& device = devices[index];
    if (!device.made) makeDevice(*hello, device);
    device.context = context;
    return reinterpret_cast<udev_device*>(&device);
}

}  // namespace daedalus::preload

using namespace daedalus::preload;
namespace proto = daedalus::proto;

// A function of the real libudev, or its answer for "not there".
#define NEXT_OR(function, absent, ...)                         \
    do {                                                       \
        const auto next = DAEDALUS_NEXT_UDEV(function);        \
        return next != nullptr ? next(__VA_ARGS__) : (absent); \
    } while (false)

DAEDALUS_EXPORT udev_device* udev_device_new_from_syspath(udev* context, const char* syspath) {
    if (syspath != nullptr) {
        const auto isIts = [&](const proto::NodeEntry& node) { return isSyspathOf(node, syspath); };
        if (udev_device* const ours = findDevice(context, isIts)) return ours;
    }
    NEXT_OR(udev_device_new_from_syspath, nullptr, context, syspath);
}

DAEDALUS_EXPORT udev_device* udev_device_new_from_devnum(udev* context, char type, dev_t number) {
    if (type == 'c') {
        const auto isIts = [&](const proto::NodeEntry& node) { return number == makedev(node.major, node.minor); };
        if (udev_device* const ours = findDevice(context, isIts)) return ours;
    }
    NEXT_OR(udev_device_new_from_devnum, nullptr, context, type, number);
}

DAEDALUS_EXPORT udev_device* udev_device_new_from_subsystem_sysname(udev* context, const char* subsystem, const char* sysname) {
    if (subsystem != nullptr && sysname != nullptr) {
        const auto isIts = [&](const proto::NodeEntry& node) {
            return std::strcmp(subsystem, subsystemOf(node)) == 0 && std::strcmp(sysname, baseName(node.nodePath)) == 0;
        };
        if (udev_device* const ours = findDevice(context, isIts)) return ours;
    }
    NEXT_OR(udev_device_new_from_subsystem_sysname, nullptr, context, subsystem, sysname);
}

DAEDALUS_EXPORT udev_device* udev_device_new_from_device_id(udev* context, const char* id) {
    if (id != nullptr && id[0] == 'c') {
        const auto isIts = [&](const proto::NodeEntry& node) {
            char own[32];
            ::snprintf(own, sizeof own, "c%u:%u", node.major, node.minor);
            return std::strcmp(id, own) == 0;
        };
        if (udev_device* const ours = findDevice(context, isIts)) return ours;
    }
    NEXT_OR(udev_device_new_from_device_id, nullptr, context, id);
}

// Answers `ours` for our device, and asks the real libudev for any other.
#define DEVICE_CALL(result, function, ours, absent)         \
    DAEDALUS_EXPORT result function(udev_device* device_) { \
        if (isOurDevice(device_)) return ours;              \
        NEXT_OR(function, absent, device_);                 \
    }

DEVICE_CALL(udev_device*, udev_device_ref, device_, nullptr)
DEVICE_CALL(udev_device*, udev_device_unref, nullptr, nullptr)
DEVICE_CALL(udev*, udev_device_get_udev, of(device_).context, nullptr)
DEVICE_CALL(const char*, udev_device_get_syspath, of(device_).syspath, nullptr)
DEVICE_CALL(const char*, udev_device_get_devpath, of(device_).syspath + std::strlen("/sys"), nullptr)
DEVICE_CALL(const char*, udev_device_get_subsystem, of(device_).subsystem, nullptr)
DEVICE_CALL(const char*, udev_device_get_devtype, nullptr, nullptr)
DEVICE_CALL(const char*, udev_device_get_sysname, baseName(of(device_).devnode), nullptr)
DEVICE_CALL(const char*, udev_device_get_sysnum, of(device_).devnode + std::strlen(kNodePrefix), nullptr)
DEVICE_CALL(const char*, udev_device_get_devnode, of(device_).devnode, nullptr)
DEVICE_CALL(const char*, udev_device_get_driver, nullptr, nullptr)
DEVICE_CALL(const char*, udev_device_get_action, nullptr, nullptr)
DEVICE_CALL(dev_t, udev_device_get_devnum, of(device_).number, makedev(0, 0))
DEVICE_CALL(unsigned long long, udev_device_get_seqnum, 0, 0)
DEVICE_CALL(unsigned long long, udev_device_get_usec_since_initialized, 1, 0)
DEVICE_CALL(int, udev_device_get_is_initialized, 1, -ENODEV)
DEVICE_CALL(udev_device*, udev_device_get_parent, nullptr, nullptr)
DEVICE_CALL(udev_list_entry*, udev_device_get_devlinks_list_entry, nullptr, nullptr)
DEVICE_CALL(udev_list_entry*, udev_device_get_properties_list_entry, asList(&of(device_).properties[0]), nullptr)
DEVICE_CALL(udev_list_entry*, udev_device_get_tags_list_entry, nullptr, nullptr)
DEVICE_CALL(udev_list_entry*, udev_device_get_current_tags_list_entry, nullptr, nullptr)
DEVICE_CALL(udev_list_entry*, udev_device_get_sysattr_list_entry, asList(&of(device_).attributes[0]), nullptr)

DAEDALUS_EXPORT udev_device* udev_device_get_parent_with_subsystem_devtype(udev_device* device_, const char* subsystem,
                                                                           const char* devtype) {
    if (isOurDevice(device_)) return nullptr;
    NEXT_OR(udev_device_get_parent_with_subsystem_devtype, nullptr, device_, subsystem, devtype);
}

DAEDALUS_EXPORT const char* udev_device_get_property_value(udev_device* device_, const char* key) {
    if (isOurDevice(device_)) return key != nullptr ? findValue(&of(device_).properties[0], key) : nullptr;
    NEXT_OR(udev_device_get_property_value, nullptr, device_, key);
}

DAEDALUS_EXPORT const char* udev_device_get_sysattr_value(udev_device* device_, const char* attribute) {
    if (!isOurDevice(device_)) NEXT_OR(udev_device_get_sysattr_value, nullptr, device_, attribute);
    const Device& device = of(device_);
    for (size_t i = 0; attribute != nullptr && i < kAttributes; ++i) {
        if (std::strcmp(device.attributes[i].name, attribute) == 0) return device.attributeValues[i];
    }
    return nullptr;
}

DAEDALUS_EXPORT int udev_device_set_sysattr_value(udev_device* device_, const char* attribute, const char* value) {
    if (isOurDevice(device_)) return -EACCES;
    NEXT_OR(udev_device_set_sysattr_value, -ENOENT, device_, attribute, value);
}

DAEDALUS_EXPORT int udev_device_has_tag(udev_device* device_, const char* tag) {
    if (isOurDevice(device_)) return 0;
    NEXT_OR(udev_device_has_tag, 0, device_, tag);
}

DAEDALUS_EXPORT int udev_device_has_current_tag(udev_device* device_, const char* tag) {
    if (isOurDevice(device_)) return 0;
    NEXT_OR(udev_device_has_current_tag, 0, device_, tag);
}

// The lists of our device. Lists of enumerations are udev_enumerate.cpp's, which hands other entries on to the real libudev.

namespace daedalus::preload {

udev_list_entry* nextOfDevice(udev_list_entry* entry) { return asList(asEntry(entry)->next); }
const char* nameOfDevice(udev_list_entry* entry) { return asEntry(entry)->name; }
const char* valueOfDevice(udev_list_entry* entry) { return asEntry(entry)->value; }

}  // namespace daedalus::preload
