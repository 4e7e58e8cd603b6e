#include "daedalus/device/decoder_kind.h"

#include "daedalus/device/unit_controls.h"
#include "daedalus/v4l2/listing.h"
#include "daedalus/v4l2/uapi.h"

namespace daedalus::device {
namespace {

constexpr uint32_t kMultiPlanar = V4L2_CAP_VIDEO_M2M_MPLANE | V4L2_CAP_STREAMING | V4L2_CAP_EXT_PIX_FORMAT;

SessionParts make(const m2m::Resources& resources, const std::string& name, m2m::StatefulContext::Listener& listener,
                  bool (*has)(const ControlInfo&)) {
    auto context = std::make_unique<m2m::StatefulContext>(resources, name, listener);
    auto controls = std::make_unique<StreamControls>(resources.codecs, *context, has);
    return {std::move(context), std::move(controls)};
}

bool decodesStreams(const codec::Factory& codecs, v4l2::Codec codec) { return codecs.supports(codec); }

bool isJpeg(const v4l2::CodedFormat& coded) { return coded.codec == v4l2::Codec::Mjpeg; }

/// There are no controls of JPEG, nor does it know of HDR10.
bool isOfJpeg(const ControlInfo& control) {
    return !control.codec && V4L2_CTRL_ID2WHICH(control.id) != V4L2_CTRL_CLASS_COLORIMETRY;
}

}  // namespace

const DecoderKind kStatefulDecoder{
    .card = "Daedalus decoder",
    .capabilities = kMultiPlanar,
    .codedFormats = v4l2::codedFormats,
    .decodes = decodesStreams,
    .takes = [](const v4l2::CodedFormat& coded) { return coded.framing == v4l2::Framing::Stream; },
    .lists = v4l2::isListed,
    .colorimetry = {},
    .hasRequests = false,
    .makeParts =
        [](const m2m::Resources& resources, const std::string& name, m2m::StatefulContext::Listener& listener) {
            return make(resources, name, listener, [](const ControlInfo&) { return true; });
        },
};

const DecoderKind kStatelessDecoder{
    .card = "Daedalus stateless decoder",
    .capabilities = kMultiPlanar,
    .codedFormats = v4l2::unitFormats,
    .decodes = [](const codec::Factory& codecs, v4l2::Codec codec) { return codecs.supportsUnits(codec); },
    .takes = [](const v4l2::CodedFormat& coded) { return coded.framing == v4l2::Framing::Unit; },
    .lists = [](const v4l2::CodedFormat&) { return true; },
    .colorimetry = {},
    .hasRequests = true,
    .makeParts = [](const m2m::Resources& resources, const std::string& name,
                    m2m::StatefulContext::Listener& listener) -> SessionParts {
        auto context = std::make_unique<m2m::StatelessContext>(resources, name, listener);
        auto controls = std::make_unique<UnitControls>(resources.codecs, *context);
        return {std::move(context), std::move(controls)};
    },
};

const DecoderKind kJpegDecoder{
    .card = "Daedalus JPEG decoder",
    .capabilities = kMultiPlanar,
    .codedFormats = v4l2::codedFormats,
    .decodes = decodesStreams,
    .takes = isJpeg,
    .lists = isJpeg,
    // What V4L2_COLORSPACE_JPEG stands for.
    .colorimetry =
        v4l2::Colorimetry{V4L2_COLORSPACE_SRGB, V4L2_XFER_FUNC_SRGB, V4L2_YCBCR_ENC_601, V4L2_QUANTIZATION_FULL_RANGE},
    .hasRequests = false,
    .makeParts = [](const m2m::Resources& resources, const std::string& name,
                    m2m::StatefulContext::Listener& listener) { return make(resources, name, listener, isOfJpeg); },
};

}  // namespace daedalus::device
