// Enumerations of udev devices, with ours among them.
#include <fnmatch.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "src/preload/process.h"
#include "src/preload/real.h"
#include "src/preload/shown_node.h"
#include "src/preload/udev.h"

namespace daedalus::preload {

udev_list_entry* nextOfDevice(udev_list_entry* entry);
const char* nameOfDevice(udev_list_entry* entry);
const char* valueOfDevice(udev_list_entry* entry);

namespace {

/// What we know of one enumeration. The real libudev keeps its own; ours is put before the head of its list.
struct Enumeration {
    Enumeration* next;
    udev_enumerate* real;
    udev* context;
    bool bySubsystem;  ///< at least one subsystem was asked for
    bool bySysname;
    bool scanned;
    // One bit for each of our devices:
    uint32_t subsystems;  ///< whose subsystem was asked for
    uint32_t sysnames;    ///< whose name was asked for
    uint32_t refused;     ///< that do not meet some match
    udev_list_entry* realHead;
    char entries[proto::kMaxNodes];  ///< their addresses stand for our devices in its list
};

constexpr uint32_t kAll = ~uint32_t{0};

Lock enumerationsLock;
Enumeration* enumerations = nullptr;  // guarded by enumerationsLock; never freed, but used again

Enumeration* find(udev_enumerate* real) {
    const Locked locked(enumerationsLock);
    Enumeration* known = enumerations;
    while (known != nullptr && (known->real != real || real == nullptr)) known = known->next;
    return known;
}

void add(udev_enumerate* real, udev* context) {
    const Locked locked(enumerationsLock);
    Enumeration* place = enumerations;
    while (place != nullptr && place->real != nullptr) place = place->next;
    if (place == nullptr) {
        void* const memory = realMmap(nullptr, sizeof *place, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) return;
        place = static_cast<Enumeration*>(memory);
        place->next = enumerations;
        enumerations = place;
    }
    Enumeration* const next = place->next;
    *place = {};
    place->next = next;
    place->real = real;
    place->context = context;
}

/// The enumeration in whose list `entry` stands for one of our devices, and which one.
Enumeration* asEnumeration(udev_list_entry* entry, size_t& index) {
    const Locked locked(enumerationsLock);
    const auto* const at = reinterpret_cast<const char*>(entry);
    for (Enumeration* known = enumerations; known != nullptr; known = known->next) {
        if (at < known->entries || at >= known->entries + sizeof known->entries) continue;
        index = static_cast<size_t>(at - known->entries);
        return known;
    }
    return nullptr;
}

bool matches(const Enumeration& wanted, size_t index) {
    const uint32_t bit = 1U << index;
    return wanted.scanned && (wanted.refused & bit) == 0 && (!wanted.bySubsystem || (wanted.subsystems & bit) != 0) &&
           (!wanted.bySysname || (wanted.sysnames & bit) != 0);
}

/// The entry of the first of our devices from `index` on that is wanted; behind the last the real list begins.
udev_list_entry* entryFrom(Enumeration& known, size_t index) {
    for (; ourDevice(known.context, index) != nullptr; ++index) {
        if (matches(known, index)) return reinterpret_cast<udev_list_entry*>(&known.entries[index]);
    }
    return known.realHead;
}

/// The bits of our devices of which `isTrue(device)`.
template <class IsTrue>
uint32_t devicesWhere(const Enumeration& known, IsTrue isTrue) {
    uint32_t bits = 0;
    udev_device* device = nullptr;
    for (size_t i = 0; (device = ourDevice(known.context, i)) != nullptr; ++i) {
        if (isTrue(device)) bits |= 1U << i;
    }
    return bits;
}

bool fits(const char* pattern, const char* value) {
    return pattern == nullptr || (value != nullptr && ::fnmatch(pattern, value, 0) == 0);
}

/// Looks at the name alone: a program that asks for other devices does not wake the daemon.
bool isSubsystemOfOurs(const char* pattern) { return fits(pattern, "video4linux") || fits(pattern, "media"); }

}  // namespace
}  // namespace daedalus::preload

