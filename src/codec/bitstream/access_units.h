// From the bytes of OUTPUT buffers to access units.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "../codec_traits.h"
#include "bit_reader.h"
#include "stream_header.h"
#include "syntax.h"

namespace daedalus::codec::bitstream {

/// What is decoded in one go.
struct AccessUnit {
    std::vector<uint8_t> bytes;
    uint64_t tag = 0;  ///< of the buffer in which it starts
    std::optional<StreamHeader> header{};
    bool endsStream = false;   ///< the stream says that it ends here; there may be no bytes then
    bool owesPicture = false;  ///< if no picture comes of it, it was lost
    bool awaitsField = false;  ///< it ends with a field whose other field is to come
    /// Not coded, in place of a picture that came packed into the buffer before: it is not shown again.
    bool isPlaceholder = false;
};

/// Cuts a stream into access units. A buffer with one whole unit goes straight through, but for a client's first ones: each of
/// those is held until the next buffer shows that it was not a part, or until settle(). Once a buffer shows that the client
/// cuts elsewhere (several pictures in one, a start in the middle of a unit, single NAL units), units are put together, and
/// each comes out when the next begins. If that is shown right behind the very first unit, it was a part of one, and is taken
/// back. Owned by one decoder.
class AccessUnits {
public:
    explicit AccessUnits(const CodecTraits& traits);

    /// Takes a buffer's bytes. False if what has piled up without a border is too large and was dropped.
    [[nodiscard]] bool push(std::vector<uint8_t> bytes, uint64_t tag);
    /// The client does not cut between units: each comes out when the next begins.
    void cutAnywhere();
    /// No more bytes are at hand: what is held comes out.
    void settle();
    [[nodiscard]] bool holds() const { return held_.has_value(); }
    /// True once after a push() that took back the unit before: it comes again, whole.
    [[nodiscard]] bool tookBack();
    /// No more bytes will come: what is left is a unit.
    void finish();
    /// Forgets all bytes; headers are kept.
    void reset();
    /// The next unit in order.
    [[nodiscard]] std::optional<AccessUnit> pop();
    /// Bytes of the stream that are kept here.
    [[nodiscard]] size_t bytes() const;
    /// What the headers seen so far say.
    [[nodiscard]] const std::optional<StreamHeader>& header() const;

private:
    struct Mark {
        size_t position;
        uint64_t tag;
    };

    void pushFrame(std::vector<uint8_t> bytes, uint64_t tag);
    void pushLayers(Bytes bytes, uint64_t tag);
    void pushStream(std::vector<uint8_t> bytes, uint64_t tag);
    void append(std::vector<uint8_t> bytes, uint64_t tag);
    void passThrough();
    void scan();
    void scanAgain();
    void takeLast(size_t code);
    void takeUnit(size_t begin, size_t end);
    void emit(size_t end);
    void endStream(size_t end);
    void compact();
    void clear();

    const CodecTraits& traits_;
    std::unique_ptr<Syntax> syntax_;  ///< null where a buffer is a unit by definition
    std::deque<AccessUnit> ready_;
    std::optional<StreamHeader> header_;

    bool assembling_ = false;
    bool begun_ = false;               ///< a picture has come since the start
    unsigned trusted_ = 0;             ///< buffers that were whole units
    std::optional<size_t> held_;       ///< where the unit ends that waits for the next buffer
    std::optional<AccessUnit> first_;  ///< went straight through in the buffer before, the first with a picture
    bool tookBack_ = false;
    std::vector<uint8_t> pending_;
    std::deque<Mark> marks_;        ///< which buffer's bytes start where in pending_
    size_t start_ = 0;              ///< where the unit under way starts in pending_
    size_t scanned_ = 0;            ///< start codes before this were seen
    std::optional<size_t> border_;  ///< where the next unit starts if a new picture follows
    bool hasPicture_ = false;       ///< the unit under way has picture data
    bool owesPicture_ = false;      ///< the unit under way, what AccessUnit says of it
    bool awaitsField_ = false;
    bool isNotCoded_ = false;
    uint64_t lastTag_ = UINT64_MAX;  ///< of the last unit that came out
    bool wasPacked_ = false;         ///< that unit began in the buffer of the one before it

    /// What one buffer showed of how the client cuts.
    struct Evidence {
        size_t units = 0;
        size_t leading = 0;
        size_t pictures = 0;
        size_t emitted = 0;  ///< units that begin in it, or in one that was not held
        bool stray = false;  ///< it starts in the middle of a picture, or of a unit
    } evidence_;
};

}  // namespace daedalus::codec::bitstream
