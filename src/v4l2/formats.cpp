#include "daedalus/v4l2/formats.h"

#include <algorithm>
#include <cctype>

#include "daedalus/v4l2/listing.h"

namespace daedalus::v4l2 {
namespace {

constexpr uint32_t kStrideAlignment = 16;

constexpr uint32_t kStream = V4L2_FMT_FLAG_COMPRESSED | V4L2_FMT_FLAG_DYN_RESOLUTION;

constexpr Sampling k420 = {Chroma::Yuv420, 8};
constexpr Sampling k422 = {Chroma::Yuv422, 8};
constexpr Sampling k444 = {Chroma::Yuv444, 8};
constexpr Sampling kGrey = {Chroma::Mono, 8};
constexpr Sampling k420Deep10 = {Chroma::Yuv420, 10};
constexpr Sampling k420Deep12 = {Chroma::Yuv420, 12};

constexpr Sampling kOf420[] = {k420};
constexpr Sampling kOfMpeg2[] = {k420, k422};
constexpr Sampling kOfJpeg[] = {k420, k422, k444, kGrey};
constexpr Sampling kOfH264[] = {k420, k422, k444, k420Deep10};
constexpr Sampling kOfHevc[] = {k420, k422, k444, kGrey, k420Deep10, k420Deep12};
constexpr Sampling kOfVp9[] = {k420, k422, k444, k420Deep10, k420Deep12};

constexpr CodedFormat kCoded[] = {
    {V4L2_PIX_FMT_H264, Codec::H264, "h264", "H.264", kStream, kOfH264},
    {V4L2_PIX_FMT_HEVC, Codec::Hevc, "hevc", "HEVC", kStream, kOfHevc},
    {V4L2_PIX_FMT_VP8, Codec::Vp8, "vp8", "VP8", kStream, kOf420},
    {V4L2_PIX_FMT_VP9, Codec::Vp9, "vp9", "VP9", kStream, kOfVp9},
    {V4L2_PIX_FMT_AV1, Codec::Av1, "av1", "AV1 OBU Stream", kStream, kOfVp9},
    {V4L2_PIX_FMT_MPEG2, Codec::Mpeg2, "mpeg2", "MPEG-2 ES", kStream, kOfMpeg2},
    {V4L2_PIX_FMT_MPEG1, Codec::Mpeg1, "mpeg1", "MPEG-1 ES", kStream, kOf420},
    {V4L2_PIX_FMT_MPEG4, Codec::Mpeg4, "mpeg4", "MPEG-4 Part 2 ES", kStream, kOf420},
    {V4L2_PIX_FMT_XVID, Codec::Xvid, "xvid", "Xvid", kStream, kOf420},
    {V4L2_PIX_FMT_H263, Codec::H263, "h263", "H.263", kStream, kOf420},
    {V4L2_PIX_FMT_VC1_ANNEX_G, Codec::Vc1G, "vc1", "VC-1 (SMPTE 412M Annex G)", kStream, kOf420},
    {V4L2_PIX_FMT_VC1_ANNEX_L, Codec::Vc1L, "vc1l", "VC-1 (SMPTE 412M Annex L)", kStream, kOf420},
    {V4L2_PIX_FMT_SPK, Codec::Flv1, "flv1", "Sorenson Spark", kStream, kOf420},
    {V4L2_PIX_FMT_MJPEG, Codec::Mjpeg, "mjpeg", "Motion-JPEG", kStream, kOfJpeg},
    {V4L2_PIX_FMT_JPEG, Codec::Mjpeg, "jpeg", "JFIF JPEG", kStream, kOfJpeg},
};

// The descriptions are those of kernels before 6.2 (later ones say UV for CbCr): all versions of v4l2-compliance take them.
// fourcc, name, description, chroma, depth, bytes per sample, memory planes, colour planes
constexpr RawFormat kRaw[] = {
    {V4L2_PIX_FMT_NV12, "NV12", "Y/CbCr 4:2:0", Chroma::Yuv420, 8, 1, 1, 2},
    {V4L2_PIX_FMT_NV12M, "NV12M", "Y/CbCr 4:2:0 (N-C)", Chroma::Yuv420, 8, 1, 2, 2},
    {V4L2_PIX_FMT_YUV420, "YU12", "Planar YUV 4:2:0", Chroma::Yuv420, 8, 1, 1, 3},
    {V4L2_PIX_FMT_YUV420M, "YM12", "Planar YUV 4:2:0 (N-C)", Chroma::Yuv420, 8, 1, 3, 3},
    {V4L2_PIX_FMT_P010, "P010", "10-bit Y/CbCr 4:2:0", Chroma::Yuv420, 10, 2, 1, 2},
    {V4L2_PIX_FMT_P012, "P012", "12-bit Y/CbCr 4:2:0", Chroma::Yuv420, 12, 2, 1, 2},
    {V4L2_PIX_FMT_NV16, "NV16", "Y/CbCr 4:2:2", Chroma::Yuv422, 8, 1, 1, 2},
    {V4L2_PIX_FMT_YUV422P, "422P", "Planar YUV 4:2:2", Chroma::Yuv422, 8, 1, 1, 3},
    {V4L2_PIX_FMT_YUV422M, "YM16", "Planar YUV 4:2:2 (N-C)", Chroma::Yuv422, 8, 1, 3, 3},
    {V4L2_PIX_FMT_NV24, "NV24", "Y/CbCr 4:4:4", Chroma::Yuv444, 8, 1, 1, 2},
    {V4L2_PIX_FMT_YUV444M, "YM24", "Planar YUV 4:4:4 (N-C)", Chroma::Yuv444, 8, 1, 3, 3},
    {V4L2_PIX_FMT_GREY, "GREY", "8-bit Greyscale", Chroma::Mono, 8, 1, 1, 1},
};

constexpr uint32_t alignUp(uint32_t value, uint32_t step) { return (value + step - 1) / step * step; }

bool halfWidth(Chroma chroma) { return chroma == Chroma::Yuv420 || chroma == Chroma::Yuv422; }

}  // namespace

std::span<const CodedFormat> codedFormats() { return kCoded; }
std::span<const RawFormat> rawFormats() { return kRaw; }

bool isListed(const CodedFormat& coded) {
    constexpr uint32_t kUnlisted[] = {V4L2_PIX_FMT_MPEG1, V4L2_PIX_FMT_SPK, V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_JPEG};
    return std::ranges::find(kUnlisted, coded.fourcc) == std::end(kUnlisted);
}

const CodedFormat* findCoded(uint32_t fourcc) {
    const auto* row = std::ranges::find(kCoded, fourcc, &CodedFormat::fourcc);
    return row == std::end(kCoded) ? nullptr : row;
}

const CodedFormat* findCoded(Codec codec) {
    const auto* row = std::ranges::find(kCoded, codec, &CodedFormat::codec);
    return row == std::end(kCoded) ? nullptr : row;
}

const RawFormat* findRaw(uint32_t fourcc) {
    const auto* row = std::ranges::find(kRaw, fourcc, &RawFormat::fourcc);
    return row == std::end(kRaw) ? nullptr : row;
}

bool fits(const RawFormat& format, Chroma chroma, unsigned bitDepth) {
    return format.chroma == chroma && format.bitDepth == bitDepth;
}

FrameLayout layoutOf(const RawFormat& format, uint32_t width, uint32_t height) {
    FrameLayout layout;
    layout.width = width;
    layout.height = height;
    layout.memoryPlanes = format.memoryPlanes;
    layout.components = format.colorPlanes;

    const bool halfAcross = halfWidth(format.chroma);
    const bool halfDown = format.chroma == Chroma::Yuv420;
    const uint32_t chromaLines = halfDown ? (height + 1) / 2 : height;
    // 32 keeps a planar format's half line a multiple of 16 too.
    const uint32_t lumaStride =
        alignUp(width * format.sampleBytes, format.colorPlanes == 3 ? 2 * kStrideAlignment : kStrideAlignment);

    for (uint32_t i = 0; i < format.colorPlanes; ++i) {
        auto& component = layout.component[i];
        const bool chroma = i > 0;
        const bool interleaved = chroma && format.colorPlanes == 2;
        const uint32_t samples = !chroma ? width : (halfAcross ? (width + 1) / 2 : width) * (interleaved ? 2 : 1);
        component.width = samples * format.sampleBytes;
        component.height = chroma ? chromaLines : height;
        component.stride = !chroma ? lumaStride : (halfAcross ? lumaStride / 2 : lumaStride) * (interleaved ? 2 : 1);
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
