// What a unit's controls say of the picture before it is decoded.
#include <algorithm>

#include "daedalus/codec/picture_decoder.h"

namespace daedalus::codec {
namespace {

using v4l2::Chroma;
using v4l2::Codec;

std::vector<uint64_t> ofVp8(const v4l2_ctrl_vp8_frame& frame) {
    if ((frame.flags & V4L2_VP8_FRAME_FLAG_KEY_FRAME) != 0) return {};
    return {frame.last_frame_ts, frame.golden_frame_ts, frame.alt_frame_ts};
}

std::vector<uint64_t> ofVp9(const v4l2_ctrl_vp9_frame& frame) {
    if ((frame.flags & (V4L2_VP9_FRAME_FLAG_KEY_FRAME | V4L2_VP9_FRAME_FLAG_INTRA_ONLY)) != 0) return {};
    return {frame.last_frame_ts, frame.golden_frame_ts, frame.alt_frame_ts};
}

std::vector<uint64_t> ofMpeg2(const v4l2_ctrl_mpeg2_picture& picture) {
    // The second field of a frame may refer to the first, and its client names what the frame refers to, or nothing.
    if (picture.picture_coding_type == V4L2_MPEG2_PIC_CODING_TYPE_P) return {picture.forward_ref_ts};
    if (picture.picture_coding_type == V4L2_MPEG2_PIC_CODING_TYPE_B) return {picture.forward_ref_ts, picture.backward_ref_ts};
    return {};
}

std::vector<uint64_t> ofH264(const v4l2_ctrl_h264_decode_params& params) {
    constexpr uint32_t kNeeded = V4L2_H264_DPB_ENTRY_FLAG_VALID | V4L2_H264_DPB_ENTRY_FLAG_ACTIVE;
    std::vector<uint64_t> timestamps;
    for (const auto& entry : params.dpb)
        if ((entry.flags & kNeeded) == kNeeded) timestamps.push_back(entry.reference_ts);
    return timestamps;
}

Chroma chromaOf(unsigned idc) {
    constexpr Chroma kChromas[] = {Chroma::Mono, Chroma::Yuv420, Chroma::Yuv422, Chroma::Yuv444};
    return kChromas[std::min(idc, 3U)];
}

v4l2::Sampling ofH264(const v4l2_ctrl_h264_sps& sps) {
    // 4:0:0 comes as 4:2:0, and before any was set it stands for nothing that was said.
    const Chroma chroma = chromaOf(sps.chroma_format_idc);
    return {chroma == Chroma::Mono ? Chroma::Yuv420 : chroma, static_cast<uint8_t>(8 + sps.bit_depth_luma_minus8)};
}

v4l2::Sampling ofVp9Frame(const v4l2_ctrl_vp9_frame& frame) {
    const bool across = (frame.flags & V4L2_VP9_FRAME_FLAG_X_SUBSAMPLING) != 0;
    const bool down = (frame.flags & V4L2_VP9_FRAME_FLAG_Y_SUBSAMPLING) != 0;
    const Chroma chroma = across ? (down ? Chroma::Yuv420 : Chroma::Yuv422) : (down ? Chroma::Yuv440 : Chroma::Yuv444);
    return {chroma, frame.bit_depth};
}

constexpr uint32_t kMacroblock = 16;

}  // namespace

std::vector<uint64_t> referencesOf(Codec codec, const v4l2::ControlValues& controls) {
    switch (codec) {
        case Codec::Vp8:
            return ofVp8(controls.get<v4l2_ctrl_vp8_frame>(V4L2_CID_STATELESS_VP8_FRAME));
        case Codec::Vp9:
            return ofVp9(controls.get<v4l2_ctrl_vp9_frame>(V4L2_CID_STATELESS_VP9_FRAME));
        case Codec::Mpeg2:
            return ofMpeg2(controls.get<v4l2_ctrl_mpeg2_picture>(V4L2_CID_STATELESS_MPEG2_PICTURE));
        case Codec::H264:
            return ofH264(controls.get<v4l2_ctrl_h264_decode_params>(V4L2_CID_STATELESS_H264_DECODE_PARAMS));
        default:
            return {};
    }
}

uint32_t mandatoryControl(Codec codec) {
    switch (codec) {
        case Codec::Vp8:
            return V4L2_CID_STATELESS_VP8_FRAME;
        case Codec::Vp9:
            return V4L2_CID_STATELESS_VP9_FRAME;
        case Codec::Mpeg2:
            return V4L2_CID_STATELESS_MPEG2_PICTURE;
        case Codec::H264:
            return V4L2_CID_STATELESS_H264_DECODE_PARAMS;
        default:
            return 0;
    }
}

v4l2::Sampling samplingOf(Codec codec, const v4l2::ControlValues& controls) {
    constexpr v4l2::Sampling kUsual = {Chroma::Yuv420, 8};
    switch (codec) {
        case Codec::Vp9:
            return controls.has(V4L2_CID_STATELESS_VP9_FRAME)
                       ? ofVp9Frame(controls.get<v4l2_ctrl_vp9_frame>(V4L2_CID_STATELESS_VP9_FRAME))
                       : kUsual;
        case Codec::Mpeg2:
            return controls.has(V4L2_CID_STATELESS_MPEG2_SEQUENCE)
                       ? v4l2::Sampling{chromaOf(controls.get<v4l2_ctrl_mpeg2_sequence>(V4L2_CID_STATELESS_MPEG2_SEQUENCE)
                                                     .chroma_format),
                                        8}
                       : kUsual;
        case Codec::H264:
            return ofH264(controls.get<v4l2_ctrl_h264_sps>(V4L2_CID_STATELESS_H264_SPS));
        default:
            return kUsual;
    }
}

std::optional<PictureSize> sizeOf(Codec codec, const v4l2::ControlValues& controls) {
    if (codec != Codec::H264) return std::nullopt;
    const auto sps = controls.get<v4l2_ctrl_h264_sps>(V4L2_CID_STATELESS_H264_SPS);
    if (sps.profile_idc == 0) return std::nullopt;
    const uint32_t rows = (sps.flags & V4L2_H264_SPS_FLAG_FRAME_MBS_ONLY) != 0 ? 1 : 2;
    return PictureSize{(sps.pic_width_in_mbs_minus1 + 1U) * kMacroblock,
                       (sps.pic_height_in_map_units_minus1 + 1U) * kMacroblock * rows};
}

}  // namespace daedalus::codec
