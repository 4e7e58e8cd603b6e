#include <algorithm>
#include <array>

#include "../bitstream/bit_reader.h"
#include "bit_writer.h"
#include "headers.h"

namespace daedalus::codec::units {
namespace {

constexpr std::array<uint8_t, 16> kZigzag4 = {0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15};
constexpr std::array<uint8_t, 64> kZigzag8 = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,
                                              12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28,
                                              35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
                                              58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};
constexpr uint8_t kSpsUnit = 0x67;
constexpr uint8_t kPpsUnit = 0x68;
constexpr uint32_t kChroma444 = 3;

/// The payload as a NAL unit, with the bytes in it that keep it from looking like a start code.
std::vector<uint8_t> unitOf(uint8_t header, const std::vector<uint8_t>& payload) {
    std::vector<uint8_t> unit{0, 0, 0, 1, header};
    unsigned zeros = 0;
    for (const uint8_t byte : payload) {
        if (zeros >= 2 && byte <= 3) {
            unit.push_back(3);
            zeros = 0;
        }
        zeros = byte == 0 ? zeros + 1 : 0;
        unit.push_back(byte);
    }
    return unit;
}

/// Profiles whose parameter sets tell of chroma and depth.
bool tellsChroma(uint8_t profile) {
    constexpr std::array<uint8_t, 13> kHigh = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135};
    return std::ranges::find(kHigh, profile) != kHigh.end();
}

template <size_t N>
void scalingList(BitWriter& out, const __u8* raster, const std::array<uint8_t, N>& scan) {
    out.flag(true);
    int last = 8;
    for (const uint8_t place : scan) {
        // A zero would mean that the rest of the list is the last value.
        const int value = raster[place] == 0 ? 16 : raster[place];
        int delta = value - last;
        if (delta > 127) delta -= 256;
        if (delta < -128) delta += 256;
        out.se(delta);
        last = value;
    }
}

bool isSlice(uint8_t type) { return type == 1 || type == 2 || type == 5; }

}  // namespace

std::vector<uint8_t> h264Sps(const v4l2_ctrl_h264_sps& sps) {
    const auto has = [&](uint32_t flag) { return (sps.flags & flag) != 0; };
    BitWriter out;
    out.bits(sps.profile_idc, 8);
    for (unsigned i = 0; i < 6; ++i) out.flag((sps.constraint_set_flags >> i & 1U) != 0);
    out.bits(0, 2);
    out.bits(sps.level_idc, 8);
    out.ue(0);
    if (tellsChroma(sps.profile_idc)) {
        out.ue(sps.chroma_format_idc);
        if (sps.chroma_format_idc == kChroma444) out.flag(has(V4L2_H264_SPS_FLAG_SEPARATE_COLOUR_PLANE));
        out.ue(sps.bit_depth_luma_minus8);
        out.ue(sps.bit_depth_chroma_minus8);
        out.flag(has(V4L2_H264_SPS_FLAG_QPPRIME_Y_ZERO_TRANSFORM_BYPASS));
        out.flag(false);  // the lists stand in the picture parameter set
    }
    out.ue(sps.log2_max_frame_num_minus4);
    out.ue(sps.pic_order_cnt_type);
    if (sps.pic_order_cnt_type == 0) {
        out.ue(sps.log2_max_pic_order_cnt_lsb_minus4);
    } else if (sps.pic_order_cnt_type == 1) {
        out.flag(has(V4L2_H264_SPS_FLAG_DELTA_PIC_ORDER_ALWAYS_ZERO));
        out.se(sps.offset_for_non_ref_pic);
        out.se(sps.offset_for_top_to_bottom_field);
        out.ue(sps.num_ref_frames_in_pic_order_cnt_cycle);
        for (unsigned i = 0; i < sps.num_ref_frames_in_pic_order_cnt_cycle; ++i) out.se(sps.offset_for_ref_frame[i]);
    }
    out.ue(sps.max_num_ref_frames);
    out.flag(has(V4L2_H264_SPS_FLAG_GAPS_IN_FRAME_NUM_VALUE_ALLOWED));
    out.ue(sps.pic_width_in_mbs_minus1);
    out.ue(sps.pic_height_in_map_units_minus1);
    out.flag(has(V4L2_H264_SPS_FLAG_FRAME_MBS_ONLY));
    if (!has(V4L2_H264_SPS_FLAG_FRAME_MBS_ONLY)) out.flag(has(V4L2_H264_SPS_FLAG_MB_ADAPTIVE_FRAME_FIELD));
    out.flag(has(V4L2_H264_SPS_FLAG_DIRECT_8X8_INFERENCE));
    out.flag(false);  // no cropping: CAPTURE shows the coded picture
    out.flag(false);  // no VUI
    out.trail();
    return unitOf(kSpsUnit, out.bytes());
}

