// The stateful decoder's state machine, as one table. The names are those of the kernel's stateful decoder document.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace daedalus::m2m {

enum class DecoderState : uint8_t {
    Initialization,  ///< looking for headers
    CaptureSetup,    ///< the stream is known, CAPTURE does not stream
    Decoding,
    Seek,                     ///< OUTPUT was stopped
    DynamicResolutionChange,  ///< CAPTURE streams in a format that the stream has left
    Drain,                    ///< DEC_CMD_STOP is under way
    DrainResolutionChange,    ///< both of the two above
    EndOfStream,              ///< the drain that a mark in the stream began
    Stopped,                  ///< drained
};
inline constexpr size_t kDecoderStates = 9;

enum class DecoderEvent : uint8_t {
    OutputOn,
    OutputOff,
    CaptureOn,
    CaptureOff,
    SetupNeeded,        ///< the stream has a (new) format, CAPTURE does not stream
    ResolutionChanged,  ///< the same, while CAPTURE streams
    StreamMatches,      ///< the stream's first format is what CAPTURE streams already
    Stop,
    Start,
    EndMark,  ///< the stream itself says that it ends here
    Drained,
    Forget,  ///< a new stream begins: the OUTPUT format was set, or its buffers were freed
};
inline constexpr size_t kDecoderEvents = 12;

/// kDecoderTable[state][event]: the next state, or nothing where the event cannot be (or has no effect on the state).
inline constexpr auto kDecoderTable = [] {
    using S = DecoderState;
    using E = DecoderEvent;
    std::array<std::array<std::optional<S>, kDecoderEvents>, kDecoderStates> table{};
    const auto arrow = [&table](S from, E event, S to) { table[static_cast<size_t>(from)][static_cast<size_t>(event)] = to; };

    arrow(S::Initialization, E::SetupNeeded, S::CaptureSetup);
    arrow(S::Initialization, E::ResolutionChanged, S::DynamicResolutionChange);
    arrow(S::Initialization, E::StreamMatches, S::Decoding);
    arrow(S::Initialization, E::Stop, S::Drain);

    arrow(S::CaptureSetup, E::SetupNeeded, S::CaptureSetup);
    arrow(S::CaptureSetup, E::CaptureOn, S::Decoding);
    arrow(S::CaptureSetup, E::Stop, S::DrainResolutionChange);

    arrow(S::Decoding, E::StreamMatches, S::Decoding);
    arrow(S::Decoding, E::ResolutionChanged, S::DynamicResolutionChange);
    arrow(S::Decoding, E::OutputOff, S::Seek);
    arrow(S::Decoding, E::CaptureOff, S::CaptureSetup);
    arrow(S::Decoding, E::Stop, S::Drain);
    arrow(S::Decoding, E::EndMark, S::EndOfStream);

    arrow(S::Seek, E::OutputOn, S::Decoding);
    arrow(S::Seek, E::CaptureOff, S::CaptureSetup);
    arrow(S::Seek, E::ResolutionChanged, S::DynamicResolutionChange);

    arrow(S::DynamicResolutionChange, E::CaptureOff, S::CaptureSetup);
    arrow(S::DynamicResolutionChange, E::CaptureOn, S::Decoding);
    arrow(S::DynamicResolutionChange, E::OutputOff, S::Seek);
    arrow(S::DynamicResolutionChange, E::Start, S::Decoding);
    arrow(S::DynamicResolutionChange, E::Stop, S::DrainResolutionChange);
    arrow(S::DynamicResolutionChange, E::ResolutionChanged, S::DynamicResolutionChange);

    arrow(S::Drain, E::Drained, S::Stopped);
    arrow(S::Drain, E::StreamMatches, S::Drain);
    arrow(S::Drain, E::ResolutionChanged, S::DrainResolutionChange);
    arrow(S::Drain, E::OutputOff, S::Seek);
    arrow(S::Drain, E::CaptureOff, S::CaptureSetup);

    // The client sets CAPTURE up anew in the middle of the drain; the drain goes on afterwards.
    arrow(S::DrainResolutionChange, E::CaptureOn, S::Drain);
    arrow(S::DrainResolutionChange, E::Start, S::Drain);
    arrow(S::DrainResolutionChange, E::SetupNeeded, S::DrainResolutionChange);
    arrow(S::DrainResolutionChange, E::OutputOff, S::Seek);

    // A client that does not know of the mark may ask for the drain that is under way.
    arrow(S::EndOfStream, E::Stop, S::Drain);
    arrow(S::EndOfStream, E::Drained, S::Stopped);
    arrow(S::EndOfStream, E::ResolutionChanged, S::DrainResolutionChange);
    arrow(S::EndOfStream, E::OutputOff, S::Seek);
    arrow(S::EndOfStream, E::CaptureOff, S::CaptureSetup);

    arrow(S::Stopped, E::Start, S::Decoding);
    arrow(S::Stopped, E::ResolutionChanged, S::DrainResolutionChange);  // the drain is done again for the new setup
    arrow(S::Stopped, E::OutputOff, S::Seek);
    arrow(S::Stopped, E::CaptureOff, S::CaptureSetup);

    for (auto& row : table) row[static_cast<size_t>(E::Forget)] = S::Initialization;
    return table;
}();

[[nodiscard]] constexpr std::optional<DecoderState> next(DecoderState state, DecoderEvent event) {
    return kDecoderTable[static_cast<size_t>(state)][static_cast<size_t>(event)];
}

/// The state's name, for log lines.
[[nodiscard]] constexpr const char* name(DecoderState state) {
    constexpr std::array<const char*, kDecoderStates> names = {
        "Initialization", "CaptureSetup",          "Decoding",    "Seek",   "DynamicResolutionChange",
        "Drain",          "DrainResolutionChange", "EndOfStream", "Stopped"};
    return names[static_cast<size_t>(state)];
}

}  // namespace daedalus::m2m
