#include "daedalus/m2m/decoder_state.h"

#include <cassert>

#include "daedalus/base/log.h"

namespace daedalus::m2m {

const char* name(DecoderState state) {
    constexpr std::array<const char*, kDecoderStates> names = {"Initialization",
                                                               "EarlyCapture",
                                                               "EarlyDrain",
                                                               "CaptureSetup",
                                                               "ChangeSetup",
                                                               "Decoding",
                                                               "Seek",
                                                               "DynamicResolutionChange",
                                                               "Drain",
                                                               "DrainResolutionChange",
                                                               "DrainChangeSetup",
                                                               "EndOfStream",
                                                               "Stopped"};
    return names[static_cast<size_t>(state)];
}

const char* name(DecoderEvent event) {
    constexpr std::array<const char*, kDecoderEvents> names = {
        "OutputOn",     "OutputOff",     "CaptureOn", "CaptureOff", "CaptureOffForChange",
        "SourceChange", "StreamMatches", "Stop",      "StopIdle",   "Start",
        "StartUnfit",   "EndMark",       "Drained",   "Forget"};
    return names[static_cast<size_t>(event)];
}

Result<bool> DecoderMachine::on(DecoderEvent event) {
    const DecoderCell& cell = cellOf(state_, event);
    switch (cell.kind) {
        case DecoderCell::Kind::Go:
            if (cell.to != state_) log::trace("{}: {} -> {} by {}", session_, name(state_), name(cell.to), name(event));
            state_ = cell.to;
            return true;
        case DecoderCell::Kind::NoEffect:
            return false;
        case DecoderCell::Kind::Refuse:
            return fail(cell.error);
        case DecoderCell::Kind::Impossible:
            break;
    }
    log::error("{}: {} cannot be in the state {}; this is a bug in Daedalus", session_, name(event), name(state_));
    assert(false && "an event without a cell");
    return false;
}

}  // namespace daedalus::m2m