using namespace daedalus::preload;

#define NEXT_OR(function, absent, ...)                         \
    do {                                                       \
        const auto next = DAEDALUS_NEXT_UDEV(function);        \
        return next != nullptr ? next(__VA_ARGS__) : (absent); \
    } while (false)

DAEDALUS_EXPORT udev_enumerate* udev_enumerate_new(udev* context) {
    const auto next = DAEDALUS_NEXT_UDEV(udev_enumerate_new);
    udev_enumerate* const real = next != nullptr ? next(context) : nullptr;
    if (real != nullptr && showsNode()) add(real, context);
    return real;
}

DAEDALUS_EXPORT udev_enumerate* udev_enumerate_unref(udev_enumerate* enumerate) {
    // Nobody takes further references to an enumeration in practice; the entry is used again with the address.
    if (Enumeration* const known = find(enumerate)) {
        const Locked locked(enumerationsLock);
        known->real = nullptr;
    }
    NEXT_OR(udev_enumerate_unref, nullptr, enumerate);
}

DAEDALUS_EXPORT int udev_enumerate_add_match_subsystem(udev_enumerate* enumerate, const char* subsystem) {
    if (Enumeration* const known = find(enumerate); known != nullptr && subsystem != nullptr) {
        known->bySubsystem = true;
        if (isSubsystemOfOurs(subsystem))
            known->subsystems |=
                devicesWhere(*known, [&](udev_device* ours) { return fits(subsystem, udev_device_get_subsystem(ours)); });
    }
    NEXT_OR(udev_enumerate_add_match_subsystem, -ENOENT, enumerate, subsystem);
}

DAEDALUS_EXPORT int udev_enumerate_add_nomatch_subsystem(udev_enumerate* enumerate, const char* subsystem) {
    Enumeration* const known = find(enumerate);
    if (known != nullptr && subsystem != nullptr && isSubsystemOfOurs(subsystem)) {
        known->refused |=
            devicesWhere(*known, [&](udev_device* ours) { return fits(subsystem, udev_device_get_subsystem(ours)); });
    }
    NEXT_OR(udev_enumerate_add_nomatch_subsystem, -ENOENT, enumerate, subsystem);
}

DAEDALUS_EXPORT int udev_enumerate_add_match_sysname(udev_enumerate* enumerate, const char* sysname) {
    if (Enumeration* const known = find(enumerate); known != nullptr && sysname != nullptr) {
        known->bySysname = true;
        known->sysnames |=
            devicesWhere(*known, [&](udev_device* ours) { return fits(sysname, udev_device_get_sysname(ours)); });
    }
    NEXT_OR(udev_enumerate_add_match_sysname, -ENOENT, enumerate, sysname);
}

DAEDALUS_EXPORT int udev_enumerate_add_match_sysattr(udev_enumerate* enumerate, const char* attribute, const char* value) {
    if (Enumeration* const known = find(enumerate); known != nullptr && attribute != nullptr) {
        known->refused |= devicesWhere(*known, [&](udev_device* ours) {
            const char* const is = udev_device_get_sysattr_value(ours, attribute);
            return is == nullptr || !fits(value, is);
        });
    }
    NEXT_OR(udev_enumerate_add_match_sysattr, -ENOENT, enumerate, attribute, value);
}

DAEDALUS_EXPORT int udev_enumerate_add_match_property(udev_enumerate* enumerate, const char* key, const char* value) {
    if (Enumeration* const known = find(enumerate); known != nullptr && key != nullptr) {
        known->refused |= devicesWhere(*known, [&](udev_device* ours) {
            const char* const is = udev_device_get_property_value(ours, key);
            return is == nullptr || !fits(value, is);
        });
    }
    NEXT_OR(udev_enumerate_add_match_property, -ENOENT, enumerate, key, value);
}

