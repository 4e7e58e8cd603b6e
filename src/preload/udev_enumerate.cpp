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
    bool subsystem;    ///< and ours is one of them
    bool bySysname;
    bool sysname;
    bool refused;  ///< a match that our device does not meet
    bool scanned;
    udev_list_entry* realHead;
};

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

/// An entry for our device in an enumeration's list is the Enumeration itself.
Enumeration* asEnumeration(udev_list_entry* entry) {
    const Locked locked(enumerationsLock);
    for (Enumeration* known = enumerations; known != nullptr; known = known->next) {
        if (reinterpret_cast<udev_list_entry*>(known) == entry) return known;
    }
    return nullptr;
}

bool matches(const Enumeration& wanted) {
    return wanted.scanned && !wanted.refused && (!wanted.bySubsystem || wanted.subsystem) &&
           (!wanted.bySysname || wanted.sysname) && ourDevice(wanted.context) != nullptr;
}

bool fits(const char* pattern, const char* value) {
    return pattern == nullptr || (value != nullptr && ::fnmatch(pattern, value, 0) == 0);
}

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
        known->subsystem = known->subsystem || fits(subsystem, "video4linux");
    }
    NEXT_OR(udev_enumerate_add_match_subsystem, -ENOENT, enumerate, subsystem);
}

DAEDALUS_EXPORT int udev_enumerate_add_nomatch_subsystem(udev_enumerate* enumerate, const char* subsystem) {
    Enumeration* const known = find(enumerate);
    if (known != nullptr && subsystem != nullptr && fits(subsystem, "video4linux")) known->refused = true;
    NEXT_OR(udev_enumerate_add_nomatch_subsystem, -ENOENT, enumerate, subsystem);
}

DAEDALUS_EXPORT int udev_enumerate_add_match_sysname(udev_enumerate* enumerate, const char* sysname) {
    if (Enumeration* const known = find(enumerate); known != nullptr && sysname != nullptr) {
        udev_device* const ours = ourDevice(known->context);
        known->bySysname = true;
        known->sysname = known->sysname || (ours != nullptr && fits(sysname, udev_device_get_sysname(ours)));
    }
    NEXT_OR(udev_enumerate_add_match_sysname, -ENOENT, enumerate, sysname);
}

DAEDALUS_EXPORT int udev_enumerate_add_match_sysattr(udev_enumerate* enumerate, const char* attribute, const char* value) {
    if (Enumeration* const known = find(enumerate); known != nullptr && attribute != nullptr) {
        udev_device* const ours = ourDevice(known->context);
        const char* const is = ours != nullptr ? udev_device_get_sysattr_value(ours, attribute) : nullptr;
        if (is == nullptr || !fits(value, is)) known->refused = true;
    }
    NEXT_OR(udev_enumerate_add_match_sysattr, -ENOENT, enumerate, attribute, value);
}

DAEDALUS_EXPORT int udev_enumerate_add_match_property(udev_enumerate* enumerate, const char* key, const char* value) {
    if (Enumeration* const known = find(enumerate); known != nullptr && key != nullptr) {
        udev_device* const ours = ourDevice(known->context);
        const char* const is = ours != nullptr ? udev_device_get_property_value(ours, key) : nullptr;
        if (is == nullptr || !fits(value, is)) known->refused = true;
    }
    NEXT_OR(udev_enumerate_add_match_property, -ENOENT, enumerate, key, value);
}

DAEDALUS_EXPORT int udev_enumerate_add_match_tag(udev_enumerate* enumerate, const char* tag) {
    if (Enumeration* const known = find(enumerate); known != nullptr && tag != nullptr) known->refused = true;
    NEXT_OR(udev_enumerate_add_match_tag, -ENOENT, enumerate, tag);
}

DAEDALUS_EXPORT int udev_enumerate_add_match_parent(udev_enumerate* enumerate, udev_device* parent) {
    if (Enumeration* const known = find(enumerate); known != nullptr && parent != nullptr) {
        known->refused = known->refused || !isOurDevice(parent);
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
    return known != nullptr && matches(*known) ? 0 : result;
}

DAEDALUS_EXPORT udev_list_entry* udev_enumerate_get_list_entry(udev_enumerate* enumerate) {
    const auto next = DAEDALUS_NEXT_UDEV(udev_enumerate_get_list_entry);
    udev_list_entry* const head = next != nullptr ? next(enumerate) : nullptr;
    Enumeration* const known = find(enumerate);
    if (known == nullptr || !matches(*known)) return head;
    known->realHead = head;
    return reinterpret_cast<udev_list_entry*>(known);
}

DAEDALUS_EXPORT udev_list_entry* udev_list_entry_get_next(udev_list_entry* entry) {
    if (entry == nullptr) return nullptr;
    if (isOurEntry(entry)) return nextOfDevice(entry);
    if (const Enumeration* const known = asEnumeration(entry)) return known->realHead;
    NEXT_OR(udev_list_entry_get_next, nullptr, entry);
}

DAEDALUS_EXPORT const char* udev_list_entry_get_name(udev_list_entry* entry) {
    if (entry == nullptr) return nullptr;
    if (isOurEntry(entry)) return nameOfDevice(entry);
    if (const Enumeration* const known = asEnumeration(entry)) return udev_device_get_syspath(ourDevice(known->context));
    NEXT_OR(udev_list_entry_get_name, nullptr, entry);
}

DAEDALUS_EXPORT const char* udev_list_entry_get_value(udev_list_entry* entry) {
    if (entry == nullptr) return nullptr;
    if (isOurEntry(entry)) return valueOfDevice(entry);
    if (asEnumeration(entry) != nullptr) return nullptr;
    NEXT_OR(udev_list_entry_get_value, nullptr, entry);
}

DAEDALUS_EXPORT udev_list_entry* udev_list_entry_get_by_name(udev_list_entry* entry, const char* name) {
    if (entry == nullptr || name == nullptr) return nullptr;
    if (isOurEntry(entry)) {
        while (entry != nullptr && std::strcmp(nameOfDevice(entry), name) != 0) entry = nextOfDevice(entry);
        return entry;
    }
    if (const Enumeration* const known = asEnumeration(entry)) {
        if (std::strcmp(udev_list_entry_get_name(entry), name) == 0) return entry;
        if (known->realHead == nullptr) return nullptr;
        entry = known->realHead;
    }
    NEXT_OR(udev_list_entry_get_by_name, nullptr, entry, name);
}
