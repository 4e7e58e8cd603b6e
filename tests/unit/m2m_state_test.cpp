// Every arrow of the decoder's state table, and every pair that is none.
#include <catch2/catch.hpp>
#include <map>

#include "daedalus/m2m/decoder_state.h"

using namespace daedalus::m2m;
using S = DecoderState;
using E = DecoderEvent;

TEST_CASE("the stateful decoder takes these arrows and no others") {
    const std::map<std::pair<S, E>, S> arrows = {
        {{S::Initialization, E::SetupNeeded}, S::CaptureSetup},
        {{S::Initialization, E::ResolutionChanged}, S::DynamicResolutionChange},
        {{S::Initialization, E::StreamMatches}, S::Decoding},
        {{S::Initialization, E::Stop}, S::Drain},
        {{S::CaptureSetup, E::SetupNeeded}, S::CaptureSetup},
        {{S::CaptureSetup, E::CaptureOn}, S::Decoding},
        {{S::CaptureSetup, E::Stop}, S::DrainResolutionChange},
        {{S::Decoding, E::StreamMatches}, S::Decoding},
        {{S::Decoding, E::ResolutionChanged}, S::DynamicResolutionChange},
        {{S::Decoding, E::OutputOff}, S::Seek},
        {{S::Decoding, E::CaptureOff}, S::CaptureSetup},
        {{S::Decoding, E::Stop}, S::Drain},
        {{S::Decoding, E::EndMark}, S::EndOfStream},
        {{S::Seek, E::OutputOn}, S::Decoding},
        {{S::Seek, E::CaptureOff}, S::CaptureSetup},
        {{S::Seek, E::ResolutionChanged}, S::DynamicResolutionChange},
        {{S::DynamicResolutionChange, E::CaptureOff}, S::CaptureSetup},
        {{S::DynamicResolutionChange, E::OutputOff}, S::Seek},
        {{S::DynamicResolutionChange, E::CaptureOn}, S::Decoding},
        {{S::DynamicResolutionChange, E::Start}, S::Decoding},
        {{S::DynamicResolutionChange, E::Stop}, S::DrainResolutionChange},
        {{S::DynamicResolutionChange, E::ResolutionChanged}, S::DynamicResolutionChange},
        {{S::Drain, E::Drained}, S::Stopped},
        {{S::Drain, E::StreamMatches}, S::Drain},
        {{S::Drain, E::ResolutionChanged}, S::DrainResolutionChange},
        {{S::Drain, E::OutputOff}, S::Seek},
        {{S::Drain, E::CaptureOff}, S::CaptureSetup},
        {{S::DrainResolutionChange, E::CaptureOn}, S::Drain},
        {{S::DrainResolutionChange, E::Start}, S::Drain},
        {{S::DrainResolutionChange, E::SetupNeeded}, S::DrainResolutionChange},
        {{S::DrainResolutionChange, E::OutputOff}, S::Seek},
        {{S::EndOfStream, E::Stop}, S::Drain},
        {{S::EndOfStream, E::Drained}, S::Stopped},
        {{S::EndOfStream, E::ResolutionChanged}, S::DrainResolutionChange},
        {{S::EndOfStream, E::OutputOff}, S::Seek},
        {{S::EndOfStream, E::CaptureOff}, S::CaptureSetup},
        {{S::Stopped, E::Start}, S::Decoding},
        {{S::Stopped, E::ResolutionChanged}, S::DrainResolutionChange},
        {{S::Stopped, E::OutputOff}, S::Seek},
        {{S::Stopped, E::CaptureOff}, S::CaptureSetup},
    };
    size_t walked = 0;
    for (size_t s = 0; s < kDecoderStates; ++s) {
        for (size_t e = 0; e < kDecoderEvents; ++e) {
            const auto state = static_cast<S>(s);
            const auto event = static_cast<E>(e);
            INFO(name(state) << ", event " << e);
            const auto expected = arrows.find({state, event});
            if (event == E::Forget) {
                CHECK(next(state, event) == S::Initialization);
            } else if (expected == arrows.end()) {
                CHECK_FALSE(next(state, event));
            } else {
                CHECK(next(state, event) == expected->second);
                ++walked;
            }
        }
    }
    CHECK(walked == arrows.size());
}
