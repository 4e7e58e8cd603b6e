// What the headers of several codecs say of the display in the same way; most of it is in the parameter sets of H.264 and HEVC.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "bit_reader.h"
#include "colorimetry.h"
#include "daedalus/codec/decoder.h"

namespace daedalus::codec::bitstream {

struct PixelAspect {
    unsigned num = 0;
    unsigned den = 0;
};

/// The pixel aspect that aspect_ratio_idc names. Other codecs have the first `known` codes, with the same meaning. 0:0 for a
/// code without one.
[[nodiscard]] inline PixelAspect namedAspect(unsigned code, size_t known = SIZE_MAX) {
    constexpr PixelAspect kNamed[] = {{0, 0},   {1, 1},   {12, 11}, {10, 11}, {16, 11},  {40, 33}, {24, 11}, {20, 11}, {32, 11},
                                      {80, 33}, {18, 11}, {15, 11}, {64, 33}, {160, 99}, {4, 3},   {3, 2},   {2, 1}};
    return code < std::min(known, std::size(kNamed)) ? kNamed[code] : PixelAspect{};
}

/// An unknown one, with a 0, leaves `format` as it is.
inline void setAspect(StreamFormat& format, PixelAspect aspect) {
    if (!aspect.num || !aspect.den) return;
    format.pixelAspectNum = aspect.num;
    format.pixelAspectDen = aspect.den;
}

/// aspect_ratio_info_present_flag and what follows it.
inline void readAspect(BitReader& in, StreamFormat& format) {
    constexpr unsigned kExplicit = 255;
    if (!in.flag()) return;
    const unsigned code = in.bits(8);
    PixelAspect aspect = namedAspect(code);
    if (code == kExplicit) {
        aspect.num = in.bits(16);
        aspect.den = in.bits(16);
    }
    setAspect(format, aspect);
}

/// The cropping (H.264) or conformance (HEVC) window behind its flag, into `format`, which has the whole frame's size. It
/// counts samples of the chroma that chroma_format_idc is (0 also for planes coded apart); `verticalUnits`: 2 if a frame may
/// have fields. A window that leaves nothing is no window.
inline void readWindow(BitReader& in, StreamFormat& format, unsigned chromaFormat, unsigned verticalUnits = 1) {
    const v4l2::Rect whole = format.visible;
    const uint64_t unitAcross = chromaFormat == 1 || chromaFormat == 2 ? 2 : 1;
    const uint64_t unitDown = (chromaFormat == 1 ? 2 : 1) * verticalUnits;
    const uint64_t left = in.ue() * unitAcross;
    const uint64_t right = in.ue() * unitAcross;
    const uint64_t top = in.ue() * unitDown;
    const uint64_t bottom = in.ue() * unitDown;
    if (left + right < whole.width && top + bottom < whole.height)
        format.visible = {static_cast<int32_t>(left), static_cast<int32_t>(top),
                          static_cast<uint32_t>(whole.width - left - right),
                          static_cast<uint32_t>(whole.height - top - bottom)};
}

/// Code points of H.273, at first "unspecified".
struct ColourDescription {
    unsigned primaries = 2;
    unsigned transfer = 2;
    unsigned matrix = 2;
};

/// The three of them, a byte each.
[[nodiscard]] inline ColourDescription readColourDescription(BitReader& in) {
    ColourDescription colours;
    colours.primaries = in.bits(8);
    colours.transfer = in.bits(8);
    colours.matrix = in.bits(8);
    return colours;
}

/// From overscan_info_present_flag to the colour description. Gives the matrix coefficients (2: unspecified).
inline unsigned readColours(BitReader& in, StreamFormat& format, Range unsaid) {
    if (in.flag()) in.skip(1);
    ColourDescription colours;
    Range range = unsaid;
    if (in.flag()) {
        in.skip(3);
        range = in.flag() ? Range::Full : Range::Limited;
        if (in.flag()) colours = readColourDescription(in);
    }
    if (in.ok()) format.colorimetry = colorimetry(colours.primaries, colours.transfer, colours.matrix, range);
    return colours.matrix;
}

}  // namespace daedalus::codec::bitstream
