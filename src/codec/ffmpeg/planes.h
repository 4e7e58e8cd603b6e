// From the planes of a decoded picture to a CAPTURE buffer, in any raw format that fits.
#pragma once

#include <array>
#include <cstdint>

#include "daedalus/codec/decoder.h"

namespace daedalus::codec::ffmpeg {

/// One plane of samples: a byte each up to 8 bits, else the low bits of two bytes in the host's order.
struct SourcePlane {
    const uint8_t* data = nullptr;
    int stride = 0;  ///< bytes per line, a multiple of the sample's size
    int width = 0;   ///< samples per line
    int lines = 0;
};

/// A picture's planes: Y, Cb, Cr or R, G, B, in this order; only the first one of grey pictures.
struct SourcePicture {
    std::array<SourcePlane, 3> planes;
    v4l2::Sampling sampling;
};

/// Writes all samples. `target` must be one that targetFits() the picture's format, whose coded size holds the planes.
void writePlanes(const SourcePicture& picture, const CaptureTarget& target);

}  // namespace daedalus::codec::ffmpeg
