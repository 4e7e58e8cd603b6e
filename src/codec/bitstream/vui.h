// What the VUI of H.264 and of HEVC have in common.
#pragma once

#include <array>

#include "bit_reader.h"
#include "colorimetry.h"
#include "daedalus/codec/decoder.h"

namespace daedalus::codec::bitstream {

/// aspect_ratio_info_present_flag and what follows it; unknown ratios leave `format` as it is.
inline void readAspect(BitReader& in, StreamFormat& format) {
    constexpr std::array<std::array<uint8_t, 2>, 17> kAspects = {{{0, 1},
                                                                  {1, 1},
                                                                  {12, 11},
                                                                  {10, 11},
                                                                  {16, 11},
                                                                  {40, 33},
                                                                  {24, 11},
                                                                  {20, 11},
                                                                  {32, 11},
                                                                  {80, 33},
                                                                  {18, 11},
                                                                  {15, 11},
                                                                  {64, 33},
                                                                  {160, 99},
                                                                  {4, 3},
                                                                  {3, 2},
                                                                  {2, 1}}};
    constexpr unsigned kExplicit = 255;
    if (!in.flag()) return;
    const unsigned code = in.bits(8);
    unsigned num = code < kAspects.size() ? kAspects[code][0] : 0;
    unsigned den = code < kAspects.size() ? kAspects[code][1] : 0;
    if (code == kExplicit) {
        num = in.bits(16);
        den = in.bits(16);
    }
    if (!num || !den) return;
    format.pixelAspectNum = num;
    format.pixelAspectDen = den;
}

/// From overscan_info_present_flag to the colour description. Gives the matrix coefficients (2: unspecified).
inline unsigned readColours(BitReader& in, StreamFormat& format, Range unsaid) {
    if (in.flag()) in.skip(1);
    unsigned primaries = 2;
    unsigned transfer = 2;
    unsigned matrix = 2;
    Range range = unsaid;
    if (in.flag()) {
        in.skip(3);
        range = in.flag() ? Range::Full : Range::Limited;
        if (in.flag()) {
            primaries = in.bits(8);
            transfer = in.bits(8);
            matrix = in.bits(8);
        }
    }
    if (in.ok()) format.colorimetry = colorimetry(primaries, transfer, matrix, range);
    return matrix;
}

}  // namespace daedalus::codec::bitstream
