// The life of a buffer: its states and the only ways between them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace daedalus::queue {

/// Where a buffer is; the names are videobuf2's.
enum class BufferState : uint8_t {
    Dequeued,   ///< the client's
    InRequest,  ///< bound to a request that is not queued yet
    Preparing,  ///< QBUF or PREPARE_BUF is looking at it
    Queued,     ///< waits for the owner
    Active,     ///< with the owner or a worker: an ActiveBuffer exists
    Done,       ///< waits for DQBUF
    Error,      ///< waits for DQBUF, its contents are damaged
};
inline constexpr size_t kBufferStates = 7;

/// kTransitions[from][to]: true if a buffer may go that way.
inline constexpr auto kTransitions = [] {
    using enum BufferState;
    std::array<std::array<bool, kBufferStates>, kBufferStates> table{};
    const auto allow = [&table](BufferState from, BufferState to) {
        table[static_cast<size_t>(from)][static_cast<size_t>(to)] = true;
    };
    allow(Dequeued, Preparing);
    allow(InRequest, Queued);    // request queued
    allow(InRequest, Dequeued);  // request dropped
    allow(Preparing, Dequeued);  // refused, or PREPARE_BUF
    allow(Preparing, InRequest);
    allow(Preparing, Queued);  // QBUF
    allow(Queued, Active);     // the owner takes it
    allow(Queued, Dequeued);   // STREAMOFF
    allow(Active, Done);
    allow(Active, Error);
    allow(Active, Queued);    // given back unused
    allow(Active, Dequeued);  // STREAMOFF
    allow(Done, Dequeued);    // DQBUF, STREAMOFF
    allow(Error, Dequeued);
    return table;
}();

[[nodiscard]] constexpr bool mayGo(BufferState from, BufferState to) {
    return kTransitions[static_cast<size_t>(from)][static_cast<size_t>(to)];
}

}  // namespace daedalus::queue
