// Where a worker stands.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

namespace daedalus::m2m::phase {

/// Why the codec is emptied.
enum class DrainBy : uint8_t {
    Command,  ///< DEC_CMD_STOP
    Mark,     ///< a mark in the stream
    Nobody,   ///< CAPTURE was stopped in a drain: the rest comes out, without LAST
};

/// Decodes. While there is no epoch to deliver, it looks for the first.
struct Running {};
/// The codec still has frames of before the end.
struct Draining {
    DrainBy by;
};
/// All frames of a drain are out of the codec; the last that is delivered has LAST.
struct LastPending {
    DrainBy by;
};
/// What goes on when the epoch is set up.
using Waiting = std::variant<Running, Draining, LastPending>;
/// The stream has another format than the one to deliver, or no headers; the loop will say more.
struct AwaitingEpoch {
    Waiting then;
    /// The client is told by an empty buffer with LAST, and this field.
    std::optional<uint32_t> lastField{};
};
/// LAST is on its way.
struct Drained {
    DrainBy by;
};
/// Nothing is decoded before a flush.
struct Failed {};
/// The session has given the worker up: nothing it holds is its own, and no message but the last one counts.
struct WrittenOff {};
/// The codec is closed.
struct Closed {};

}  // namespace daedalus::m2m::phase

namespace daedalus::m2m {

using Phase = std::variant<phase::Running, phase::AwaitingEpoch, phase::Draining, phase::LastPending, phase::Drained,
                           phase::Failed, phase::WrittenOff, phase::Closed>;

namespace phase {

/// The phase in which whatever is under way waits for an epoch. A LAST that was delivered is to be delivered again. The last
/// three phases stay.
[[nodiscard]] Phase awaitingEpoch(const Phase& phase);

/// A phase without its drain, and which drain the codec has ended in it, so that it has to be told to go on.
struct WithoutDrain {
    Phase phase;
    std::optional<DrainBy> ended{};
};
[[nodiscard]] WithoutDrain withoutDrain(const Phase& phase);

/// The drain whose LAST is still to be delivered, or was delivered.
[[nodiscard]] std::optional<DrainBy> endedDrain(const Phase& phase);

}  // namespace phase

}  // namespace daedalus::m2m
