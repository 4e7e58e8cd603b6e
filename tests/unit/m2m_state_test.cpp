// The decoder's state table has properties; they are asserted of the table that the decoder uses.
#include <catch2/catch.hpp>
#include <set>
#include <vector>

#include "daedalus/m2m/decoder_state.h"

using namespace daedalus::m2m;
using S = DecoderState;
using E = DecoderEvent;
using Kind = DecoderCell::Kind;

namespace {

std::vector<S> states() {
    std::vector<S> all;
    for (size_t i = 0; i < kDecoderStates; ++i) all.push_back(static_cast<S>(i));
    return all;
}

std::vector<E> decoderEvents() {
    std::vector<E> all;
    for (size_t i = 0; i < kDecoderEvents; ++i) all.push_back(static_cast<E>(i));
    return all;
}

/// In every state CAPTURE either streams or does not.
bool captureStreams(S state) { return cellOf(state, E::CaptureOff).kind == Kind::Go; }

}  // namespace

TEST_CASE("every state can be reached, and every event leads somewhere") {
    std::set<S> reached = {S::Initialization};
    std::set<E> leading;
    for (size_t before = 0; before != reached.size();) {
        before = reached.size();
        for (const S from : std::set<S>(reached))
            for (const E event : decoderEvents())
                if (cellOf(from, event).kind == Kind::Go) {
                    reached.insert(cellOf(from, event).to);
                    leading.insert(event);
                }
    }
    CHECK(reached.size() == kDecoderStates);
    // STOP while OUTPUT does not stream never has an effect.
    CHECK(leading.size() == kDecoderEvents - 1);
    CHECK_FALSE(leading.contains(E::StopIdle));
}

TEST_CASE("every state knows whether CAPTURE streams") {
    for (const S state : states()) {
        INFO(name(state));
        const bool streams = captureStreams(state);
        CHECK((cellOf(state, E::CaptureOn).kind == Kind::Go) == !streams);
        if (!streams) {
            for (const E event : {E::CaptureOff, E::CaptureOffForChange, E::StreamMatches, E::Drained})
                CHECK(cellOf(state, event).kind == Kind::Impossible);
        }
        for (const E event : decoderEvents()) {
            const DecoderCell& cell = cellOf(state, event);
            if (cell.kind != Kind::Go) continue;
            INFO(name(event) << " to " << name(cell.to));
            const bool turns = event == E::CaptureOn || event == E::CaptureOff || event == E::CaptureOffForChange;
            CHECK(captureStreams(cell.to) == (turns ? !streams : streams));
        }
    }
}

TEST_CASE("what a client can do always has an answer: an effect, none, or EBUSY or EINVAL") {
    for (const S state : states()) {
        INFO(name(state));
        for (const E event : {E::Start, E::StartUnfit, E::Forget}) CHECK(cellOf(state, event).kind != Kind::Impossible);
        // OUTPUT streams or it does not.
        const bool mayStop = cellOf(state, E::Stop).kind != Kind::Impossible;
        const bool mayStopIdle = cellOf(state, E::StopIdle).kind != Kind::Impossible;
        CHECK((mayStop || mayStopIdle));
        const bool outputMayStop = cellOf(state, E::OutputOff).kind != Kind::Impossible;
        CHECK(mayStop == outputMayStop);
        for (const E event : decoderEvents()) {
            const DecoderCell& cell = cellOf(state, event);
            if (cell.kind == Kind::Refuse) CHECK((cell.error == EBUSY || cell.error == EINVAL));
            if (cell.kind == Kind::NoEffect) CHECK(cell.to == state);
        }
    }
}

TEST_CASE("a drain is never begun twice, and always ends") {
    const std::set<S> drains = {S::EarlyDrain, S::Drain, S::DrainResolutionChange, S::DrainChangeSetup};
    for (const S state : states()) {
        INFO(name(state));
        const DecoderCell& stop = cellOf(state, E::Stop);
        CHECK((stop.kind == Kind::Refuse) == drains.contains(state));
        if (stop.kind == Kind::Go) CHECK(drains.contains(stop.to));
        if (cellOf(state, E::Drained).kind != Kind::Impossible) CHECK(cellOf(state, E::Drained).to == S::Stopped);
        // A seek ends it, whatever else there is.
        if (drains.contains(state)) CHECK_FALSE(drains.contains(cellOf(state, E::OutputOff).to));
    }
}

TEST_CASE("a new stream begins from everywhere") {
    for (const S state : states())
        CHECK(cellOf(state, E::Forget).to == (captureStreams(state) ? S::EarlyCapture : S::Initialization));
}

TEST_CASE("the machine does what the table says") {
    DecoderMachine machine("test");
    CHECK(machine.state() == S::Initialization);
    CHECK(machine.on(E::StopIdle) == daedalus::Result<bool>(false));
    CHECK(machine.on(E::OutputOn) == daedalus::Result<bool>(false));
    CHECK(machine.on(E::SourceChange) == daedalus::Result<bool>(true));
    CHECK(machine.on(E::CaptureOn) == daedalus::Result<bool>(true));
    CHECK(machine.on(E::Stop) == daedalus::Result<bool>(true));
    CHECK(machine.on(E::Stop).error().value == EBUSY);
    CHECK(machine.on(E::SourceChange) == daedalus::Result<bool>(true));
    CHECK(machine.on(E::StartUnfit).error().value == EINVAL);
    CHECK(machine.state() == S::DrainResolutionChange);
    CHECK(machine.on(E::Start) == daedalus::Result<bool>(true));
    CHECK(machine.on(E::Drained) == daedalus::Result<bool>(true));
    CHECK(machine.state() == S::Stopped);
}
