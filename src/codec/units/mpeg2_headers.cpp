#include <array>

#include "bit_writer.h"
#include "headers.h"

namespace daedalus::codec::units {
namespace {

constexpr uint32_t kSequenceHeader = 0x000001B3;
constexpr uint32_t kExtension = 0x000001B5;
constexpr uint32_t kPictureHeader = 0x00000100;
constexpr uint32_t kSequenceExtension = 1;
constexpr uint32_t kQuantMatrixExtension = 3;
constexpr uint32_t kPictureCodingExtension = 8;
constexpr uint32_t kChroma420 = 1;

/// The matrices of the controls are in zigzag order, as the bitstream has them.
void matrix(BitWriter& out, const __u8 (&values)[64]) {
    // 0 is forbidden; the value that a decoder without a matrix uses most does no harm.
    for (const __u8 value : values) out.bits(value == 0 ? 16 : value, 8);
}

void sequenceHeader(BitWriter& out, const v4l2_ctrl_mpeg2_sequence& sequence,
                    const v4l2_ctrl_mpeg2_quantisation& quantisation) {
    out.bits(kSequenceHeader, 32);
    out.bits(sequence.horizontal_size & 0xFFFU, 12);
    out.bits(sequence.vertical_size & 0xFFFU, 12);
    out.bits(1, 4);         // square samples
    out.bits(3, 4);         // 25 frames a second
    out.bits(0x3FFFF, 18);  // any bit rate
    out.flag(true);
    out.bits(sequence.vbv_buffer_size & 0x3FFU, 10);
    out.flag(false);
    out.flag(true);
    matrix(out, quantisation.intra_quantiser_matrix);
    out.flag(true);
    matrix(out, quantisation.non_intra_quantiser_matrix);

    out.bits(kExtension, 32);
    out.bits(kSequenceExtension, 4);
    out.bits(sequence.profile_and_level_indication, 8);
    out.flag((sequence.flags & V4L2_MPEG2_SEQ_FLAG_PROGRESSIVE) != 0);
    out.bits(sequence.chroma_format, 2);
    out.bits(static_cast<uint32_t>(sequence.horizontal_size) >> 12, 2);
    out.bits(static_cast<uint32_t>(sequence.vertical_size) >> 12, 2);
    out.bits(0, 12);
    out.flag(true);
    out.bits(sequence.vbv_buffer_size >> 10, 8);
    out.flag(false);  // low_delay
    out.bits(0, 7);
    out.align();
}

void pictureHeader(BitWriter& out, const v4l2_ctrl_mpeg2_picture& picture, uint32_t temporalReference) {
    const uint32_t type = picture.picture_coding_type;
    out.bits(kPictureHeader, 32);
    out.bits(temporalReference & 0x3FFU, 10);
    out.bits(type, 3);
    out.bits(0xFFFF, 16);  // vbv_delay
    // As MPEG-2 has them for what MPEG-1 said here.
    constexpr uint32_t kFullPel = 7;
    if (type == V4L2_MPEG2_PIC_CODING_TYPE_P || type == V4L2_MPEG2_PIC_CODING_TYPE_B) out.bits(kFullPel, 4);
    if (type == V4L2_MPEG2_PIC_CODING_TYPE_B) out.bits(kFullPel, 4);
    out.flag(false);
    out.align();

    const auto has = [&](uint32_t flag) { return (picture.flags & flag) != 0; };
    out.bits(kExtension, 32);
    out.bits(kPictureCodingExtension, 4);
    for (const auto& direction : picture.f_code)
        for (const __u8 code : direction) out.bits(code == 0 ? 15 : code, 4);
    out.bits(picture.intra_dc_precision, 2);
    out.bits(picture.picture_structure, 2);
    out.flag(has(V4L2_MPEG2_PIC_FLAG_TOP_FIELD_FIRST));
    out.flag(has(V4L2_MPEG2_PIC_FLAG_FRAME_PRED_DCT));
    out.flag(has(V4L2_MPEG2_PIC_FLAG_CONCEALMENT_MV));
    out.flag(has(V4L2_MPEG2_PIC_FLAG_Q_SCALE_TYPE));
    out.flag(has(V4L2_MPEG2_PIC_FLAG_INTRA_VLC));
    out.flag(has(V4L2_MPEG2_PIC_FLAG_ALT_SCAN));
    out.flag(has(V4L2_MPEG2_PIC_FLAG_REPEAT_FIRST));
    out.flag(true);  // chroma_420_type
    out.flag(has(V4L2_MPEG2_PIC_FLAG_PROGRESSIVE));
    out.flag(false);
    out.align();
}

void chromaMatrices(BitWriter& out, const v4l2_ctrl_mpeg2_quantisation& quantisation) {
    out.bits(kExtension, 32);
    out.bits(kQuantMatrixExtension, 4);
    out.flag(false);
    out.flag(false);
    out.flag(true);
    matrix(out, quantisation.chroma_intra_quantiser_matrix);
    out.flag(true);
    matrix(out, quantisation.chroma_non_intra_quantiser_matrix);
    out.align();
}

}  // namespace

std::vector<uint8_t> mpeg2Headers(const v4l2_ctrl_mpeg2_sequence& sequence, const v4l2_ctrl_mpeg2_picture& picture,
                                  const v4l2_ctrl_mpeg2_quantisation& quantisation, uint32_t temporalReference) {
    BitWriter out;
    sequenceHeader(out, sequence, quantisation);
    pictureHeader(out, picture, temporalReference);
    if (sequence.chroma_format != kChroma420) chromaMatrices(out, quantisation);
    return out.bytes();
}

}  // namespace daedalus::codec::units
