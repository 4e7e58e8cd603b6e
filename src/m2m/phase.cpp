#include "phase.h"

namespace daedalus::m2m::phase {

Phase awaitingEpoch(const Phase& phase) {
    if (std::holds_alternative<Running>(phase)) return AwaitingEpoch{Running{}};
    if (const auto* draining = std::get_if<Draining>(&phase)) return AwaitingEpoch{*draining};
    if (const auto* pending = std::get_if<LastPending>(&phase)) return AwaitingEpoch{*pending};
    if (const auto* drained = std::get_if<Drained>(&phase)) return AwaitingEpoch{LastPending{drained->by}};
    return phase;
}

WithoutDrain withoutDrain(const Phase& phase) {
    if (std::holds_alternative<Draining>(phase)) return {Draining{DrainBy::Nobody}};
    if (const auto ended = endedDrain(phase)) return {Running{}, ended};
    const auto* awaiting = std::get_if<AwaitingEpoch>(&phase);
    if (!awaiting) return {phase};
    if (std::holds_alternative<Draining>(awaiting->then))
        return {AwaitingEpoch{Draining{DrainBy::Nobody}, awaiting->lastField}};
    if (const auto* pending = std::get_if<LastPending>(&awaiting->then))
        return {AwaitingEpoch{Running{}, awaiting->lastField}, pending->by};
    return {phase};
}

std::optional<DrainBy> endedDrain(const Phase& phase) {
    if (const auto* pending = std::get_if<LastPending>(&phase)) return pending->by;
    if (const auto* drained = std::get_if<Drained>(&phase)) return drained->by;
    return std::nullopt;
}

}  // namespace daedalus::m2m::phase
