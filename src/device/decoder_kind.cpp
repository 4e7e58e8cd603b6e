#include "daedalus/device/decoder_kind.h"

#include "daedalus/v4l2/uapi.h"

namespace daedalus::device {

const DecoderKind kStatefulDecoder{
    .card = "Daedalus decoder",
    .capabilities = V4L2_CAP_VIDEO_M2M_MPLANE | V4L2_CAP_STREAMING | V4L2_CAP_EXT_PIX_FORMAT,
};

}  // namespace daedalus::device
