#include "cost.h"

#include <algorithm>

namespace daedalus::codec::ffmpeg {
namespace {

constexpr uint64_t kBlock = 16;  ///< pixels of a macroblock in each direction

uint64_t blocksOf(uint64_t width, uint64_t height) {
    return ((width + kBlock - 1) / kBlock + 1) * ((height + kBlock - 1) / kBlock + 1);
}

/// Bytes a macroblock that go with each picture. As libavcodec's allocations of versions 59 to 61 have them.
uint64_t besideBlock(v4l2::Codec codec) {
    switch (codec) {
        case v4l2::Codec::H264:
            return 144;  // 2 lists of 16 vectors, types, references
        case v4l2::Codec::Hevc:
            return 208;  // 16 fields of 12 bytes, lists of references
        case v4l2::Codec::Vp9:
            return 56;  // 4 pairs of vectors, segments
        case v4l2::Codec::Vp8:
        case v4l2::Codec::Mjpeg:
        case v4l2::Codec::Av1:
            return 1;
        case v4l2::Codec::Mpeg1:
        case v4l2::Codec::Mpeg2:
            return 8;
        default:
            return 48;  // the H.263 family and VC-1: 2 lists of 4 vectors, types, references
    }
}

/// Bytes a macroblock that a context has once.
uint64_t tablesOfBlock(v4l2::Codec codec, bool frameThreads) {
    switch (codec) {
        case v4l2::Codec::H264:
            return 112;
        case v4l2::Codec::Hevc:
            return 128;
        case v4l2::Codec::Vp9:
            return frameThreads ? 1536 : 32;  // the coefficients of a whole picture
        case v4l2::Codec::Vp8:
            return 64;
        case v4l2::Codec::Mpeg1:
        case v4l2::Codec::Mpeg2:
            return 64;
        case v4l2::Codec::Mjpeg:
            return 4;
        default:
            return 320;  // predictions of coefficients
    }
}

uint64_t samplesOf(v4l2::Chroma chroma, uint64_t pixels) {
    switch (chroma) {
        case v4l2::Chroma::Mono:
            return pixels;
        case v4l2::Chroma::Yuv420:
        case v4l2::Chroma::Yuv411:
            return pixels / 2 * 3;
        case v4l2::Chroma::Yuv422:
        case v4l2::Chroma::Yuv440:
            return pixels * 2;
        default:
            return pixels * 3;
    }
}

}  // namespace

uint64_t bytesBesidePicture(v4l2::Codec codec, uint64_t width, uint64_t height) {
    return blocksOf(width, height) * besideBlock(codec);
}

uint64_t bytesOfTables(v4l2::Codec codec, const TableNeeds& needs) {
    const uint64_t each = blocksOf(needs.width, needs.height) * tablesOfBlock(codec, needs.frameThreads);
    const uint64_t coefficients = needs.width * needs.height * needs.coefficients * sizeof(int16_t);
    return each * std::max(needs.threads, 1U) + coefficients;
}

uint64_t bytesOfDav1d(const StreamFormat& format, uint64_t pixels, unsigned frameThreads) {
    constexpr uint64_t kReferences = 8;
    constexpr uint64_t kOnTheirWay = 3;      // decoded, with film grain, and shown
    constexpr uint64_t kBesidePicture = 40;  // vectors and segments, a block of 16x16
    constexpr uint64_t kTables = 128;
    // Of each frame thread: blocks and coefficients of a whole picture.
    constexpr uint64_t kOfThread = 2048;
    const uint64_t sampleBytes = format.bitDepth > 8 ? 2 : 1;
    const uint64_t pictures = kReferences + kOnTheirWay + (frameThreads > 1 ? frameThreads : 0);
    const uint64_t blocks = pixels / (kBlock * kBlock) + 1;
    const uint64_t threads = frameThreads > 1 ? blocks * kOfThread * sampleBytes * frameThreads : 0;
    return pictures * (samplesOf(format.chroma, pixels) * sampleBytes + blocks * kBesidePicture) + blocks * kTables + threads;
}

}  // namespace daedalus::codec::ffmpeg
