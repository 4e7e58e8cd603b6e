// The stateful decoder's state machine, as one table. The names are those of the kernel's stateful decoder document, and where
// that has one state for two situations, more than one.
#pragma once

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "daedalus/base/result.h"

namespace daedalus::m2m {

enum class DecoderState : uint8_t {
    Initialization,  ///< looking for headers
    EarlyCapture,    ///< the same, and CAPTURE streams already
    EarlyDrain,      ///< looking for headers, and a drain that goes on when CAPTURE streams
    CaptureSetup,    ///< the stream is known, or was decoded; CAPTURE does not stream
    ChangeSetup,     ///< the same, and it is about to be set up, for the first format or for a change of it
    Decoding,
    Seek,                     ///< OUTPUT was stopped
    DynamicResolutionChange,  ///< CAPTURE streams in a format that the stream has left
    Drain,                    ///< DEC_CMD_STOP is under way
    DrainResolutionChange,    ///< both of the two above
    DrainChangeSetup,         ///< a drain that goes on when CAPTURE, which was stopped, streams again
    EndOfStream,              ///< the drain that a mark in the stream began
    Stopped,                  ///< drained
};
inline constexpr size_t kDecoderStates = 13;

/// What happens; where a queue's state decides what it means, it is more than one event.
enum class DecoderEvent : uint8_t {
    OutputOn,
    OutputOff,
    CaptureOn,
    CaptureOff,
    CaptureOffForChange,  ///< CAPTURE was stopped where a change of format was found that it was not set up for
    SourceChange,         ///< the client is told of a (new) format of the stream
    StreamMatches,        ///< the same, and it is what CAPTURE streams already
    Stop,                 ///< DEC_CMD_STOP while OUTPUT streams
    StopIdle,             ///< DEC_CMD_STOP while it does not
    Start,
    StartUnfit,  ///< DEC_CMD_START while the CAPTURE buffers do not hold the stream's format
    EndMark,     ///< the stream itself says that it ends here
    Drained,
    Forget,  ///< a new stream begins: the OUTPUT format was set, its buffers were freed, or the decoder was given up
};
inline constexpr size_t kDecoderEvents = 14;

/// What an event does in a state.
struct DecoderCell {
    enum class Kind : uint8_t {
        Impossible,  ///< that it happens is a bug of ours
        NoEffect,
        Go,
        Refuse,
    };
    Kind kind = Kind::Impossible;
    DecoderState to{};  ///< Go
    int error = 0;      ///< Refuse: an errno
    friend bool operator==(const DecoderCell&, const DecoderCell&) = default;
};

using DecoderTable = std::array<std::array<DecoderCell, kDecoderEvents>, kDecoderStates>;

/// kDecoderTable[state][event].
inline constexpr DecoderTable kDecoderTable = [] {
    using S = DecoderState;
    using E = DecoderEvent;
    DecoderTable table{};
    const auto cell = [&table](S from, E event) -> DecoderCell& {
        return table[static_cast<size_t>(from)][static_cast<size_t>(event)];
    };
    const auto go = [&](S from, E event, S to) { cell(from, event) = {DecoderCell::Kind::Go, to, 0}; };
    const auto stay = [&](S from, auto... events) { ((cell(from, events) = {DecoderCell::Kind::NoEffect, from, 0}), ...); };
    const auto refuse = [&](S from, int error, auto... events) {
        ((cell(from, events) = {DecoderCell::Kind::Refuse, from, error}), ...);
    };

    // CAPTURE does not stream.
    stay(S::Initialization, E::OutputOn, E::OutputOff, E::StopIdle, E::Start);
    go(S::Initialization, E::CaptureOn, S::EarlyCapture);
    go(S::Initialization, E::SourceChange, S::ChangeSetup);
    // A file that fits into the OUTPUT buffers may have ended before its headers are found (v4l2-ctl 1.33).
    go(S::Initialization, E::Stop, S::EarlyDrain);

    stay(S::EarlyDrain, E::EndMark);
    refuse(S::EarlyDrain, EBUSY, E::Stop, E::Start);
    go(S::EarlyDrain, E::CaptureOn, S::Drain);
    go(S::EarlyDrain, E::OutputOff, S::Initialization);
    go(S::EarlyDrain, E::SourceChange, S::DrainChangeSetup);

    stay(S::CaptureSetup, E::OutputOn, E::OutputOff, E::SourceChange, E::Stop, E::StopIdle, E::Start);
    go(S::CaptureSetup, E::CaptureOn, S::Decoding);
    // Its LAST waits for CAPTURE.
    go(S::CaptureSetup, E::EndMark, S::DrainChangeSetup);

    stay(S::ChangeSetup, E::OutputOn, E::OutputOff, E::SourceChange, E::StopIdle, E::Start);
    go(S::ChangeSetup, E::CaptureOn, S::Decoding);
    // GStreamer answers a source change in one thread and may end the stream in another meanwhile, once.
    go(S::ChangeSetup, E::Stop, S::DrainChangeSetup);
    go(S::ChangeSetup, E::EndMark, S::DrainChangeSetup);

    stay(S::DrainChangeSetup, E::SourceChange, E::EndMark);
    refuse(S::DrainChangeSetup, EBUSY, E::Stop, E::Start);
    go(S::DrainChangeSetup, E::CaptureOn, S::Drain);
    go(S::DrainChangeSetup, E::OutputOff, S::ChangeSetup);

    // CAPTURE streams.
    stay(S::EarlyCapture, E::OutputOn, E::OutputOff, E::StopIdle, E::Start);
    go(S::EarlyCapture, E::CaptureOff, S::Initialization);
    go(S::EarlyCapture, E::SourceChange, S::DynamicResolutionChange);
    go(S::EarlyCapture, E::StreamMatches, S::Decoding);
    go(S::EarlyCapture, E::Stop, S::Drain);

    // CAPTURE may have been started before OUTPUT.
    stay(S::Decoding, E::OutputOn, E::StreamMatches, E::StopIdle, E::Start);
    go(S::Decoding, E::OutputOff, S::Seek);
    go(S::Decoding, E::CaptureOff, S::CaptureSetup);
    go(S::Decoding, E::CaptureOffForChange, S::ChangeSetup);
    go(S::Decoding, E::SourceChange, S::DynamicResolutionChange);
    go(S::Decoding, E::Stop, S::Drain);
    go(S::Decoding, E::EndMark, S::EndOfStream);

    stay(S::Seek, E::StopIdle, E::Start);
    go(S::Seek, E::OutputOn, S::Decoding);
    go(S::Seek, E::CaptureOff, S::CaptureSetup);
    go(S::Seek, E::CaptureOffForChange, S::ChangeSetup);

    stay(S::DynamicResolutionChange, E::SourceChange);
    go(S::DynamicResolutionChange, E::OutputOff, S::Seek);
    go(S::DynamicResolutionChange, E::CaptureOff, S::ChangeSetup);
    go(S::DynamicResolutionChange, E::CaptureOffForChange, S::ChangeSetup);
    go(S::DynamicResolutionChange, E::Stop, S::DrainResolutionChange);
    go(S::DynamicResolutionChange, E::Start, S::Decoding);

    stay(S::Drain, E::StreamMatches, E::EndMark);
    refuse(S::Drain, EBUSY, E::Stop, E::Start);
    go(S::Drain, E::OutputOff, S::Seek);
    go(S::Drain, E::CaptureOff, S::CaptureSetup);
    go(S::Drain, E::CaptureOffForChange, S::DrainChangeSetup);
    go(S::Drain, E::SourceChange, S::DrainResolutionChange);
    go(S::Drain, E::Drained, S::Stopped);

    stay(S::DrainResolutionChange, E::SourceChange);
    refuse(S::DrainResolutionChange, EBUSY, E::Stop);
    go(S::DrainResolutionChange, E::OutputOff, S::Seek);
    go(S::DrainResolutionChange, E::CaptureOff, S::DrainChangeSetup);
    go(S::DrainResolutionChange, E::CaptureOffForChange, S::DrainChangeSetup);
    go(S::DrainResolutionChange, E::Start, S::Drain);

    refuse(S::EndOfStream, EBUSY, E::Start);
    go(S::EndOfStream, E::OutputOff, S::Seek);
    go(S::EndOfStream, E::CaptureOff, S::CaptureSetup);
    go(S::EndOfStream, E::CaptureOffForChange, S::DrainChangeSetup);
    // A client that does not know of the mark may ask for the drain that is under way.
    go(S::EndOfStream, E::Stop, S::Drain);
    go(S::EndOfStream, E::Drained, S::Stopped);

    stay(S::Stopped, E::Stop);
    go(S::Stopped, E::OutputOff, S::Seek);
    go(S::Stopped, E::CaptureOff, S::CaptureSetup);
    go(S::Stopped, E::CaptureOffForChange, S::DrainChangeSetup);
    go(S::Stopped, E::Start, S::Decoding);

    const auto captureStreams = [&](S state) { return cell(state, E::CaptureOff).kind == DecoderCell::Kind::Go; };
    for (size_t i = 0; i < kDecoderStates; ++i) {
        const auto state = static_cast<S>(i);
        go(state, E::Forget, captureStreams(state) ? S::EarlyCapture : S::Initialization);
        cell(state, E::StartUnfit) = cell(state, E::Start);
    }
    refuse(S::DynamicResolutionChange, EINVAL, E::StartUnfit);
    refuse(S::DrainResolutionChange, EINVAL, E::StartUnfit);
    return table;
}();

/// The cell of the table.
[[nodiscard]] constexpr const DecoderCell& cellOf(DecoderState state, DecoderEvent event) {
    return kDecoderTable[static_cast<size_t>(state)][static_cast<size_t>(event)];
}

/// The state's name, for log lines.
[[nodiscard]] const char* name(DecoderState state);
/// The event's name, for log lines.
[[nodiscard]] const char* name(DecoderEvent event);

/// Where one decoder stands. Loop thread.
class DecoderMachine {
public:
    /// `session` names the session in log lines.
    explicit DecoderMachine(std::string session) : session_(std::move(session)) {}
    [[nodiscard]] DecoderState state() const { return state_; }
    /// True if the event changed the state, false if it has no effect in it, or the errno by which it is refused. An event that
    /// cannot be in this state is a bug of ours: it aborts, and where assertions are off it is logged and has no effect.
    Result<bool> on(DecoderEvent event);

private:
    const std::string session_;
    DecoderState state_ = DecoderState::Initialization;
};

}  // namespace daedalus::m2m