std::vector<uint8_t> h264Pps(uint32_t id, const v4l2_ctrl_h264_pps& pps, const v4l2_ctrl_h264_sps& sps,
                             const v4l2_ctrl_h264_scaling_matrix& scaling) {
    const auto has = [&](uint32_t flag) { return (pps.flags & flag) != 0; };
    BitWriter out;
    out.ue(id);
    out.ue(0);
    out.flag(has(V4L2_H264_PPS_FLAG_ENTROPY_CODING_MODE));
    out.flag(has(V4L2_H264_PPS_FLAG_BOTTOM_FIELD_PIC_ORDER_IN_FRAME_PRESENT));
    out.ue(0);  // one slice group
    out.ue(pps.num_ref_idx_l0_default_active_minus1);
    out.ue(pps.num_ref_idx_l1_default_active_minus1);
    out.flag(has(V4L2_H264_PPS_FLAG_WEIGHTED_PRED));
    out.bits(pps.weighted_bipred_idc, 2);
    out.se(pps.pic_init_qp_minus26);
    out.se(pps.pic_init_qs_minus26);
    out.se(pps.chroma_qp_index_offset);
    out.flag(has(V4L2_H264_PPS_FLAG_DEBLOCKING_FILTER_CONTROL_PRESENT));
    out.flag(has(V4L2_H264_PPS_FLAG_CONSTRAINED_INTRA_PRED));
    out.flag(has(V4L2_H264_PPS_FLAG_REDUNDANT_PIC_CNT_PRESENT));
    const bool transform8 = has(V4L2_H264_PPS_FLAG_TRANSFORM_8X8_MODE);
    const bool lists = has(V4L2_H264_PPS_FLAG_SCALING_MATRIX_PRESENT);
    const bool tellsMore = transform8 || lists || pps.second_chroma_qp_index_offset != pps.chroma_qp_index_offset;
    if (tellsMore) {
        out.flag(transform8);
        out.flag(lists);
        if (lists) {
            for (const auto& list : scaling.scaling_list_4x4) scalingList(out, list, kZigzag4);
            const size_t count = !transform8 ? 0 : sps.chroma_format_idc == kChroma444 ? 6 : 2;
            for (size_t i = 0; i < count; ++i) scalingList(out, scaling.scaling_list_8x8[i], kZigzag8);
        }
        out.se(pps.second_chroma_qp_index_offset);
    }
    out.trail();
    return unitOf(kPpsUnit, out.bytes());
}

H264Slices h264Slices(std::span<const uint8_t> bytes) {
    constexpr uint32_t kMostIds = 256;
    constexpr uint32_t kTypes = 5;
    constexpr uint32_t kIntra = 2;
    constexpr uint32_t kSwitchingIntra = 4;
    /// Three Exp-Golomb codes, of which the first counts macroblocks.
    constexpr size_t kPeeked = 24;
    H264Slices slices;
    for (size_t at = 0; at + 4 < bytes.size(); ++at) {
        if (bytes[at] != 0 || bytes[at + 1] != 0 || bytes[at + 2] != 1 || !isSlice(bytes[at + 3] & 0x1FU)) continue;
        const auto header = bitstream::unescape(bytes.subspan(at + 4), kPeeked);
        bitstream::BitReader reader(header);
        reader.ue();
        const uint32_t type = reader.ue() % kTypes;
        const uint32_t id = reader.ue();
        slices.predicted = slices.predicted || (type != kIntra && type != kSwitchingIntra);
        if (reader.ok() && id < kMostIds && std::ranges::find(slices.ppsIds, id) == slices.ppsIds.end())
            slices.ppsIds.push_back(id);
        at += 3;
    }
    return slices;
}

}  // namespace daedalus::codec::units
