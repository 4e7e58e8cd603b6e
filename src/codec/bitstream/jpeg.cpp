// The frame header (SOF) of a JPEG image.
#include "colorimetry.h"
#include "stream_header.h"

namespace daedalus::codec::bitstream {
namespace {

enum Marker : uint8_t {
    kFirstFrame = 0xC0,
    kHuffman = 0xC4,
    kExtension = 0xC8,
    kArithmetic = 0xCC,
    kLastFrame = 0xCF,
    kFirstRestart = 0xD0,
    kStart = 0xD8,
    kEnd = 0xD9,
    kScan = 0xDA,
    kTemporary = 0x01,
};

bool isFrame(uint8_t marker) {
    return marker >= kFirstFrame && marker <= kLastFrame && marker != kHuffman && marker != kExtension && marker != kArithmetic;
}

/// How chroma is sampled; nothing where only the decoder knows what it makes of it (RGB, CMYK, odd factors).
std::optional<v4l2::Chroma> chromaOf(BitReader& in) {
    const unsigned components = in.bits(8);
    if (components == 1) return v4l2::Chroma::Mono;
    if (components != 3) return std::nullopt;
    unsigned across[3];
    unsigned down[3];
    unsigned ids[3];
    for (unsigned i = 0; i < 3; ++i) {
        ids[i] = in.bits(8);
        across[i] = in.bits(4);
        down[i] = in.bits(4);
        in.skip(8);
    }
    const bool isRgb = ids[0] == 'R' && ids[1] == 'G' && ids[2] == 'B';
    if (isRgb || across[1] != across[2] || down[1] != down[2] || across[1] == 0 || down[1] == 0) return std::nullopt;
    // Only the ratios count: 2x2, 1x2, 1x2 is 4:2:2 too.
    if (across[0] % across[1] != 0 || down[0] % down[1] != 0) return std::nullopt;
    const unsigned ratioAcross = across[0] / across[1];
    const unsigned ratioDown = down[0] / down[1];
    for (const auto chroma :
         {v4l2::Chroma::Yuv420, v4l2::Chroma::Yuv422, v4l2::Chroma::Yuv444, v4l2::Chroma::Yuv440, v4l2::Chroma::Yuv411}) {
        const v4l2::ChromaShift shift = v4l2::shiftOf(chroma);
        if (ratioAcross == 1U << shift.across && ratioDown == 1U << shift.down) return chroma;
    }
    return std::nullopt;
}

std::optional<StreamHeader> readFrame(Bytes segment) {
    BitReader in(segment);
    const unsigned depth = in.bits(8);
    const uint32_t height = in.bits(16);
    const uint32_t width = in.bits(16);
    const auto chroma = chromaOf(in);
    if (!in.ok() || depth != 8 || !chroma || !sizeAllowed(width, height)) return std::nullopt;
    StreamHeader header;
    setSize(header.format, width, height);
    header.format.chroma = *chroma;
    header.format.minCaptureBuffers = minCaptureBuffers(0);
    header.format.colorimetry = jpegColorimetry();
    return header;
}

}  // namespace

v4l2::Colorimetry jpegColorimetry() {
    return {.colorspace = V4L2_COLORSPACE_SRGB,
            .xferFunc = V4L2_XFER_FUNC_SRGB,
            .ycbcrEnc = V4L2_YCBCR_ENC_601,
            .quantization = V4L2_QUANTIZATION_FULL_RANGE};
}

std::optional<StreamHeader> jpegHeader(Bytes image) {
    size_t at = 0;
    while (at + 4 <= image.size()) {
        if (image[at] != 0xFF) {
            ++at;  // the decoder skips garbage between segments too
            continue;
        }
        const uint8_t marker = image[at + 1];
        if (marker == 0xFF) {
            ++at;
            continue;
        }
        if (marker == kEnd || marker == kScan) return std::nullopt;
        if (marker <= kTemporary || (marker >= kFirstRestart && marker <= kStart)) {
            at += 2;
            continue;
        }
        const size_t length = static_cast<size_t>(image[at + 2]) << 8 | image[at + 3];
        if (length < 2 || at + 2 + length > image.size()) return std::nullopt;
        if (isFrame(marker)) return readFrame(image.subspan(at + 4, length - 2));
        at += 2 + length;
    }
    return std::nullopt;
}

}  // namespace daedalus::codec::bitstream
