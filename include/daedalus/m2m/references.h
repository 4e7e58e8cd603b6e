// Which picture each CAPTURE buffer holds, as clients name them: by timestamps.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "daedalus/codec/picture_decoder.h"
#include "daedalus/queue/queue.h"

namespace daedalus::m2m {

/// Loop thread.
class ReferenceTable {
public:
    /// A picture is decoded into the buffer: what was in it is none any more.
    void set(uint32_t index, uint64_t timestamp, uint64_t picture) { entries_[index] = Entry{timestamp, picture, false}; }
    void markDamaged(uint32_t index) {
        if (entries_[index]) entries_[index]->damaged = true;
    }
    void clear(uint32_t index) { entries_[index].reset(); }
    void clear() { entries_.fill(std::nullopt); }
    /// The picture of that timestamp, of the buffer with the lowest index that has it.
    [[nodiscard]] codec::NamedReference find(uint64_t timestamp) const;

private:
    struct Entry {
        uint64_t timestamp;
        uint64_t picture;
        bool damaged;
    };
    std::array<std::optional<Entry>, queue::kMaxBuffers> entries_;
};

/// A buffer's timestamp in nanoseconds, as v4l2_timeval_to_ns() computes it.
[[nodiscard]] uint64_t toNs(const timeval& time);

}  // namespace daedalus::m2m
