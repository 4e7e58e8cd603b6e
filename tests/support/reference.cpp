#include "reference.h"

extern "C" {
#include <libavutil/imgutils.h>
#include <libavutil/md5.h>
}

#include <array>
#include <cstring>

#include "av_owned.h"

namespace daedalus::test {
namespace {

AVCodecID idOf(v4l2::Codec codec) {
    switch (codec) {
        case v4l2::Codec::H264:
            return AV_CODEC_ID_H264;
        case v4l2::Codec::Hevc:
            return AV_CODEC_ID_HEVC;
        case v4l2::Codec::Vp8:
            return AV_CODEC_ID_VP8;
        case v4l2::Codec::Vp9:
            return AV_CODEC_ID_VP9;
        case v4l2::Codec::Av1:
            return AV_CODEC_ID_AV1;
        case v4l2::Codec::Mpeg2:
            return AV_CODEC_ID_MPEG2VIDEO;
        case v4l2::Codec::Mpeg1:
            return AV_CODEC_ID_MPEG1VIDEO;
        case v4l2::Codec::Mpeg4:
        case v4l2::Codec::Xvid:
            return AV_CODEC_ID_MPEG4;
        case v4l2::Codec::H263:
            return AV_CODEC_ID_H263;
        case v4l2::Codec::Flv1:
            return AV_CODEC_ID_FLV1;
        case v4l2::Codec::Mjpeg:
            return AV_CODEC_ID_MJPEG;
        case v4l2::Codec::Vc1G:
            return AV_CODEC_ID_VC1;
        case v4l2::Codec::Vc1L:
            return AV_CODEC_ID_WMV3;
    }
    return AV_CODEC_ID_NONE;
}

std::string visibleMd5(const AVFrame* frame) {
    const auto format = static_cast<AVPixelFormat>(frame->format);
    const int size = av_image_get_buffer_size(format, frame->width, frame->height, 1);
    if (size < 0) return {};
    std::vector<std::byte> packed(static_cast<size_t>(size));
    av_image_copy_to_buffer(reinterpret_cast<uint8_t*>(packed.data()), size, frame->data, frame->linesize, format, frame->width,
                            frame->height, 1);
    return md5(packed);
}

}  // namespace

std::string md5(std::span<const std::byte> bytes) {
    std::array<uint8_t, 16> sum{};
    av_md5_sum(sum.data(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    std::string hex;
    for (const uint8_t byte : sum) {
        constexpr const char* kDigits = "0123456789abcdef";
        hex += kDigits[byte >> 4];
        hex += kDigits[byte & 15];
    }
    return hex;
}

std::vector<ReferenceFrame> referenceFrames(v4l2::Codec codec, std::span<const AccessUnit> units) {
    std::vector<ReferenceFrame> frames;
    const AVCodec* decoder = codec == v4l2::Codec::Av1 ? avcodec_find_decoder_by_name("libdav1d") : nullptr;
    if (!decoder) decoder = avcodec_find_decoder(idOf(codec));
    if (!decoder) return frames;
    const Owned<AVCodecContext> context(avcodec_alloc_context3(decoder));
    const Owned<AVFrame> frame(av_frame_alloc());
    const Owned<AVPacket> packet(av_packet_alloc());
    context->thread_count = 1;
    // Without this FFmpeg drops left crops that would misalign its lines.
    context->flags |= AV_CODEC_FLAG_UNALIGNED;
    if (codec == v4l2::Codec::Xvid) context->codec_tag = MKTAG('X', 'V', 'I', 'D');
    if (avcodec_open2(context.get(), decoder, nullptr) < 0) return frames;
    const auto receiveAll = [&] {
        while (avcodec_receive_frame(context.get(), frame.get()) >= 0)
            frames.push_back(
                {static_cast<uint32_t>(frame->width), static_cast<uint32_t>(frame->height), visibleMd5(frame.get())});
    };
    for (const AccessUnit& unit : units) {
        if (av_new_packet(packet.get(), static_cast<int>(unit.bytes.size())) < 0) return frames;
        std::memcpy(packet->data, unit.bytes.data(), unit.bytes.size());
        static_cast<void>(avcodec_send_packet(context.get(), packet.get()));
        av_packet_unref(packet.get());
        receiveAll();
    }
    static_cast<void>(avcodec_send_packet(context.get(), nullptr));
    receiveAll();
    return frames;
}

std::vector<std::string> referenceMd5(v4l2::Codec codec, std::span<const AccessUnit> units) {
    std::vector<std::string> sums;
    for (ReferenceFrame& frame : referenceFrames(codec, units)) sums.push_back(std::move(frame.md5));
    return sums;
}

}  // namespace daedalus::test
