// Every pixel layout that libavcodec's decoders give, in every raw format that takes it.
extern "C" {
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
}

#include <catch2/catch.hpp>
#include <functional>
#include <numeric>
#include <random>

#include "codec_support.h"
#include "src/codec/ffmpeg/frame.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

/// A frame of noise, as large as the samples allow.
codec::ffmpeg::FramePtr noise(AVPixelFormat pixels, int width, int height) {
    codec::ffmpeg::FramePtr frame(av_frame_alloc());
    frame->format = pixels;
    frame->width = width;
    frame->height = height;
    REQUIRE(av_frame_get_buffer(frame.get(), 0) == 0);
    const AVPixFmtDescriptor& description = *av_pix_fmt_desc_get(pixels);
    const unsigned depth = static_cast<unsigned>(description.comp[0].depth);
    std::mt19937 random(7);
    for (int plane = 0; plane < av_pix_fmt_count_planes(pixels); ++plane) {
        const bool chroma = plane == 1 || plane == 2;
        const int lines = chroma ? AV_CEIL_RSHIFT(height, description.log2_chroma_h) : height;
        for (int y = 0; y < lines; ++y) {
            uint8_t* line = frame->data[plane] + ptrdiff_t{y} * frame->linesize[plane];
            for (int x = 0; x < frame->linesize[plane] / (depth > 8 ? 2 : 1); ++x) {
                if (depth > 8)
                    reinterpret_cast<uint16_t*>(line)[x] = static_cast<uint16_t>(random() & ((1U << depth) - 1));
                else
                    line[x] = static_cast<uint8_t>(random());
            }
        }
    }
    return frame;
}

/// Puts `change` of each sample of two bytes in its place.
void forEachWord(AVFrame& frame, const std::function<unsigned(unsigned)>& change) {
    const AVPixFmtDescriptor& description = *av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
    for (int plane = 0; plane < description.nb_components; ++plane) {
        const int lines = plane ? AV_CEIL_RSHIFT(frame.height, description.log2_chroma_h) : frame.height;
        auto* words = reinterpret_cast<uint16_t*>(frame.data[plane]);
        for (int i = 0; i < lines * frame.linesize[plane] / 2; ++i) words[i] = static_cast<uint16_t>(change(words[i]));
    }
}

/// The frame's samples, plane after plane without padding, as framemd5 takes them.
std::vector<std::byte> packed(const AVFrame& frame) {
    const auto pixels = static_cast<AVPixelFormat>(frame.format);
    std::vector<std::byte> bytes(static_cast<size_t>(av_image_get_buffer_size(pixels, frame.width, frame.height, 1)));
    REQUIRE(av_image_copy_to_buffer(reinterpret_cast<uint8_t*>(bytes.data()), static_cast<int>(bytes.size()), frame.data,
                                    frame.linesize, pixels, frame.width, frame.height, 1) > 0);
    return bytes;
}

/// The 8 high bits of samples of `depth` bits in two bytes each.
std::vector<std::byte> highBits(const std::vector<std::byte>& samples, unsigned depth) {
    std::vector<std::byte> high;
    for (size_t i = 0; i + 1 < samples.size(); i += 2) {
        const auto sample = std::to_integer<unsigned>(samples[i]) | std::to_integer<unsigned>(samples[i + 1]) << 8;
        high.push_back(static_cast<std::byte>(sample >> (depth - 8)));
    }
    return high;
}

struct Case {
    AVPixelFormat pixels;
    std::vector<uint32_t> exact;  ///< in ENUM_FMT's order
    size_t reduced;               ///< how many formats of 8 bits follow
};

const std::vector<uint32_t> k420 = {V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_NV12M, V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_YUV420M};
const std::vector<uint32_t> k422 = {V4L2_PIX_FMT_NV16, V4L2_PIX_FMT_NV16M, V4L2_PIX_FMT_YUV422P, V4L2_PIX_FMT_YUV422M};
const std::vector<uint32_t> k444 = {V4L2_PIX_FMT_NV24, V4L2_PIX_FMT_YUV444M};
const std::vector<uint32_t> kRgb = {V4L2_PIX_FMT_RGB24, V4L2_PIX_FMT_BGR24, V4L2_PIX_FMT_XBGR32};

