// The access units that were sent to libavcodec: what is known of them until their pictures come.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>

#include "frame.h"

namespace daedalus::codec::ffmpeg {

/// Numbers units by serials, which travel through libavcodec as pts. Keeps the books on those that owe a picture: libavcodec
/// drops some without a word (that come too late to be shown in order, or whose references it never had). Owned by one decoder.
class SentUnits {
public:
    /// The serial of a unit that is about to be sent. `owesPicture`: as AccessUnit says.
    [[nodiscard]] int64_t add(const UnitInfo& unit, bool owesPicture);
    /// The serial that add() gave last.
    [[nodiscard]] int64_t last() const { return serial_; }
    /// Of a unit that was sent; of the last one if the serial is not known.
    [[nodiscard]] const UnitInfo& infoOf(int64_t serial) const;
    /// A picture, or a word on damage, has come of it.
    void answered(int64_t serial);
    /// A unit before `serial` that owes a picture, which will not come any more; nothing if there is none.
    [[nodiscard]] std::optional<int64_t> takeLost(int64_t serial);
    /// Pictures of units before this one would have come.
    [[nodiscard]] int64_t longAgo() const { return serial_ - kLongAfter; }
    /// None owes anything any more.
    void forgive() { owed_.clear(); }

private:
    /// Units whose frames may still come: reordering, threads, and fields that come apart, with room.
    static constexpr size_t kInFlight = 512;
    /// Behind so many later ones none is reordered, and no thread (64 at most) still decodes.
    static constexpr int64_t kLongAfter = 128;

    struct Entry {
        int64_t serial = -1;
        UnitInfo info;
    };
    std::array<Entry, kInFlight> inFlight_;
    std::deque<int64_t> owed_;
    int64_t serial_ = 0;
};

}  // namespace daedalus::codec::ffmpeg
