#include "unit_values.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "daedalus/v4l2/uapi.h"
#include "proto/follow.h"

namespace daedalus::device {
namespace {

// Defaults

/// Of ISO/IEC 13818-2, in zigzag order.
constexpr std::array<uint8_t, 64> kMpeg2Intra = {8,  16, 16, 19, 16, 19, 22, 22, 22, 22, 22, 22, 26, 24, 26, 27,
                                                 27, 27, 26, 26, 26, 26, 27, 27, 27, 29, 29, 29, 34, 34, 34, 29,
                                                 29, 29, 27, 27, 29, 29, 32, 32, 34, 34, 37, 38, 37, 35, 35, 34,
                                                 35, 38, 38, 40, 40, 40, 48, 48, 46, 46, 56, 56, 58, 69, 69, 83};
constexpr uint8_t kFlat = 16;

void setDefault(v4l2_ctrl_mpeg2_sequence& value) { value.chroma_format = 1; }
void setDefault(v4l2_ctrl_mpeg2_picture& value) {
    value.picture_structure = V4L2_MPEG2_PIC_TOP_FIELD;
    value.picture_coding_type = V4L2_MPEG2_PIC_CODING_TYPE_I;
}
void setDefault(v4l2_ctrl_mpeg2_quantisation& value) {
    std::ranges::copy(kMpeg2Intra, value.intra_quantiser_matrix);
    std::ranges::fill(value.non_intra_quantiser_matrix, kFlat);
}
void setDefault(v4l2_ctrl_vp8_frame& value) { value.num_dct_parts = 1; }
void setDefault(v4l2_ctrl_vp9_frame& value) {
    value.bit_depth = 8;
    value.flags = V4L2_VP9_FRAME_FLAG_X_SUBSAMPLING | V4L2_VP9_FRAME_FLAG_Y_SUBSAMPLING;
}
void setDefault(v4l2_ctrl_h264_scaling_matrix& value) { std::memset(&value, kFlat, sizeof value); }
template <class T>
void setDefault(T&) {}

// Validation: each returns whether the value can be.

template <class T>
bool within(T value, int64_t least, int64_t most) {
    return std::cmp_greater_equal(value, least) && std::cmp_less_equal(value, most);
}

template <class Range>
bool allWithin(const Range& range, int64_t least, int64_t most) {
    return std::ranges::all_of(range, [&](auto value) { return within(value, least, most); });
}

bool normalise(v4l2_ctrl_mpeg2_sequence& value) { return within(value.chroma_format, 1, 3); }

bool normalise(v4l2_ctrl_mpeg2_picture& value) {
    std::ranges::fill(value.reserved, __u8{0});
    return value.intra_dc_precision <= 3 && within(value.picture_structure, 1, 3) && within(value.picture_coding_type, 1, 3);
}

bool normalise(v4l2_ctrl_mpeg2_quantisation&) { return true; }

bool normalise(v4l2_ctrl_vp8_frame& value) {
    constexpr std::array<uint8_t, 4> kParts = {1, 2, 4, 8};
    value.segment.padding = 0;
    value.lf.padding = 0;
    value.quant.padding = 0;
    std::ranges::fill(value.entropy.padding, __u8{0});
    value.coder_state.padding = 0;
    return std::ranges::find(kParts, value.num_dct_parts) != kParts.end();
}

bool isSane(const v4l2_vp9_loop_filter& filter) {
    constexpr uint32_t kKnown = V4L2_VP9_LOOP_FILTER_FLAG_DELTA_ENABLED | V4L2_VP9_LOOP_FILTER_FLAG_DELTA_UPDATE;
    return (filter.flags & ~kKnown) == 0 && filter.level <= 63 && filter.sharpness <= 7 &&
           allWithin(filter.ref_deltas, -63, 63) && allWithin(filter.mode_deltas, -63, 63);
}

bool isSane(const v4l2_vp9_quantization& quantization) {
    return within(quantization.delta_q_y_dc, -15, 15) && within(quantization.delta_q_uv_dc, -15, 15) &&
           within(quantization.delta_q_uv_ac, -15, 15);
}

bool isSane(const v4l2_vp9_segmentation& segmentation) {
    constexpr uint32_t kKnown = V4L2_VP9_SEGMENTATION_FLAG_ENABLED | V4L2_VP9_SEGMENTATION_FLAG_UPDATE_MAP |
                                V4L2_VP9_SEGMENTATION_FLAG_TEMPORAL_UPDATE | V4L2_VP9_SEGMENTATION_FLAG_UPDATE_DATA |
                                V4L2_VP9_SEGMENTATION_FLAG_ABS_OR_DELTA_UPDATE;
    constexpr std::array<int64_t, V4L2_VP9_SEG_LVL_MAX> kMost = {255, 63, 3, 0};
    if ((segmentation.flags & ~kKnown) != 0) return false;
    for (size_t i = 0; i < std::size(segmentation.feature_data); ++i) {
        if ((segmentation.feature_enabled[i] & ~V4L2_VP9_SEGMENT_FEATURE_ENABLED_MASK) != 0) return false;
        for (size_t j = 0; j < kMost.size(); ++j)
            if (!within(segmentation.feature_data[i][j], -kMost[j], kMost[j])) return false;
    }
    return true;
}

bool profileFits(const v4l2_ctrl_vp9_frame& value) {
    constexpr uint32_t k420 = V4L2_VP9_FRAME_FLAG_X_SUBSAMPLING | V4L2_VP9_FRAME_FLAG_Y_SUBSAMPLING;
    const bool deep = value.profile >= 2;
    const bool depthFits = deep ? value.bit_depth == 10 || value.bit_depth == 12 : value.bit_depth == 8;
    const bool is420 = (value.flags & k420) == k420;
    return depthFits && is420 == (value.profile % 2 == 0);
}

bool normalise(v4l2_ctrl_vp9_frame& value) {
    constexpr uint32_t kKnown = V4L2_VP9_FRAME_FLAG_KEY_FRAME | V4L2_VP9_FRAME_FLAG_SHOW_FRAME |
                                V4L2_VP9_FRAME_FLAG_ERROR_RESILIENT | V4L2_VP9_FRAME_FLAG_INTRA_ONLY |
                                V4L2_VP9_FRAME_FLAG_ALLOW_HIGH_PREC_MV | V4L2_VP9_FRAME_FLAG_REFRESH_FRAME_CTX |
                                V4L2_VP9_FRAME_FLAG_PARALLEL_DEC_MODE | V4L2_VP9_FRAME_FLAG_X_SUBSAMPLING |
                                V4L2_VP9_FRAME_FLAG_Y_SUBSAMPLING | V4L2_VP9_FRAME_FLAG_COLOR_RANGE_FULL_SWING;
    constexpr uint32_t kExclusive = V4L2_VP9_FRAME_FLAG_ERROR_RESILIENT | V4L2_VP9_FRAME_FLAG_REFRESH_FRAME_CTX;
    std::ranges::fill(value.reserved, __u8{0});
    std::ranges::fill(value.lf.reserved, __u8{0});
    std::ranges::fill(value.quant.reserved, __u8{0});
    std::ranges::fill(value.seg.reserved, __u8{0});
    if ((value.flags & ~kKnown) != 0 || (value.flags & kExclusive) == kExclusive) return false;
    if (value.profile > 3 || !profileFits(value)) return false;
    if (value.reset_frame_context > 2 || value.frame_context_idx > 3 || value.interpolation_filter > 4) return false;
    if (value.tile_cols_log2 > 6 || value.reference_mode > 2) return false;
    return isSane(value.lf) && isSane(value.quant) && isSane(value.seg);
}

void clearWhatDoesNotApply(v4l2_ctrl_h264_sps& value) {
    // Of these profiles nothing is told of chroma and depth.
    if (value.profile_idc < 100) {
        value.chroma_format_idc = 1;
        value.bit_depth_luma_minus8 = 0;
        value.bit_depth_chroma_minus8 = 0;
        value.flags &= ~uint32_t{V4L2_H264_SPS_FLAG_QPPRIME_Y_ZERO_TRANSFORM_BYPASS};
    }
    constexpr uint8_t kChroma444 = 3;
    if (value.chroma_format_idc < kChroma444) value.flags &= ~uint32_t{V4L2_H264_SPS_FLAG_SEPARATE_COLOUR_PLANE};
    if ((value.flags & V4L2_H264_SPS_FLAG_FRAME_MBS_ONLY) != 0)
        value.flags &= ~uint32_t{V4L2_H264_SPS_FLAG_MB_ADAPTIVE_FRAME_FIELD};
    if (value.pic_order_cnt_type != 0) value.log2_max_pic_order_cnt_lsb_minus4 = 0;
    if (value.pic_order_cnt_type == 1) return;
    value.num_ref_frames_in_pic_order_cnt_cycle = 0;
    value.offset_for_non_ref_pic = 0;
    value.offset_for_top_to_bottom_field = 0;
    std::ranges::fill(value.offset_for_ref_frame, 0);
}

bool normalise(v4l2_ctrl_h264_sps& value) {
    clearWhatDoesNotApply(value);
    const int mostChroma = value.profile_idc < 122 ? 1 : value.profile_idc < 244 ? 2 : 3;
    return value.chroma_format_idc <= mostChroma && value.bit_depth_luma_minus8 <= 6 && value.bit_depth_chroma_minus8 <= 6 &&
           value.log2_max_frame_num_minus4 <= 12 && value.pic_order_cnt_type <= 2 &&
           value.log2_max_pic_order_cnt_lsb_minus4 <= 12 && value.max_num_ref_frames <= V4L2_H264_REF_LIST_LEN;
}

bool normalise(v4l2_ctrl_h264_pps& value) {
    // libavcodec decodes no slice groups.
    return value.num_slice_groups_minus1 == 0 && value.num_ref_idx_l0_default_active_minus1 <= 31 &&
           value.num_ref_idx_l1_default_active_minus1 <= 31 && value.weighted_bipred_idc <= 2 &&
           within(value.pic_init_qp_minus26, -62, 25) && within(value.pic_init_qs_minus26, -26, 25) &&
           within(value.chroma_qp_index_offset, -12, 12) && within(value.second_chroma_qp_index_offset, -12, 12);
}

bool normalise(v4l2_ctrl_h264_scaling_matrix&) { return true; }

bool normalise(v4l2_ctrl_h264_decode_params& value) {
    value.reserved = 0;
    for (auto& entry : value.dpb) std::ranges::fill(entry.reserved, __u8{0});
    return value.nal_ref_idc <= 3;
}

/// Calls `use` with an object of the control's struct.
template <class Use>
auto withStruct(uint32_t id, Use use) {
    switch (id) {
        case V4L2_CID_STATELESS_MPEG2_SEQUENCE:
            return use(v4l2_ctrl_mpeg2_sequence{});
        case V4L2_CID_STATELESS_MPEG2_PICTURE:
            return use(v4l2_ctrl_mpeg2_picture{});
        case V4L2_CID_STATELESS_MPEG2_QUANTISATION:
            return use(v4l2_ctrl_mpeg2_quantisation{});
        case V4L2_CID_STATELESS_VP8_FRAME:
            return use(v4l2_ctrl_vp8_frame{});
        case V4L2_CID_STATELESS_VP9_FRAME:
            return use(v4l2_ctrl_vp9_frame{});
        case V4L2_CID_STATELESS_H264_SPS:
            return use(v4l2_ctrl_h264_sps{});
        case V4L2_CID_STATELESS_H264_PPS:
            return use(v4l2_ctrl_h264_pps{});
        case V4L2_CID_STATELESS_H264_SCALING_MATRIX:
            return use(v4l2_ctrl_h264_scaling_matrix{});
        default:
            return use(v4l2_ctrl_h264_decode_params{});
    }
}

}  // namespace

std::vector<std::byte> defaultUnitValue(uint32_t id) {
    return withStruct(id, [](auto value) {
        setDefault(value);
        std::vector<std::byte> bytes(sizeof value);
        std::memcpy(bytes.data(), &value, sizeof value);
        return bytes;
    });
}

Result<> normaliseUnitValue(uint32_t id, std::span<std::byte> value) {
    return withStruct(id, [&](auto known) -> Result<> {
        if (value.size() != sizeof known) return fail(EINVAL);
        std::memcpy(&known, value.data(), sizeof known);
        if (!normalise(known)) return fail(EINVAL);
        std::memcpy(value.data(), &known, sizeof known);
        return {};
    });
}

}  // namespace daedalus::device
