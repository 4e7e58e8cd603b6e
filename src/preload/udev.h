// libudev's functions, as far as gudev, GStreamer and v4l-utils use them; its own header need not be there to build this.
#pragma once

#include <sys/types.h>

#include "src/preload/next.h"

struct udev;
struct udev_device;
struct udev_enumerate;
struct udev_list_entry;

extern "C" {
udev_device* udev_device_new_from_syspath(udev* context, const char* syspath);
udev_device* udev_device_new_from_devnum(udev* context, char type, dev_t number);
udev_device* udev_device_new_from_subsystem_sysname(udev* context, const char* subsystem, const char* sysname);
udev_device* udev_device_new_from_device_id(udev* context, const char* id);
udev_device* udev_device_ref(udev_device* device);
udev_device* udev_device_unref(udev_device* device);
udev* udev_device_get_udev(udev_device* device);
const char* udev_device_get_syspath(udev_device* device);
const char* udev_device_get_devpath(udev_device* device);
const char* udev_device_get_subsystem(udev_device* device);
const char* udev_device_get_devtype(udev_device* device);
const char* udev_device_get_sysname(udev_device* device);
const char* udev_device_get_sysnum(udev_device* device);
const char* udev_device_get_devnode(udev_device* device);
const char* udev_device_get_driver(udev_device* device);
const char* udev_device_get_action(udev_device* device);
dev_t udev_device_get_devnum(udev_device* device);
unsigned long long udev_device_get_seqnum(udev_device* device);
unsigned long long udev_device_get_usec_since_initialized(udev_device* device);
int udev_device_get_is_initialized(udev_device* device);
udev_device* udev_device_get_parent(udev_device* device);
udev_device* udev_device_get_parent_with_subsystem_devtype(udev_device* device, const char* subsystem, const char* devtype);
const char* udev_device_get_property_value(udev_device* device, const char* key);
const char* udev_device_get_sysattr_value(udev_device* device, const char* attribute);
int udev_device_set_sysattr_value(udev_device* device, const char* attribute, const char* value);
int udev_device_has_tag(udev_device* device, const char* tag);
int udev_device_has_current_tag(udev_device* device, const char* tag);
udev_list_entry* udev_device_get_devlinks_list_entry(udev_device* device);
udev_list_entry* udev_device_get_properties_list_entry(udev_device* device);
udev_list_entry* udev_device_get_tags_list_entry(udev_device* device);
udev_list_entry* udev_device_get_current_tags_list_entry(udev_device* device);
udev_list_entry* udev_device_get_sysattr_list_entry(udev_device* device);
udev_list_entry* udev_list_entry_get_next(udev_list_entry* entry);
udev_list_entry* udev_list_entry_get_by_name(udev_list_entry* entry, const char* name);
const char* udev_list_entry_get_name(udev_list_entry* entry);
const char* udev_list_entry_get_value(udev_list_entry* entry);
udev_enumerate* udev_enumerate_new(udev* context);
udev_enumerate* udev_enumerate_unref(udev_enumerate* enumerate);
int udev_enumerate_add_match_subsystem(udev_enumerate* enumerate, const char* subsystem);
int udev_enumerate_add_nomatch_subsystem(udev_enumerate* enumerate, const char* subsystem);
int udev_enumerate_add_match_sysname(udev_enumerate* enumerate, const char* sysname);
int udev_enumerate_add_match_sysattr(udev_enumerate* enumerate, const char* attribute, const char* value);
int udev_enumerate_add_match_property(udev_enumerate* enumerate, const char* key, const char* value);
int udev_enumerate_add_match_tag(udev_enumerate* enumerate, const char* tag);
int udev_enumerate_add_match_parent(udev_enumerate* enumerate, udev_device* parent);
int udev_enumerate_scan_devices(udev_enumerate* enumerate);
udev_list_entry* udev_enumerate_get_list_entry(udev_enumerate* enumerate);
}

/// As DAEDALUS_NEXT, also for a libudev that the program opened by dlopen().
#define DAEDALUS_NEXT_UDEV(function)                           \
    ([]() -> decltype(&::function) {                           \
        static std::atomic<void*> slot{nullptr};               \
        void* found = slot.load(std::memory_order_relaxed);    \
        if (found == nullptr) {                                \
            found = ::daedalus::preload::findUdev(#function);  \
            slot.store(found, std::memory_order_relaxed);      \
        }                                                      \
        return reinterpret_cast<decltype(&::function)>(found); \
    }())

namespace daedalus::preload {

/// The function of the real libudev; nullptr where there is none.
void* findUdev(const char* name);
/// The one device that is ours. Kept as long as the process lives, so that references need no count.
bool isOurDevice(const void* device);
/// Our device of that index; nullptr after the last (see shownNode()).
udev_device* ourDevice(udev* context, size_t index);
/// True if `entry` is of a list of ours.
bool isOurEntry(const void* entry);

}  // namespace daedalus::preload
