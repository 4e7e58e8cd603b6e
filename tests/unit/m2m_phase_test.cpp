// The transitions between a worker's phases that do not depend on where it stands in the stream.
#include <catch2/catch.hpp>
#include <vector>

#include "src/m2m/phase.h"

using namespace daedalus::m2m;
using namespace daedalus::m2m::phase;

namespace {

const std::vector<Phase>& drainsByMark() {
    static const std::vector<Phase> all = {LastPending{DrainBy::Mark}, Drained{DrainBy::Mark}};
    return all;
}

}  // namespace

TEST_CASE("what is under way waits for an epoch, and goes on as it was") {
    const auto waiting = [](const Phase& from) { return std::get<AwaitingEpoch>(awaitingEpoch(from)).then; };
    CHECK(std::holds_alternative<Running>(waiting(Running{})));
    CHECK(std::get<Draining>(waiting(Draining{DrainBy::Nobody})).by == DrainBy::Nobody);
    for (const Phase& phase : drainsByMark()) CHECK(std::get<LastPending>(waiting(phase)).by == DrainBy::Mark);
    const Phase twice = awaitingEpoch(awaitingEpoch(Draining{DrainBy::Command}));
    CHECK(std::get<Draining>(std::get<AwaitingEpoch>(twice).then).by == DrainBy::Command);
}

TEST_CASE("nothing brings a phase back that only a flush or the end leaves") {
    for (const Phase& phase : {Phase(Failed{}), Phase(WrittenOff{}), Phase(Closed{})}) {
        CHECK(awaitingEpoch(phase).index() == phase.index());
        CHECK(withoutDrain(phase).phase.index() == phase.index());
        CHECK_FALSE(withoutDrain(phase).ended);
    }
}

TEST_CASE("a drain that is given up comes out without LAST, and the codec goes on where it had ended it") {
    CHECK(std::get<Draining>(withoutDrain(Draining{DrainBy::Command}).phase).by == DrainBy::Nobody);
    CHECK_FALSE(withoutDrain(Draining{DrainBy::Command}).ended);
    for (const Phase& phase : drainsByMark()) {
        CHECK(std::holds_alternative<Running>(withoutDrain(phase).phase));
        CHECK(withoutDrain(phase).ended == DrainBy::Mark);
    }
    CHECK(std::holds_alternative<Running>(withoutDrain(Running{}).phase));
}

TEST_CASE("a drain can be given up while it waits for an epoch, too") {
    const auto draining = withoutDrain(AwaitingEpoch{Draining{DrainBy::Command}});
    CHECK(std::get<Draining>(std::get<AwaitingEpoch>(draining.phase).then).by == DrainBy::Nobody);
    const auto pending = withoutDrain(AwaitingEpoch{LastPending{DrainBy::Command}});
    CHECK(std::holds_alternative<Running>(std::get<AwaitingEpoch>(pending.phase).then));
    CHECK(pending.ended == DrainBy::Command);
    const auto running = withoutDrain(AwaitingEpoch{Running{}, 1U});
    CHECK(std::get<AwaitingEpoch>(running.phase).lastField == 1U);
    CHECK_FALSE(running.ended);
}
