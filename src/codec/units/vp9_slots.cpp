#include "../bitstream/bit_reader.h"
#include "headers.h"

namespace daedalus::codec::units {
namespace {

constexpr uint32_t kFrameMarker = 2;
constexpr uint32_t kSyncCode = 0x498342;

}  // namespace

std::optional<Vp9Slots> vp9Slots(std::span<const uint8_t> frame) {
    bitstream::BitReader reader(frame);
    if (reader.bits(2) != kFrameMarker) return std::nullopt;
    uint32_t profile = reader.bits(1);
    profile |= reader.bits(1) << 1;
    if (profile == 3) reader.skip(1);
    if (reader.flag()) return std::nullopt;  // show_existing_frame
    const bool inter = reader.flag();
    const bool shown = reader.flag();
    const bool resilient = reader.flag();
    Vp9Slots slots;
    if (!inter) {
        slots.refresh = 0xFF;
        return reader.ok() ? std::optional(slots) : std::nullopt;
    }
    const bool intraOnly = !shown && reader.flag();
    if (!resilient) reader.skip(2);  // reset_frame_context
    if (intraOnly) {
        if (reader.bits(24) != kSyncCode) return std::nullopt;
        if (profile > 0) {
            constexpr uint32_t kRgb = 7;
            if (profile >= 2) reader.skip(1);
            const bool rgb = reader.bits(3) == kRgb;
            if (!rgb) reader.skip(1);
            if (profile == 1 || profile == 3) reader.skip(rgb ? 1 : 3);
        }
        slots.refresh = static_cast<uint8_t>(reader.bits(8));
        return reader.ok() ? std::optional(slots) : std::nullopt;
    }
    slots.refresh = static_cast<uint8_t>(reader.bits(8));
    slots.references.emplace();
    for (auto& place : *slots.references) {
        place.bit = reader.position();
        place.slot = static_cast<uint8_t>(reader.bits(3));
        reader.skip(1);  // sign bias
    }
    return reader.ok() ? std::optional(slots) : std::nullopt;
}

}  // namespace daedalus::codec::units
