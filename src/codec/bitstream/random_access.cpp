#include "random_access.h"

#include "obu.h"
#include "start_code.h"

namespace daedalus::codec::bitstream {
namespace {

/// The first byte of the first unit behind a start code for which `isPicture` says so; nothing if there is none.
template <class IsPicture>
std::optional<uint8_t> firstPicture(Bytes unit, const IsPicture& isPicture) {
    for (size_t code = findStartCode(unit, 0); code != kNoStartCode; code = findStartCode(unit, code + 3))
        if (code + 3 < unit.size() && isPicture(unit[code + 3])) return unit[code + 3];
    return std::nullopt;
}

bool h264StartsAfresh(Bytes unit) {
    constexpr unsigned kIdr = 5;
    const auto picture = firstPicture(unit, [](uint8_t byte) { return (byte & 31U) >= 1 && (byte & 31U) <= kIdr; });
    return picture && (*picture & 31U) == kIdr;
}

/// IDR and BLA pictures. Behind a CRA picture there may be some that refer to what is before it.
bool hevcStartsAfresh(Bytes unit) {
    const auto picture = firstPicture(unit, [](uint8_t byte) { return (byte >> 1 & 63U) < 32; });
    return picture && (*picture >> 1 & 63U) >= 16 && (*picture >> 1 & 63U) <= 20;
}

/// A shown key frame with its sequence header.
bool av1StartsAfresh(Bytes unit) {
    bool sequence = false;
    while (const auto obu = takeObu(unit)) {
        if (obu->type == kSequenceHeader) sequence = true;
        if (obu->type != kFrame && obu->type != kFrameHeader) continue;
        // show_existing_frame, frame_type and show_frame.
        constexpr unsigned kShownKey = 0b0001;
        return sequence && !obu->payload.empty() && obu->payload[0] >> 4U == kShownKey;
    }
    return false;
}

}  // namespace

bool startsAfresh(v4l2::Codec codec, Bytes unit) {
    switch (codec) {
        case v4l2::Codec::H264:
            return h264StartsAfresh(unit);
        case v4l2::Codec::Hevc:
            return hevcStartsAfresh(unit);
        case v4l2::Codec::Av1:
            return av1StartsAfresh(unit);
        case v4l2::Codec::Vp8:
            return !unit.empty() && (unit[0] & 1U) == 0;
        default:
            return false;
    }
}

}  // namespace daedalus::codec::bitstream