const Case kCases[] = {
    {AV_PIX_FMT_YUV420P, k420, 0},
    {AV_PIX_FMT_YUVJ420P, k420, 0},
    {AV_PIX_FMT_YUV420P9, {V4L2_PIX_FMT_P010}, 4},
    {AV_PIX_FMT_YUV420P10, {V4L2_PIX_FMT_P010}, 4},
    {AV_PIX_FMT_YUV420P12, {V4L2_PIX_FMT_P012, V4L2_PIX_FMT_P012M}, 4},
    {AV_PIX_FMT_YUV422P, k422, 0},
    {AV_PIX_FMT_YUVJ422P, k422, 0},
    {AV_PIX_FMT_YUV422P9, {V4L2_PIX_FMT_Y210}, 4},
    {AV_PIX_FMT_YUV422P10, {V4L2_PIX_FMT_Y210}, 4},
    {AV_PIX_FMT_YUV422P12, {V4L2_PIX_FMT_Y212}, 4},
    {AV_PIX_FMT_YUV422P14, {V4L2_PIX_FMT_Y216}, 4},
    {AV_PIX_FMT_YUV444P, k444, 0},
    {AV_PIX_FMT_YUVJ444P, k444, 0},
    {AV_PIX_FMT_YUV444P9, {V4L2_PIX_FMT_YUV48_12}, 2},
    {AV_PIX_FMT_YUV444P10, {V4L2_PIX_FMT_YUV48_12}, 2},
    {AV_PIX_FMT_YUV444P12, {V4L2_PIX_FMT_YUV48_12}, 2},
    {AV_PIX_FMT_YUV440P, k444, 0},
    {AV_PIX_FMT_YUVJ440P, k444, 0},
    {AV_PIX_FMT_YUV440P10, {V4L2_PIX_FMT_YUV48_12}, 2},
    {AV_PIX_FMT_YUV440P12, {V4L2_PIX_FMT_YUV48_12}, 2},
    {AV_PIX_FMT_YUV411P, {V4L2_PIX_FMT_YUV411P}, 0},
    {AV_PIX_FMT_YUVJ411P, {V4L2_PIX_FMT_YUV411P}, 0},
    {AV_PIX_FMT_GRAY8, {V4L2_PIX_FMT_GREY}, 0},
    {AV_PIX_FMT_GRAY9, {V4L2_PIX_FMT_Y012}, 1},
    {AV_PIX_FMT_GRAY10, {V4L2_PIX_FMT_Y10}, 1},
    {AV_PIX_FMT_GRAY12, {V4L2_PIX_FMT_Y12, V4L2_PIX_FMT_Y012}, 1},
    {AV_PIX_FMT_GRAY16, {V4L2_PIX_FMT_Y16}, 1},
    {AV_PIX_FMT_GBRP, kRgb, 0},
    {AV_PIX_FMT_GBRP9, {V4L2_PIX_FMT_BGR48_12}, 3},
    {AV_PIX_FMT_GBRP10, {V4L2_PIX_FMT_BGR48_12}, 3},
    {AV_PIX_FMT_GBRP12, {V4L2_PIX_FMT_BGR48_12}, 3},
    {AV_PIX_FMT_GBRP14, {V4L2_PIX_FMT_RGB48}, 3},
};

}  // namespace

TEST_CASE("every pixel layout comes exact, or with its 8 high bits, in all formats that take it") {
    const Case& each = GENERATE(from_range(std::begin(kCases), std::end(kCases)));
    const auto [width, height] = GENERATE(std::pair{64, 32}, std::pair{37, 23}, std::pair{2, 2}, std::pair{1, 1});
    CAPTURE(av_get_pix_fmt_name(each.pixels), width, height);
    auto source = noise(each.pixels, width, height);
    const auto native = packed(*source);
    const auto format = codec::ffmpeg::formatOf(*source, {});
    REQUIRE(format);
    const auto frame = codec::ffmpeg::makeFrame(std::move(source), *format, 0);

    const auto offered = v4l2::formatsFor(format->sampling());
    REQUIRE(offered.size() == each.exact.size() + each.reduced);
    for (size_t i = 0; i < offered.size(); ++i) {
        CAPTURE(offered[i]->name);
        const bool exact = i < each.exact.size();
        if (exact) CHECK(offered[i]->fourcc == each.exact[i]);
        CHECK(v4l2::fitOf(*offered[i], format->sampling()) == (exact ? v4l2::Fit::Exact : v4l2::Fit::Reduced));
        CaptureMemory memory(*offered[i], format->codedWidth, format->codedHeight);
        REQUIRE(frame->copyTo(memory.target));
        CHECK(visibleSamples(memory, *format) == (exact ? native : highBits(native, format->bitDepth)));
    }
}

