#include "references.h"

#include <algorithm>

namespace daedalus::codec::units {
namespace {

constexpr char kOther[] = "it names another reference than its bitstream";

/// The other field of this picture was decoded before.
bool isSecondField(const PictureUnit& unit, std::optional<uint64_t> newer) { return newer == unit.picture; }

void setSlot(std::vector<uint8_t>& frame, size_t bit, size_t slot) {
    constexpr unsigned kSlotBits = 3;
    for (unsigned i = 0; i < kSlotBits; ++i, ++bit) {
        const auto mask = static_cast<uint8_t>(0x80U >> bit % 8);
        const bool set = (slot >> (kSlotBits - 1 - i) & 1U) != 0;
        uint8_t& byte = frame[bit / 8];
        byte = static_cast<uint8_t>(set ? byte | mask : byte & ~mask);
    }
}

}  // namespace

std::string missing(std::span<const NamedReference> references) {
    for (const auto& reference : references) {
        if (!reference.picture) return "a reference is missing";
        if (reference.damaged) return "a reference is damaged";
    }
    return {};
}

std::string Mpeg2References::check(const PictureUnit& unit, const v4l2_ctrl_mpeg2_picture& picture) const {
    // The second field of an anchor may need no more than the first, and clients name what the frame has before it.
    if (isSecondField(unit, newer_)) return {};
    if (auto wrong = missing(unit.references); !wrong.empty()) return wrong;
    if (picture.picture_coding_type == V4L2_MPEG2_PIC_CODING_TYPE_P && unit.references[0].picture != newer_) return kOther;
    if (picture.picture_coding_type == V4L2_MPEG2_PIC_CODING_TYPE_B &&
        (unit.references[0].picture != older_ || unit.references[1].picture != newer_))
        return kOther;
    return {};
}

void Mpeg2References::decoded(const PictureUnit& unit, const v4l2_ctrl_mpeg2_picture& picture) {
    if (picture.picture_coding_type == V4L2_MPEG2_PIC_CODING_TYPE_B || isSecondField(unit, newer_)) return;
    older_ = newer_;
    newer_ = unit.picture;
}

std::string Vp9References::follow(const PictureUnit& unit, const Vp9Slots& slots, std::vector<uint8_t>& frame) const {
    if (!slots.references || unit.references.size() != slots.references->size())
        return slots.references ? "its controls are those of a frame without references" : std::string();
    if (auto wrong = missing(unit.references); !wrong.empty()) return wrong;
    for (size_t i = 0; i < slots.references->size(); ++i) {
        const auto wanted = unit.references[i].picture;
        const auto& place = (*slots.references)[i];
        if (slots_[place.slot] == wanted) continue;
        const auto found = std::ranges::find(slots_, wanted);
        if (found == slots_.end()) return "the decoder holds a reference of it no more";
        setSlot(frame, place.bit, static_cast<size_t>(found - slots_.begin()));
    }
    return {};
}

void Vp9References::decoded(const PictureUnit& unit, const Vp9Slots& slots) {
    for (size_t i = 0; i < slots_.size(); ++i)
        if ((slots.refresh >> i & 1U) != 0) slots_[i] = unit.picture;
}

}  // namespace daedalus::codec::units
