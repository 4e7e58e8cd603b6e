// ENUM_FMT, G/S/TRY_FMT, ENUM_FRAMESIZES.
#include <algorithm>
#include <cstring>
#include <vector>

#include "daedalus/device/handlers.h"
#include "daedalus/device/session.h"
#include "shared.h"

namespace daedalus::device {
namespace {

bool isOutput(uint32_t type) { return type == V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE; }
bool isCapture(uint32_t type) { return type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE; }

/// Values beyond what V4L2 defines become DEFAULT, as the V4L2 core does.
v4l2::Colorimetry sanitized(const v4l2_pix_format_mplane& pix) {
    v4l2::Colorimetry colour;
    colour.colorspace = pix.colorspace <= V4L2_COLORSPACE_DCI_P3 ? pix.colorspace : uint32_t{V4L2_COLORSPACE_DEFAULT};
    if (colour.colorspace == V4L2_COLORSPACE_DEFAULT) colour.colorspace = V4L2_COLORSPACE_REC709;
    colour.xferFunc = pix.xfer_func <= V4L2_XFER_FUNC_SMPTE2084 ? pix.xfer_func : uint32_t{V4L2_XFER_FUNC_DEFAULT};
    colour.ycbcrEnc = pix.ycbcr_enc <= V4L2_YCBCR_ENC_SMPTE240M ? pix.ycbcr_enc : uint32_t{V4L2_YCBCR_ENC_DEFAULT};
    colour.quantization =
        pix.quantization <= V4L2_QUANTIZATION_LIM_RANGE ? pix.quantization : uint32_t{V4L2_QUANTIZATION_DEFAULT};
    return colour;
}

void writeColour(v4l2_pix_format_mplane& pix, const v4l2::Colorimetry& colour) {
    pix.colorspace = colour.colorspace;
    pix.xfer_func = static_cast<__u8>(colour.xferFunc);
    pix.ycbcr_enc = static_cast<__u8>(colour.ycbcrEnc);
    pix.quantization = static_cast<__u8>(colour.quantization);
}

void write(v4l2_format& format, const m2m::OutputFormat& output) {
    auto& pix = format.fmt.pix_mp;
    pix = {};
    pix.width = output.width;
    pix.height = output.height;
    pix.pixelformat = output.coded->fourcc;
    pix.field = output.field;
    pix.num_planes = 1;
    pix.plane_fmt[0].sizeimage = output.sizeImage;
    writeColour(pix, output.colorimetry);
}

void write(v4l2_format& format, const v4l2::RawFormat& raw, const v4l2::FrameLayout& layout, uint32_t field,
           const m2m::Context& context) {
    auto& pix = format.fmt.pix_mp;
    pix = {};
    pix.width = layout.width;
    pix.height = layout.height;
    pix.pixelformat = raw.fourcc;
    pix.field = field;
    pix.num_planes = static_cast<__u8>(layout.memoryPlanes);
    for (uint32_t i = 0; i < layout.memoryPlanes; ++i) {
        pix.plane_fmt[i].bytesperline = layout.bytesPerLine[i];
        pix.plane_fmt[i].sizeimage = layout.sizeImage[i];
    }
    writeColour(pix, context.captureFormat().colorimetry);
}

/// The format in force of that queue.
Result<> tell(const m2m::Context& context, v4l2_format& format) {
    if (isOutput(format.type)) {
        write(format, context.outputFormat());
    } else if (isCapture(format.type)) {
        const auto& capture = context.captureFormat();
        write(format, *capture.raw, capture.layout, capture.field, context);
    } else {
        return fail(EINVAL);
    }
    return {};
}

std::vector<const v4l2::CodedFormat*> offeredCoded(const Device::Shared& device) {
    std::vector<const v4l2::CodedFormat*> offered;
    for (const auto& coded : device.options.kind->codedFormats())
        if (device.offers(coded)) offered.push_back(&coded);
    return offered;
}

struct AdjustedCapture {
    const v4l2::RawFormat* raw;
    uint32_t width;  ///< as asked for, within the limits
    uint32_t height;
    v4l2::FrameLayout layout;
};

AdjustedCapture adjustCapture(Session& session, const v4l2_pix_format_mplane& pix) {
    auto& context = session.context();
    const auto offered = context.offered();
    const auto wanted = std::ranges::find(offered, pix.pixelformat, &v4l2::RawFormat::fourcc);
    const auto* raw = wanted == offered.end() ? offered.front() : *wanted;
    const auto dimension = [](uint32_t value, uint32_t fallback, uint32_t most) {
        return value == 0 ? fallback : std::clamp(value, v4l2::kMinDimension, most);
    };
    const auto& limits = session.device().options.limits.session;
    const auto& current = context.captureFormat().layout;
    const uint32_t width = dimension(pix.width, current.width, limits.maxWidth);
    const uint32_t height = dimension(pix.height, current.height, limits.maxHeight);
    return {raw, width, height, context.captureLayout(*raw, width, height)};
}

}  // namespace

m2m::OutputFormat adjustOutput(const Device::Shared& device, const v4l2_pix_format_mplane& pix) {
    m2m::OutputFormat output;
    output.coded = v4l2::findCoded(pix.pixelformat);
    if (!output.coded || !device.offers(*output.coded)) output.coded = offeredCoded(device).front();
    // 0 means "the stream will tell".
    const auto& limits = device.options.limits.session;
    output.width = std::clamp(pix.width == 0 ? kDefaultWidth : pix.width, v4l2::kMinDimension, limits.maxWidth);
    output.height = std::clamp(pix.height == 0 ? kDefaultHeight : pix.height, v4l2::kMinDimension, limits.maxHeight);
    const uint32_t wanted = pix.num_planes > 0 ? pix.plane_fmt[0].sizeimage : 0;
    output.sizeImage = std::clamp(wanted, v4l2::codedSizeImage(output.width, output.height), v4l2::kMaxPayloadBytes);
    // Frames are always whole. A client that knows the stream as interlaced (GStreamer) insists on reading its word back.
    const bool interlaced =
        pix.field == V4L2_FIELD_INTERLACED || pix.field == V4L2_FIELD_INTERLACED_TB || pix.field == V4L2_FIELD_INTERLACED_BT;
    output.field = interlaced ? pix.field : uint32_t{V4L2_FIELD_NONE};
    output.colorimetry = device.options.kind->colorimetry.value_or(sanitized(pix));
    return output;
}

Result<> enum_fmt(Session& session, v4l2_fmtdesc& desc, CallContext&) {
    const char* description = nullptr;
    if (isOutput(desc.type)) {
        auto offered = offeredCoded(session.device());
        std::erase_if(offered, [&](const auto* coded) { return !session.device().options.kind->lists(*coded); });
        if (desc.index >= offered.size()) return fail(EINVAL);
        desc.pixelformat = offered[desc.index]->fourcc;
        desc.flags = offered[desc.index]->flags;
        description = offered[desc.index]->description;
    } else if (isCapture(desc.type)) {
        const auto offered = session.context().offered();
        if (desc.index >= offered.size()) return fail(EINVAL);
        desc.pixelformat = offered[desc.index]->fourcc;
        description = offered[desc.index]->description;
    } else {
        return fail(EINVAL);
    }
    std::memcpy(desc.description, description, std::min(std::strlen(description), sizeof desc.description - 1));
    return {};
}

Result<> g_fmt(Session& session, v4l2_format& format, CallContext& call) {
    if (isCapture(format.type) && call.mayWait && session.context().expectsHeaders()) return fail(EAGAIN);
    return tell(session.context(), format);
}

Result<> try_fmt(Session& session, v4l2_format& format, CallContext&) {
    if (isOutput(format.type)) {
        write(format, adjustOutput(session.device(), format.fmt.pix_mp));
    } else if (isCapture(format.type)) {
        const auto adjusted = adjustCapture(session, format.fmt.pix_mp);
        const uint32_t field = session.context().captureField(format.fmt.pix_mp.field);
        write(format, *adjusted.raw, adjusted.layout, field, session.context());
    } else {
        return fail(EINVAL);
    }
    return {};
}

Result<> s_fmt(Session& session, v4l2_format& format, CallContext&) {
    const auto& pix = format.fmt.pix_mp;
    Result<> changed = fail(EINVAL);
    if (isOutput(format.type)) {
        changed = session.context().changeOutput(adjustOutput(session.device(), pix));
    } else if (isCapture(format.type)) {
        const auto adjusted = adjustCapture(session, pix);
        changed = session.context().changeCapture(*adjusted.raw, adjusted.width, adjusted.height, pix.field);
    }
    return changed ? tell(session.context(), format) : changed;
}

Result<> enum_framesizes(Session& session, v4l2_frmsizeenum& sizes, CallContext&) {
    if (sizes.index > 0) return fail(EINVAL);
    const auto* coded = v4l2::findCoded(sizes.pixel_format);
    const auto* raw = v4l2::findRaw(sizes.pixel_format);
    const bool known = coded ? session.device().offers(*coded) : raw && v4l2::hasFormat(session.device().options.planes, *raw);
    if (!known) return fail(EINVAL);
    sizes.type = V4L2_FRMSIZE_TYPE_STEPWISE;
    const uint32_t step = coded ? 1 : v4l2::kDimensionStep;
    const auto& limits = session.device().options.limits.session;
    sizes.stepwise = {v4l2::kMinDimension, limits.maxWidth, step, v4l2::kMinDimension, limits.maxHeight, step};
    if (coded) sizes.type = V4L2_FRMSIZE_TYPE_CONTINUOUS;
    return {};
}

}  // namespace daedalus::device