TEST_CASE("zeros below the bits of 16 need no room") {
    const auto [pixels, exact, reduced] = GENERATE(
        table<AVPixelFormat, std::vector<uint32_t>, size_t>({{AV_PIX_FMT_YUV420P16, {V4L2_PIX_FMT_P012, V4L2_PIX_FMT_P012M}, 4},
                                                             {AV_PIX_FMT_YUV422P16, {V4L2_PIX_FMT_Y212}, 4},
                                                             {AV_PIX_FMT_YUV444P16, {V4L2_PIX_FMT_YUV48_12}, 2},
                                                             {AV_PIX_FMT_GRAY16, {V4L2_PIX_FMT_Y012}, 1}}));
    CAPTURE(av_get_pix_fmt_name(pixels));
    constexpr unsigned kZeroBits = 4;
    auto source = noise(pixels, 38, 22);
    forEachWord(*source, [](unsigned word) { return word >> kZeroBits; });
    const auto twelveBits = packed(*source);
    forEachWord(*source, [](unsigned word) { return word << kZeroBits; });
    const auto native = packed(*source);
    auto format = codec::ffmpeg::formatOf(*source, {});
    REQUIRE(format);
    format->zeroBits = kZeroBits;
    const auto frame = codec::ffmpeg::makeFrame(std::move(source), *format, 0);
    const auto offered = v4l2::formatsFor(format->sampling());
    REQUIRE(offered.size() == exact.size() + reduced);
    for (size_t i = 0; i < offered.size(); ++i) {
        CAPTURE(offered[i]->name);
        if (i < exact.size()) CHECK(offered[i]->fourcc == exact[i]);
        CaptureMemory memory(*offered[i], format->codedWidth, format->codedHeight);
        REQUIRE(frame->copyTo(memory.target));
        CHECK(visibleSamples(memory, *format) == (i < exact.size() ? twelveBits : highBits(native, format->bitDepth)));
    }
}

TEST_CASE("each chroma line of 4:4:0 is given for both of its luma lines") {
    auto source = noise(AV_PIX_FMT_YUV440P, 16, 7);
    const auto format = codec::ffmpeg::formatOf(*source, {});
    REQUIRE(format);
    const auto frame = codec::ffmpeg::makeFrame(std::move(source), *format, 0);
    for (const uint32_t fourcc : k444) {
        CaptureMemory memory(*v4l2::findRaw(fourcc), 16, 8);
        REQUIRE(frame->copyTo(memory.target));
        for (const auto& channel : memory.target.format->channels.subspan(1))
            for (int x = 0; x < 16; ++x)
                for (int y = 0; y < 8; y += 2) CHECK(wordAt(memory, channel, x, y) == wordAt(memory, channel, x, y + 1));
    }
}

TEST_CASE("padding of whole pixels is opaque") {
    auto source = noise(AV_PIX_FMT_GBRP, 8, 4);
    const auto format = codec::ffmpeg::formatOf(*source, {});
    REQUIRE(format);
    const auto frame = codec::ffmpeg::makeFrame(std::move(source), *format, 0);
    CaptureMemory memory(*v4l2::findRaw(V4L2_PIX_FMT_XBGR32), 8, 4);
    REQUIRE(frame->copyTo(memory.target));
    for (int x = 0; x < 8; ++x) CHECK(wordAt(memory, {0, 3, 4}, x, 3) == 0xFF);
}

TEST_CASE("pixel layouts without a raw format are said and refused") {
    for (const auto pixels :
         {AV_PIX_FMT_YUV410P, AV_PIX_FMT_YUV420P14, AV_PIX_FMT_YUV444P14, AV_PIX_FMT_YUVA420P, AV_PIX_FMT_GBRAP,
          AV_PIX_FMT_NV12, AV_PIX_FMT_BGR24, AV_PIX_FMT_YUV420P10BE, AV_PIX_FMT_YUYV422}) {
        CAPTURE(av_get_pix_fmt_name(pixels));
        auto source = noise(pixels, 16, 16);
        const auto format = codec::ffmpeg::formatOf(*source, {});
        REQUIRE(format);
        CHECK(v4l2::formatsFor(format->sampling()).empty());
        const auto frame = codec::ffmpeg::makeFrame(std::move(source), *format, 0);
        for (const v4l2::RawFormat& raw : v4l2::rawFormats()) {
            CaptureMemory memory(raw, 16, 16);
            CHECK(frame->copyTo(memory.target).error().value == EINVAL);
        }
    }
}

TEST_CASE("lines of chroma take their share of a luma line, and the planes follow one another") {
    for (const v4l2::RawFormat& raw : v4l2::rawFormats()) {
        CAPTURE(raw.name);
        const auto layout = v4l2::layoutOf(raw, 322, 242);
        const v4l2::ChromaShift shift = v4l2::shiftOf(raw.chroma);
        const auto& luma = layout.component[0];
        CHECK(luma.stride % 16 == 0);
        CHECK(luma.stride >= 322UL * raw.channels[0].step * raw.sampleBytes);
        size_t end = luma.stride * luma.height;
        for (uint32_t i = 1; i < layout.components; ++i) {
            const auto& chroma = layout.component[i];
            CHECK(chroma.stride == (luma.stride >> shift.across) * (layout.components == 2 ? 2 : 1));
            CHECK(chroma.height == (242U + (1U << shift.down) - 1) >> shift.down);
            CHECK(chroma.offset == (raw.memoryPlanes == 1 ? end : 0));
            end += chroma.stride * chroma.height;
        }
        CHECK(std::accumulate(layout.sizeImage.begin(), layout.sizeImage.end(), size_t{0}) == end);
    }
}
