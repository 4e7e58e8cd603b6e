#include "extended.h"

#include <algorithm>
#include <cstring>

#include "../gather.h"
#include "client_process.h"
#include "daedalus/v4l2/uapi.h"

namespace daedalus::transport::cuse {

int Extended::answered(const ioctl::CallTraits& traits, const ioctl::File& file, const ioctl::Answer& answer) {
    if (!traits.tellsOffsets && !traits.frees && answer.fds.empty()) return 0;
    // mmap will fail with ENODEV, as without an extension.
    if (!file_) return answer.fds.empty() ? 0 : ENOTTY;
    if (traits.frees) unbindFreed(*file_, file);
    for (const auto& passed : answer.fds)
        if (auto given = extension_.give(*file_, passed); !given) return given.error().value;
    return traits.tellsOffsets ? bindPlanes(*file_, file, answer.payload) : 0;
}

int Extended::bindPlanes(uint64_t name, const ioctl::File& file, const ioctl::Payload& payload) {
    v4l2_buffer buffer;
    std::memcpy(&buffer, payload.argument.data(), std::min(sizeof buffer, payload.argument.size()));
    if (buffer.memory != V4L2_MEMORY_MMAP) return 0;
    for (const auto& plane : planesOf(payload)) {
        const uint64_t offset = plane.m.mem_offset;
        const auto memory = file.memoryAt(offset, plane.length);
        if (!memory) return memory.error().value;
        auto& bound = bound_[offset];
        if (bound.lock() == *memory) continue;
        if (auto ok = extension_.bind(name, offset, (*memory)->fd()); !ok) {
            bound_.erase(offset);
            return ok.error().value;
        }
        bound = *memory;
    }
    return 0;
}

void Extended::unbindFreed(uint64_t name, const ioctl::File& file) {
    for (auto entry = bound_.begin(); entry != bound_.end();) {
        // What is at the offset now may be another buffer.
        const auto now = file.memoryAt(entry->first, 1);
        if (now && entry->second.lock() == *now) {
            ++entry;
            continue;
        }
        extension_.unbind(name, entry->first);
        entry = bound_.erase(entry);
    }
}

}  // namespace daedalus::transport::cuse
