#include "daedalus/device/decoder_kind.h"

#include "daedalus/v4l2/uapi.h"

namespace daedalus::device {
namespace {

SessionParts makeStateful(const m2m::Resources& resources, const std::string& name, m2m::StatefulContext::Listener& listener) {
    auto context = std::make_unique<m2m::StatefulContext>(resources, name, listener);
    auto controls = std::make_unique<StreamControls>(resources.codecs, *context);
    return {std::move(context), std::move(controls)};
}

}  // namespace

const DecoderKind kStatefulDecoder{
    .card = "Daedalus decoder",
    .capabilities = V4L2_CAP_VIDEO_M2M_MPLANE | V4L2_CAP_STREAMING | V4L2_CAP_EXT_PIX_FORMAT,
    .makeParts = makeStateful,
};

}  // namespace daedalus::device
