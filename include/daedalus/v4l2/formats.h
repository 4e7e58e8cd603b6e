// The formats of the node: one line per raw format, one line per coded format, and the arithmetic of planes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "daedalus/v4l2/uapi.h"

namespace daedalus::v4l2 {

/// The bitstream formats that the codecs know by name.
/// Xvid is MPEG-4 by an encoder whose faults a decoder has to know of. Vc1G and Vc1L: Annex G (start codes) and L of SMPTE
/// 421M.
enum class Codec : uint8_t { H264, Hevc, Vp8, Vp9, Av1, Mpeg2, Mpeg1, Mpeg4, Xvid, H263, Flv1, Mjpeg, Vc1G, Vc1L };

/// How chroma is sampled relative to luma. Other: what no raw format here can hold (alpha, CMYK, 4:1:0 …).
enum class Chroma : uint8_t { Mono, Yuv420, Yuv422, Yuv444, Yuv440, Yuv411, Rgb, Other };

/// What a decoder's frames are made of.
struct Sampling {
    Chroma chroma = Chroma::Other;
    uint8_t bitDepth = 0;  ///< bits per sample
    uint8_t zeroBits = 0;  ///< the low ones of these that are zero in every sample
    /// Bits that say something.
    [[nodiscard]] constexpr uint8_t significantBits() const { return static_cast<uint8_t>(bitDepth - zeroBits); }
    friend bool operator==(const Sampling&, const Sampling&) = default;
};

/// By how many bits chroma coordinates are shifted down from luma's.
struct ChromaShift {
    unsigned across = 0;
    unsigned down = 0;
};
[[nodiscard]] constexpr ChromaShift shiftOf(Chroma chroma) {
    switch (chroma) {
        case Chroma::Yuv420:
            return {1, 1};
        case Chroma::Yuv422:
            return {1, 0};
        case Chroma::Yuv440:
            return {0, 1};
        case Chroma::Yuv411:
            return {2, 0};
        default:
            return {0, 0};
    }
}
/// "4:2:0" …
[[nodiscard]] const char* nameOf(Chroma chroma);

/// What an OUTPUT buffer holds: a piece of a stream, or what one request of a stateless decoder decodes.
enum class Framing : uint8_t { Stream, Unit };

/// One coded format: what is queued to OUTPUT. Two may share a codec.
struct CodedFormat {
    uint32_t fourcc;
    Codec codec;
    const char* name;                     ///< as users write it: "h264"
    const char* description;              ///< as ENUM_FMT gives it, as the kernel does
    uint32_t flags;                       ///< V4L2_FMT_FLAG_* of ENUM_FMT
    std::span<const Sampling> samplings;  ///< of its streams, as far as a raw format holds them
    Framing framing = Framing::Stream;
};

/// Where the samples of one channel stand: of Y, Cb, Cr or of R, G, B, in this order.
struct Channel {
    uint8_t component;  ///< index of the colour plane
    uint8_t first;      ///< place of a line's first sample, in samples
    uint8_t step;       ///< from one sample to the next, in samples
};

/// Where the bits of a sample stand in its bytes: in the low ones, or in the high ones with zeros below.
enum class Bits : uint8_t { Low, High };

/// One raw format: what CAPTURE delivers.
struct RawFormat {
    uint32_t fourcc;
    const char* name;  ///< as users write it: "NV12"
    const char* description;
    Chroma chroma;
    uint8_t bitDepth;  ///< significant bits per sample
    Bits bits;
    uint8_t sampleBytes;                ///< bytes that one sample takes
    uint8_t memoryPlanes;               ///< planes of the V4L2 buffer (NV12: 1, NV12M: 2)
    uint8_t colorPlanes;                ///< 1: luma or whole pixels; 2: luma and interleaved chroma; 3: luma, Cb, Cr
    std::span<const Channel> channels;  ///< one (grey) or three
};

/// Where one colour plane lies.
struct ComponentLayout {
    uint32_t memoryPlane;  ///< index of the V4L2 plane
    size_t offset;         ///< bytes from the start of that plane
    size_t stride;         ///< bytes per line
    uint32_t width;        ///< bytes of samples per line (interleaved chroma counts both)
    uint32_t height;       ///< lines
};

/// Sizes of one frame in a raw format: what S_FMT(CAPTURE) answers, and where its samples lie.
struct FrameLayout {
    uint32_t width = 0;  ///< coded size in pixels
    uint32_t height = 0;
    uint32_t memoryPlanes = 0;
    std::array<uint32_t, VIDEO_MAX_PLANES> bytesPerLine{};
    std::array<uint32_t, VIDEO_MAX_PLANES> sizeImage{};
    uint32_t components = 0;
    std::array<ComponentLayout, 3> component{};
};

inline constexpr uint32_t kMinDimension = 2;
inline constexpr uint32_t kMaxDimension = 8192;
/// Bytes that one OUTPUT buffer may bring at most: more than an uncompressed 8-bit 4:2:0 frame of the largest size.
inline constexpr uint32_t kMaxPayloadBytes = 128U << 20;
/// Coded sizes are multiples of this, in both directions.
inline constexpr uint32_t kDimensionStep = 2;
/// Coded sizes of this codec's streams are multiples of so many pixels, as encoders make them: H.264 always (macroblocks), HEVC
/// by its usual smallest coding blocks. The others have no coded size beside the visible one.
[[nodiscard]] constexpr uint32_t blockSize(Codec codec) {
    return codec == Codec::H264 ? 16 : codec == Codec::Hevc ? 8 : kDimensionStep;
}

/// All coded formats of streams, in the order of ENUM_FMT(OUTPUT).
[[nodiscard]] std::span<const CodedFormat> codedFormats();
/// Those of stateless decoders.
[[nodiscard]] std::span<const CodedFormat> unitFormats();
/// All raw formats; of those that fit a stream equally well, the first is the best.
[[nodiscard]] std::span<const RawFormat> rawFormats();
/// The line of a fourcc, or nullptr.
[[nodiscard]] const CodedFormat* findCoded(uint32_t fourcc);
/// The first line of a codec.
[[nodiscard]] const CodedFormat* findCoded(Codec codec);
[[nodiscard]] const RawFormat* findRaw(uint32_t fourcc);
/// How frames come out in a raw format. Reduced: with the 8 high bits of each sample only.
enum class Fit : uint8_t { None, Exact, Reduced };
/// How frames of `sampling` can be delivered in `format`. Exact means that nothing is lost. Where V4L2 has no format of just
/// that kind, that is the next larger one: fewer bits stand in the high bits of more, and 4:4:0 in 4:4:4 with each chroma line
/// given twice.
[[nodiscard]] Fit fitOf(const RawFormat& format, const Sampling& sampling);
/// What holds frames of `sampling`, in the order of ENUM_FMT(CAPTURE): the exact formats, of which the first is the default,
/// and then the reduced ones. Empty where nothing is exact.
[[nodiscard]] std::vector<const RawFormat*> formatsFor(const Sampling& sampling);
/// The sampling that carries `chroma` in a raw format: another one for 4:4:0 only.
[[nodiscard]] constexpr Chroma carrierOf(Chroma chroma) { return chroma == Chroma::Yuv440 ? Chroma::Yuv444 : chroma; }

/// The layout of a `width` x `height` frame (pixels, already within limits and steps). Lines are padded to 16 bytes of luma;
/// a chroma line of a planar format takes its share of a luma line, as the V4L2 documents say of single-planar formats.
[[nodiscard]] FrameLayout layoutOf(const RawFormat& format, uint32_t width, uint32_t height);
/// The smallest OUTPUT sizeimage (bytes) offered for a coded size: enough for any sane access unit.
[[nodiscard]] uint32_t codedSizeImage(uint32_t width, uint32_t height);

/// "NV12", "H264" …; bytes that cannot be printed become '.'.
[[nodiscard]] std::string fourccName(uint32_t fourcc);

/// Pixels; `left` and `top` from the coded frame's upper left corner.
struct Rect {
    int32_t left = 0;
    int32_t top = 0;
    uint32_t width = 0;
    uint32_t height = 0;
    friend bool operator==(const Rect&, const Rect&) = default;
};

/// Colour information in V4L2's terms (V4L2_COLORSPACE_*, V4L2_XFER_FUNC_*, V4L2_YCBCR_ENC_*, V4L2_QUANTIZATION_*); 0 is
/// each one's DEFAULT.
struct Colorimetry {
    uint32_t colorspace = 0;
    uint32_t xferFunc = 0;
    uint32_t ycbcrEnc = 0;
    uint32_t quantization = 0;
    friend bool operator==(const Colorimetry&, const Colorimetry&) = default;
};

}  // namespace daedalus::v4l2
