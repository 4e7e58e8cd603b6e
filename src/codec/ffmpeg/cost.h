// What decoding costs beside the samples of pictures: estimates, where libavcodec and libdav1d let nobody count.
#pragma once

#include <cstdint>

#include "daedalus/codec/decoder.h"

namespace daedalus::codec::ffmpeg {

/// Bytes that libavcodec keeps with each picture of that size (pixels): motion vectors and the like.
[[nodiscard]] uint64_t bytesBesidePicture(v4l2::Codec codec, uint64_t width, uint64_t height);

/// What the tables of a context depend on.
struct TableNeeds {
    uint64_t width = 0;  ///< pixels
    uint64_t height = 0;
    unsigned threads = 1;  ///< contexts that have tables of their own
    bool frameThreads = false;
    unsigned coefficients = 0;  ///< per pixel, kept of a whole picture until its last scan (progressive JPEG)
};
/// Bytes of what libavcodec allocates once for pictures of a size.
[[nodiscard]] uint64_t bytesOfTables(v4l2::Codec codec, const TableNeeds& needs);

/// Bytes that libdav1d holds at most for a stream of this format whose largest frame has `pixels`: all its references, what is
/// decoded, what is on its way out, and its tables.
[[nodiscard]] uint64_t bytesOfDav1d(const StreamFormat& format, uint64_t pixels, unsigned frameThreads);

}  // namespace daedalus::codec::ffmpeg
