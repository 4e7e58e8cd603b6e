// Which pictures a decoder that follows the bitstream holds as references, to be compared with those that a client names.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daedalus/codec/picture_decoder.h"
#include "headers.h"

namespace daedalus::codec::units {

/// The last two anchors of MPEG-2.
class Mpeg2References {
public:
    /// What is wrong with what the unit names; empty if nothing is.
    [[nodiscard]] std::string check(const PictureUnit& unit, const v4l2_ctrl_mpeg2_picture& picture) const;
    void decoded(const PictureUnit& unit, const v4l2_ctrl_mpeg2_picture& picture);
    void clear() { *this = {}; }

private:
    std::optional<uint64_t> older_;
    std::optional<uint64_t> newer_;
};

/// The eight slots of VP9.
class Vp9References {
public:
    /// Makes the frame's header name the slots that hold what the unit names, and says what is in none.
    [[nodiscard]] std::string follow(const PictureUnit& unit, const Vp9Slots& slots, std::vector<uint8_t>& frame) const;
    void decoded(const PictureUnit& unit, const Vp9Slots& slots);
    void clear() { *this = {}; }

private:
    std::array<std::optional<uint64_t>, 8> slots_;
};

/// What is wrong with the references of a unit by themselves: one is missing, or damaged. Empty if nothing is.
[[nodiscard]] std::string missing(std::span<const NamedReference> references);

}  // namespace daedalus::codec::units
