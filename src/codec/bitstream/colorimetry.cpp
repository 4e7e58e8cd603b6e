#include "colorimetry.h"

namespace daedalus::codec::bitstream {
namespace {

uint32_t colorspaceOf(unsigned primaries) {
    switch (primaries) {
        case 1:
            return V4L2_COLORSPACE_REC709;
        case 4:
            return V4L2_COLORSPACE_470_SYSTEM_M;
        case 5:
            return V4L2_COLORSPACE_470_SYSTEM_BG;
        case 6:
            return V4L2_COLORSPACE_SMPTE170M;
        case 7:
            return V4L2_COLORSPACE_SMPTE240M;
        case 9:
            return V4L2_COLORSPACE_BT2020;
        case 11:
        case 12:
            return V4L2_COLORSPACE_DCI_P3;
        default:
            return V4L2_COLORSPACE_DEFAULT;
    }
}

uint32_t transferOf(unsigned transfer) {
    switch (transfer) {
        case 1:
        case 6:
        case 11:
        case 14:
        case 15:
            return V4L2_XFER_FUNC_709;
        case 7:
            return V4L2_XFER_FUNC_SMPTE240M;
        case 8:
            return V4L2_XFER_FUNC_NONE;
        case 13:
            return V4L2_XFER_FUNC_SRGB;
        case 16:
            return V4L2_XFER_FUNC_SMPTE2084;
        default:
            return V4L2_XFER_FUNC_DEFAULT;
    }
}

uint32_t encodingOf(unsigned matrix, unsigned transfer) {
    constexpr unsigned kXvYcc = 11;
    switch (matrix) {
        case 1:
            return transfer == kXvYcc ? V4L2_YCBCR_ENC_XV709 : V4L2_YCBCR_ENC_709;
        case 5:
        case 6:
            return transfer == kXvYcc ? V4L2_YCBCR_ENC_XV601 : V4L2_YCBCR_ENC_601;
        case 7:
            return V4L2_YCBCR_ENC_SMPTE240M;
        case 9:
            return V4L2_YCBCR_ENC_BT2020;
        case 10:
            return V4L2_YCBCR_ENC_BT2020_CONST_LUM;
        default:
            return V4L2_YCBCR_ENC_DEFAULT;
    }
}

}  // namespace

v4l2::Colorimetry colorimetry(unsigned primaries, unsigned transfer, unsigned matrix, Range range) {
    v4l2::Colorimetry result;
    result.colorspace = colorspaceOf(primaries);
    result.xferFunc = transferOf(transfer);
    result.ycbcrEnc = encodingOf(matrix, transfer);
    result.quantization = range == Range::Full      ? V4L2_QUANTIZATION_FULL_RANGE
                          : range == Range::Limited ? V4L2_QUANTIZATION_LIM_RANGE
                                                    : V4L2_QUANTIZATION_DEFAULT;
    return result;
}

}  // namespace daedalus::codec::bitstream