DAEDALUS_EXPORT int udev_enumerate_add_match_tag(udev_enumerate* enumerate, const char* tag) {
    if (Enumeration* const known = find(enumerate); known != nullptr && tag != nullptr) known->refused = kAll;
    NEXT_OR(udev_enumerate_add_match_tag, -ENOENT, enumerate, tag);
}

DAEDALUS_EXPORT int udev_enumerate_add_match_parent(udev_enumerate* enumerate, udev_device* parent) {
    if (Enumeration* const known = find(enumerate); known != nullptr && parent != nullptr) {
        known->refused |= devicesWhere(*known, [&](udev_device* ours) { return ours != parent; });
    }
    if (isOurDevice(parent)) return 0;
    NEXT_OR(udev_enumerate_add_match_parent, -ENOENT, enumerate, parent);
}

DAEDALUS_EXPORT int udev_enumerate_scan_devices(udev_enumerate* enumerate) {
    Enumeration* const known = find(enumerate);
    if (known != nullptr) known->scanned = true;
    const auto next = DAEDALUS_NEXT_UDEV(udev_enumerate_scan_devices);
    const int result = next != nullptr ? next(enumerate) : -ENOENT;
    // A host without /sys still has our device.
    return known != nullptr && entryFrom(*known, 0) != known->realHead ? 0 : result;
}

DAEDALUS_EXPORT udev_list_entry* udev_enumerate_get_list_entry(udev_enumerate* enumerate) {
    const auto next = DAEDALUS_NEXT_UDEV(udev_enumerate_get_list_entry);
    udev_list_entry* const head = next != nullptr ? next(enumerate) : nullptr;
    Enumeration* const known = find(enumerate);
    if (known == nullptr) return head;
    known->realHead = head;
    return entryFrom(*known, 0);
}

DAEDALUS_EXPORT udev_list_entry* udev_list_entry_get_next(udev_list_entry* entry) {
    if (entry == nullptr) return nullptr;
    if (isOurEntry(entry)) return nextOfDevice(entry);
    size_t index = 0;
    if (Enumeration* const known = asEnumeration(entry, index)) return entryFrom(*known, index + 1);
    NEXT_OR(udev_list_entry_get_next, nullptr, entry);
}

DAEDALUS_EXPORT const char* udev_list_entry_get_name(udev_list_entry* entry) {
    if (entry == nullptr) return nullptr;
    if (isOurEntry(entry)) return nameOfDevice(entry);
    size_t index = 0;
    if (const Enumeration* const known = asEnumeration(entry, index))
        return udev_device_get_syspath(ourDevice(known->context, index));
    NEXT_OR(udev_list_entry_get_name, nullptr, entry);
}

DAEDALUS_EXPORT const char* udev_list_entry_get_value(udev_list_entry* entry) {
    if (entry == nullptr) return nullptr;
    if (isOurEntry(entry)) return valueOfDevice(entry);
    size_t index = 0;
    if (asEnumeration(entry, index) != nullptr) return nullptr;
    NEXT_OR(udev_list_entry_get_value, nullptr, entry);
}

DAEDALUS_EXPORT udev_list_entry* udev_list_entry_get_by_name(udev_list_entry* entry, const char* name) {
    if (entry == nullptr || name == nullptr) return nullptr;
    if (isOurEntry(entry)) {
        while (entry != nullptr && std::strcmp(nameOfDevice(entry), name) != 0) entry = nextOfDevice(entry);
        return entry;
    }
    size_t index = 0;
    while (const Enumeration* const known = asEnumeration(entry, index)) {
        if (std::strcmp(udev_list_entry_get_name(entry), name) == 0) return entry;
        entry = udev_list_entry_get_next(entry);
        if (entry == nullptr || entry == known->realHead) break;
    }
    if (entry == nullptr) return nullptr;
    NEXT_OR(udev_list_entry_get_by_name, nullptr, entry, name);
}
