#include "daedalus/m2m/references.h"

namespace daedalus::m2m {

codec::NamedReference ReferenceTable::find(uint64_t timestamp) const {
    for (const auto& entry : entries_)
        if (entry && entry->timestamp == timestamp) return {entry->picture, entry->damaged};
    return {};
}

uint64_t toNs(const timeval& time) {
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000U + static_cast<uint64_t>(time.tv_usec) * 1000U;
}

}  // namespace daedalus::m2m
