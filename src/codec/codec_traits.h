// What tells one codec from another: a row each. The functions that a row names are in the codec's file of bitstream/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "bitstream/stream_header.h"
#include "bitstream/syntax.h"
#include "daedalus/v4l2/formats.h"

namespace daedalus::codec {

/// Which of its threads libavcodec decodes one stream with, as far as the user leaves that open.
enum class Threading : uint8_t {
    SlicesFaster,
    FramesFaster,
    FramesOnly,  ///< its slice threads decode wrongly
    SlicesOnly,  ///< its frame threads do
};

/// One codec. What most codecs are is the default.
struct CodecTraits {
    using Bytes = bitstream::Bytes;
    using Header = bitstream::StreamHeader;

    v4l2::Codec codec;
    /// libavcodec's decoders of it, the best first.
    std::array<const char*, 2> decoders;

    /// Makes what finds units between start codes, which clients may cut anywhere; null where a buffer is a unit.
    std::unique_ptr<bitstream::Syntax> (*makeSyntax)() = nullptr;
    /// What a unit that is a buffer says of the stream, if it does; `before`: what the units before it said.
    std::optional<Header> (*header)(Bytes unit, const std::optional<Header>& before) = nullptr;
    /// Of a codec whose buffers have a layer of their own around headers and units: each takes one off the front.
    std::optional<Header> (*takeHeader)(Bytes& rest) = nullptr;
    Bytes (*takeUnit)(Bytes& rest) = nullptr;
    /// True if nothing before this unit is needed to decode it or anything that comes behind it. False also where that is not
    /// told by its first bytes.
    bool (*startsAfresh)(Bytes unit) = [](Bytes) { return false; };

    Threading threading = Threading::SlicesFaster;
    /// A packet that holds no picture and leaves the decoder's state alone. Empty for codecs that libavcodec has no frame
    /// threads for, or that (libdav1d) have threads of their own.
    std::span<const uint8_t> filler{};
    /// Pictures in a packet, which libavcodec takes apart before they reach its threads.
    size_t (*picturesIn)(Bytes packet) = [](Bytes) { return size_t{1}; };
    /// Where libavcodec starts anew and forgets the picture that it still holds, or has to.
    bool (*startsAnew)(const Header& before, const Header& now, bool frameThreads) = [](const Header& before, const Header& now,
                                                                                        bool) {
        return before.setup != now.setup || before.filmGrain != now.filmGrain;
    };
    /// Fewer bytes of headers than this it refuses when it is opened; zeros behind them it ignores. Of a codec whose headers it
    /// reads then and never again (VC-1); nothing for others.
    std::optional<size_t> leastSetup{};
    bool needsKeyFrame = false;      ///< without one it decodes its first pictures from nothing, without a word
    bool showsAll = false;           ///< has to be told to show what stands before a key frame
    bool toldNotToDelay = false;     ///< has to be told not to hold back pictures that are done
    bool allocatesPictures = false;  ///< its decoder does that by itself (libdav1d): libavcodec's memory has none of them
    bool delaysByNameOnly = false;   ///< says that it does, for the sake of codecs that share its decoder
    bool learnsReordering = false;   ///< begins with none where a stream declares none, and drops pictures while it learns
    uint32_t tag = 0;                ///< the container's name of it, which its decoder looks at
    /// The colours of a codec that has no fields for them.
    v4l2::Colorimetry (*colorimetry)() = nullptr;
};

/// The row of a codec.
[[nodiscard]] const CodecTraits& traitsOf(v4l2::Codec codec);

}  // namespace daedalus::codec
