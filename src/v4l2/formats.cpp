#include "daedalus/v4l2/formats.h"

#include <algorithm>
#include <cctype>

#include "daedalus/v4l2/listing.h"

namespace daedalus::v4l2 {
namespace {

constexpr uint32_t kStrideAlignment = 16;

constexpr uint32_t kStream = V4L2_FMT_FLAG_COMPRESSED | V4L2_FMT_FLAG_DYN_RESOLUTION;
/// With start codes: clients may cut it anywhere.
constexpr uint32_t kBytestream = kStream | V4L2_FMT_FLAG_CONTINUOUS_BYTESTREAM;

constexpr Sampling k420 = {Chroma::Yuv420, 8};
constexpr Sampling k422 = {Chroma::Yuv422, 8};
constexpr Sampling k444 = {Chroma::Yuv444, 8};
constexpr Sampling k440 = {Chroma::Yuv440, 8};
constexpr Sampling k411 = {Chroma::Yuv411, 8};
constexpr Sampling kGrey = {Chroma::Mono, 8};
constexpr Sampling kRgb = {Chroma::Rgb, 8};
constexpr Sampling k420Deep10 = {Chroma::Yuv420, 10};
constexpr Sampling k422Deep10 = {Chroma::Yuv422, 10};
constexpr Sampling k444Deep10 = {Chroma::Yuv444, 10};
constexpr Sampling k440Deep10 = {Chroma::Yuv440, 10};
constexpr Sampling kGreyDeep10 = {Chroma::Mono, 10};
constexpr Sampling kRgbDeep10 = {Chroma::Rgb, 10};
constexpr Sampling k420Deep12 = {Chroma::Yuv420, 12};
constexpr Sampling k422Deep12 = {Chroma::Yuv422, 12};
constexpr Sampling k444Deep12 = {Chroma::Yuv444, 12};
constexpr Sampling k440Deep12 = {Chroma::Yuv440, 12};
constexpr Sampling kGreyDeep12 = {Chroma::Mono, 12};
constexpr Sampling kRgbDeep12 = {Chroma::Rgb, 12};
/// 12 bits in the high ones of 16, which is how libavcodec gives those of JPEG.
constexpr Sampling k420High12 = {Chroma::Yuv420, 16, 4};
constexpr Sampling k422High12 = {Chroma::Yuv422, 16, 4};
constexpr Sampling k444High12 = {Chroma::Yuv444, 16, 4};
constexpr Sampling kGreyHigh12 = {Chroma::Mono, 16, 4};

constexpr Sampling kOf420[] = {k420};
constexpr Sampling kOfMpeg2[] = {k420, k422};
constexpr Sampling kOfJpeg[] = {k420, k422, k444, k440, k411, kGrey, kRgb, k420High12, k422High12, k444High12, kGreyHigh12};
constexpr Sampling kOfH264[] = {k420, k422, k444, kRgb, k420Deep10, k422Deep10, k444Deep10, kRgbDeep10};
constexpr Sampling kOfHevc[] = {k420,       k422,       k444,       kGrey,       kRgb,
                                k420Deep10, k422Deep10, k444Deep10, kGreyDeep10, kRgbDeep10,
                                k420Deep12, k422Deep12, k444Deep12, kGreyDeep12, kRgbDeep12};
constexpr Sampling kOfVp9[] = {k420,       k422,       k444,       k440,       kRgb,       k420Deep10, k422Deep10, k444Deep10,
                               k440Deep10, kRgbDeep10, k420Deep12, k422Deep12, k444Deep12, k440Deep12, kRgbDeep12};
constexpr Sampling kOfAv1[] = {k420,        k422,       k444,       kGrey,      kRgb,       k420Deep10,  k422Deep10, k444Deep10,
                               kGreyDeep10, kRgbDeep10, k420Deep12, k422Deep12, k444Deep12, kGreyDeep12, kRgbDeep12};

constexpr CodedFormat kCoded[] = {
    {V4L2_PIX_FMT_H264, Codec::H264, "h264", "H.264", kBytestream, kOfH264},
    {V4L2_PIX_FMT_HEVC, Codec::Hevc, "hevc", "HEVC", kBytestream, kOfHevc},
    {V4L2_PIX_FMT_VP8, Codec::Vp8, "vp8", "VP8", kStream, kOf420},
    {V4L2_PIX_FMT_VP9, Codec::Vp9, "vp9", "VP9", kStream, kOfVp9},
    {V4L2_PIX_FMT_AV1, Codec::Av1, "av1", "AV1 OBU Stream", kStream, kOfAv1},
    {V4L2_PIX_FMT_MPEG2, Codec::Mpeg2, "mpeg2", "MPEG-2 ES", kBytestream, kOfMpeg2},
    {V4L2_PIX_FMT_MPEG1, Codec::Mpeg1, "mpeg1", "MPEG-1 ES", kBytestream, kOf420},
    {V4L2_PIX_FMT_MPEG4, Codec::Mpeg4, "mpeg4", "MPEG-4 Part 2 ES", kBytestream, kOf420},
    {V4L2_PIX_FMT_XVID, Codec::Xvid, "xvid", "Xvid", kBytestream, kOf420},
    {V4L2_PIX_FMT_H263, Codec::H263, "h263", "H.263", kStream, kOf420},
    {V4L2_PIX_FMT_VC1_ANNEX_G, Codec::Vc1G, "vc1", "VC-1 (SMPTE 412M Annex G)", kBytestream, kOf420},
    {V4L2_PIX_FMT_VC1_ANNEX_L, Codec::Vc1L, "vc1l", "VC-1 (SMPTE 412M Annex L)", kStream, kOf420},
    {V4L2_PIX_FMT_SPK, Codec::Flv1, "flv1", "Sorenson Spark", kStream, kOf420},
    {V4L2_PIX_FMT_MJPEG, Codec::Mjpeg, "mjpeg", "Motion-JPEG", kStream, kOfJpeg},
    {V4L2_PIX_FMT_JPEG, Codec::Mjpeg, "jpeg", "JFIF JPEG", kStream, kOfJpeg},
};

constexpr Sampling kOfVp9Units[] = {k420, k422, k444, k440, k420Deep10, k422Deep10, k420Deep12, k422Deep12, k444Deep12};
constexpr Sampling kOfH264Units[] = {k420, k422, k444, k420Deep10, k422Deep10};

constexpr CodedFormat kUnits[] = {
    {V4L2_PIX_FMT_H264_SLICE, Codec::H264, "h264_slice", "H.264 Parsed Slice Data", V4L2_FMT_FLAG_COMPRESSED, kOfH264Units,
     Framing::Unit},
    {V4L2_PIX_FMT_VP8_FRAME, Codec::Vp8, "vp8_frame", "VP8 Frame", V4L2_FMT_FLAG_COMPRESSED, kOf420, Framing::Unit},
    {V4L2_PIX_FMT_VP9_FRAME, Codec::Vp9, "vp9_frame", "VP9 Frame", V4L2_FMT_FLAG_COMPRESSED, kOfVp9Units, Framing::Unit},
    {V4L2_PIX_FMT_MPEG2_SLICE, Codec::Mpeg2, "mpeg2_slice", "MPEG-2 Parsed Slice Data", V4L2_FMT_FLAG_COMPRESSED, kOfMpeg2,
     Framing::Unit},
};

constexpr Channel kGreyChannel[] = {{0, 0, 1}};
constexpr Channel kPlanar[] = {{0, 0, 1}, {1, 0, 1}, {2, 0, 1}};
constexpr Channel kSemiPlanar[] = {{0, 0, 1}, {1, 0, 2}, {1, 1, 2}};
constexpr Channel kYuyv[] = {{0, 0, 2}, {0, 1, 4}, {0, 3, 4}};
constexpr Channel kTriples[] = {{0, 0, 3}, {0, 1, 3}, {0, 2, 3}};
constexpr Channel kBackwards[] = {{0, 2, 3}, {0, 1, 3}, {0, 0, 3}};
constexpr Channel kBackwardsPadded[] = {{0, 2, 4}, {0, 1, 4}, {0, 0, 4}};

constexpr Bits kLow = Bits::Low;
constexpr Bits kHigh = Bits::High;

// The descriptions are those of kernels before 6.2 (later ones say UV for CbCr): all versions of v4l2-compliance take them.
// fourcc, name, description, chroma, depth, its bits' place, bytes per sample, memory planes, colour planes, channels
constexpr RawFormat kRaw[] = {
    {V4L2_PIX_FMT_NV12, "NV12", "Y/CbCr 4:2:0", Chroma::Yuv420, 8, kLow, 1, 1, 2, kSemiPlanar},
    {V4L2_PIX_FMT_NV12M, "NV12M", "Y/CbCr 4:2:0 (N-C)", Chroma::Yuv420, 8, kLow, 1, 2, 2, kSemiPlanar},
    {V4L2_PIX_FMT_YUV420, "YU12", "Planar YUV 4:2:0", Chroma::Yuv420, 8, kLow, 1, 1, 3, kPlanar},
    {V4L2_PIX_FMT_YUV420M, "YM12", "Planar YUV 4:2:0 (N-C)", Chroma::Yuv420, 8, kLow, 1, 3, 3, kPlanar},
    {V4L2_PIX_FMT_P010, "P010", "10-bit Y/CbCr 4:2:0", Chroma::Yuv420, 10, kHigh, 2, 1, 2, kSemiPlanar},
    {V4L2_PIX_FMT_P012, "P012", "12-bit Y/CbCr 4:2:0", Chroma::Yuv420, 12, kHigh, 2, 1, 2, kSemiPlanar},
    {V4L2_PIX_FMT_P012M, "P012M", "12-bit Y/CbCr 4:2:0 (N-C)", Chroma::Yuv420, 12, kHigh, 2, 2, 2, kSemiPlanar},
    {V4L2_PIX_FMT_NV16, "NV16", "Y/CbCr 4:2:2", Chroma::Yuv422, 8, kLow, 1, 1, 2, kSemiPlanar},
    {V4L2_PIX_FMT_NV16M, "NV16M", "Y/CbCr 4:2:2 (N-C)", Chroma::Yuv422, 8, kLow, 1, 2, 2, kSemiPlanar},
    {V4L2_PIX_FMT_YUV422P, "422P", "Planar YUV 4:2:2", Chroma::Yuv422, 8, kLow, 1, 1, 3, kPlanar},
    {V4L2_PIX_FMT_YUV422M, "YM16", "Planar YUV 4:2:2 (N-C)", Chroma::Yuv422, 8, kLow, 1, 3, 3, kPlanar},
    {V4L2_PIX_FMT_Y210, "Y210", "10-bit YUYV Packed", Chroma::Yuv422, 10, kHigh, 2, 1, 1, kYuyv},
    {V4L2_PIX_FMT_Y212, "Y212", "12-bit YUYV Packed", Chroma::Yuv422, 12, kHigh, 2, 1, 1, kYuyv},
    {V4L2_PIX_FMT_Y216, "Y216", "16-bit YUYV Packed", Chroma::Yuv422, 16, kHigh, 2, 1, 1, kYuyv},
    {V4L2_PIX_FMT_NV24, "NV24", "Y/CbCr 4:4:4", Chroma::Yuv444, 8, kLow, 1, 1, 2, kSemiPlanar},
    {V4L2_PIX_FMT_YUV444M, "YM24", "Planar YUV 4:4:4 (N-C)", Chroma::Yuv444, 8, kLow, 1, 3, 3, kPlanar},
    {V4L2_PIX_FMT_YUV48_12, "Y312", "12-bit YUV 4:4:4 Packed", Chroma::Yuv444, 12, kHigh, 2, 1, 1, kTriples},
    {V4L2_PIX_FMT_YUV411P, "411P", "Planar YUV 4:1:1", Chroma::Yuv411, 8, kLow, 1, 1, 3, kPlanar},
    {V4L2_PIX_FMT_GREY, "GREY", "8-bit Greyscale", Chroma::Mono, 8, kLow, 1, 1, 1, kGreyChannel},
    {V4L2_PIX_FMT_Y10, "Y10", "10-bit Greyscale", Chroma::Mono, 10, kLow, 2, 1, 1, kGreyChannel},
    {V4L2_PIX_FMT_Y12, "Y12", "12-bit Greyscale", Chroma::Mono, 12, kLow, 2, 1, 1, kGreyChannel},
    {V4L2_PIX_FMT_Y012, "Y012", "12-bit Greyscale (bits 15-4)", Chroma::Mono, 12, kHigh, 2, 1, 1, kGreyChannel},
    {V4L2_PIX_FMT_Y16, "Y16", "16-bit Greyscale", Chroma::Mono, 16, kLow, 2, 1, 1, kGreyChannel},
    {V4L2_PIX_FMT_RGB24, "RGB3", "24-bit RGB 8-8-8", Chroma::Rgb, 8, kLow, 1, 1, 1, kTriples},
    {V4L2_PIX_FMT_BGR24, "BGR3", "24-bit BGR 8-8-8", Chroma::Rgb, 8, kLow, 1, 1, 1, kBackwards},
    {V4L2_PIX_FMT_XBGR32, "XR24", "32-bit BGRX 8-8-8-8", Chroma::Rgb, 8, kLow, 1, 1, 1, kBackwardsPadded},
    {V4L2_PIX_FMT_BGR48_12, "B312", "12-bit Depth BGR", Chroma::Rgb, 12, kHigh, 2, 1, 1, kBackwards},
    {V4L2_PIX_FMT_RGB48, "RGB6", "48-bit RGB 16-16-16", Chroma::Rgb, 16, kHigh, 2, 1, 1, kTriples},
};

constexpr uint32_t alignUp(uint32_t value, uint32_t step) { return (value + step - 1) / step * step; }

/// The depth of the formats that hold frames of `sampling` with the fewest bits to spare; 0 if none does.
unsigned exactDepth(const Sampling& sampling) {
    unsigned best = 0;
    for (const RawFormat& raw : kRaw) {
        const bool holds =
            raw.bitDepth == sampling.bitDepth || (raw.bitDepth >= sampling.significantBits() && raw.bits == kHigh);
        if (raw.chroma == carrierOf(sampling.chroma) && holds && (best == 0 || raw.bitDepth < best)) best = raw.bitDepth;
    }
    return best;
}

}  // namespace

std::span<const CodedFormat> codedFormats() { return kCoded; }
std::span<const CodedFormat> unitFormats() { return kUnits; }
std::span<const RawFormat> rawFormats() { return kRaw; }

bool isListed(const CodedFormat& coded) {
    constexpr uint32_t kUnlisted[] = {V4L2_PIX_FMT_MPEG1, V4L2_PIX_FMT_SPK, V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_JPEG};
    return std::ranges::find(kUnlisted, coded.fourcc) == std::end(kUnlisted);
}

const CodedFormat* findCoded(uint32_t fourcc) {
    for (const auto formats : {codedFormats(), unitFormats()})
        if (const auto row = std::ranges::find(formats, fourcc, &CodedFormat::fourcc); row != formats.end()) return &*row;
    return nullptr;
}

const CodedFormat* findCoded(Codec codec) {
    const auto* row = std::ranges::find(kCoded, codec, &CodedFormat::codec);
    return row == std::end(kCoded) ? nullptr : row;
}

const RawFormat* findRaw(uint32_t fourcc) {
    const auto* row = std::ranges::find(kRaw, fourcc, &RawFormat::fourcc);
    return row == std::end(kRaw) ? nullptr : row;
}

const char* nameOf(Chroma chroma) {
    switch (chroma) {
        case Chroma::Mono:
            return "grey";
        case Chroma::Yuv420:
            return "4:2:0";
        case Chroma::Yuv422:
            return "4:2:2";
        case Chroma::Yuv444:
            return "4:4:4";
        case Chroma::Yuv440:
            return "4:4:0";
        case Chroma::Yuv411:
            return "4:1:1";
        case Chroma::Rgb:
            return "RGB";
        case Chroma::Other:
            break;
    }
    return "other";
}

Fit fitOf(const RawFormat& format, const Sampling& sampling) {
    constexpr unsigned kReducedDepth = 8;
    const unsigned exact = exactDepth(sampling);
    if (exact == 0 || format.chroma != carrierOf(sampling.chroma)) return Fit::None;
    if (format.bitDepth == exact && (exact == sampling.bitDepth || format.bits == kHigh)) return Fit::Exact;
    return format.bitDepth == kReducedDepth ? Fit::Reduced : Fit::None;
}

std::vector<const RawFormat*> formatsFor(const Sampling& sampling) {
    std::vector<const RawFormat*> found;
    for (const Fit fit : {Fit::Exact, Fit::Reduced})
        for (const RawFormat& raw : kRaw)
            if (fitOf(raw, sampling) == fit) found.push_back(&raw);
    return found;
}

FrameLayout layoutOf(const RawFormat& format, uint32_t width, uint32_t height) {
    FrameLayout layout;
    layout.width = width;
    layout.height = height;
    layout.memoryPlanes = format.memoryPlanes;
    layout.components = format.colorPlanes;

    const ChromaShift shift = shiftOf(format.chroma);
    const auto share = [](uint32_t size, unsigned by) { return (size + (1U << by) - 1) >> by; };
    const uint32_t lumaBytes = width * format.channels[0].step * format.sampleBytes;
    // Keeps the shorter lines of a planar format's chroma multiples of 16 too.
    const uint32_t lumaStride =
        alignUp(lumaBytes, format.colorPlanes == 3 ? kStrideAlignment << std::max(shift.across, 1U) : kStrideAlignment);

    for (uint32_t i = 0; i < format.colorPlanes; ++i) {
        auto& component = layout.component[i];
        const bool chroma = i > 0;
        const uint32_t interleaved = chroma && format.colorPlanes == 2 ? 2 : 1;
        component.width = chroma ? share(width, shift.across) * interleaved * format.sampleBytes : lumaBytes;
        component.height = chroma ? share(height, shift.down) : height;
        component.stride = chroma ? (lumaStride >> shift.across) * interleaved : lumaStride;
        component.memoryPlane = format.memoryPlanes == 1 ? 0 : i;
        component.offset = layout.sizeImage[component.memoryPlane];
        if (layout.bytesPerLine[component.memoryPlane] == 0)
            layout.bytesPerLine[component.memoryPlane] = static_cast<uint32_t>(component.stride);
        layout.sizeImage[component.memoryPlane] += static_cast<uint32_t>(component.stride * component.height);
    }
    return layout;
}

uint32_t codedSizeImage(uint32_t width, uint32_t height) {
    // An access unit of a lossless intra frame can reach the raw 8-bit 4:2:0 size; small frames get room for headers.
    constexpr uint32_t kSmallest = 1U << 20;
    return std::max(kSmallest, alignUp(width * height / 2 * 3, 4096));
}

std::string fourccName(uint32_t fourcc) {
    std::string name;
    for (int shift = 0; shift < 32; shift += 8) {
        const auto letter = static_cast<unsigned char>(fourcc >> shift);
        name += std::isprint(letter) ? static_cast<char>(letter) : '.';
    }
    while (name.size() > 1 && name.back() == ' ') name.pop_back();
    return name;
}

}  // namespace daedalus::v4l2
