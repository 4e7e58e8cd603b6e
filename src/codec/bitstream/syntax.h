// Codecs whose stream is a sequence of units behind start codes (H.264, HEVC, MPEG-1, -2 and -4, VC-1): what each unit means.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <optional>

#include "bit_reader.h"
#include "daedalus/v4l2/formats.h"
#include "stream_header.h"

namespace daedalus::codec::bitstream {

/// What a unit means for the borders of access units.
enum class UnitKind : uint8_t {
    Other,         ///< stays with what is before it
    Leading,       ///< begins an access unit if picture data is before it and a new picture follows
    Picture,       ///< more data of the picture that is under way
    Companion,     ///< second field or redundant slices: joins the picture before it, but may also come in a buffer of its own
    PictureStart,  ///< the first data of a new picture
    EndOfStream,   ///< the last unit of a stream
};

/// True if a unit is just these bytes, with zeros behind them.
[[nodiscard]] inline bool isOnly(Bytes unit, std::initializer_list<uint8_t> bytes) {
    return unit.size() >= bytes.size() && std::equal(bytes.begin(), bytes.end(), unit.begin()) &&
           std::ranges::all_of(unit.subspan(bytes.size()), [](uint8_t byte) { return byte == 0; });
}

/// Reads one stream's units in order and keeps what later units refer to. A plain state machine, owned by one decoder.
class Syntax {
public:
    virtual ~Syntax() = default;
    /// `unit` is what stands between two start codes; of picture data the first 64 bytes are enough.
    virtual UnitKind inspect(Bytes unit) = 0;
    /// True if inspect() says the same of a unit whose end is missing (but has its first 64 bytes).
    [[nodiscard]] virtual bool isPicture(Bytes unit) const = 0;
    /// True if inspect() calls it the last unit of a stream, whatever comes behind: all of it is here.
    [[nodiscard]] virtual bool isEnd(Bytes) const { return false; }
    /// True if a decoder that can decode the last picture shows one for it, in a stream that was not cut off before it.
    [[nodiscard]] virtual bool owesPicture() const { return false; }
    /// True if the last picture says that it has no data: what was shown last is shown again.
    [[nodiscard]] virtual bool isNotCoded() const { return false; }
    /// True if the last picture is a field whose other field is to come.
    [[nodiscard]] virtual bool awaitsField() const { return false; }
    /// The header of the last picture, or the last header if there was no picture yet.
    [[nodiscard]] virtual const std::optional<StreamHeader>& header() const = 0;
    /// The next unit follows on nothing: pictures under way are forgotten, headers are kept.
    virtual void restart() = 0;
};

[[nodiscard]] std::unique_ptr<Syntax> makeH264Syntax();
[[nodiscard]] std::unique_ptr<Syntax> makeHevcSyntax();
/// MPEG-1 and MPEG-2.
[[nodiscard]] std::unique_ptr<Syntax> makeMpeg2Syntax();
[[nodiscard]] std::unique_ptr<Syntax> makeMpeg4Syntax();
/// VC-1 of Annex G, with its start codes.
[[nodiscard]] std::unique_ptr<Syntax> makeVc1Syntax();

}  // namespace daedalus::codec::bitstream
