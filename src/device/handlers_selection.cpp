// G/S_SELECTION, and the older CROPCAP, G_CROP, S_CROP by means of them.
#include "daedalus/device/handlers.h"
#include "daedalus/device/session.h"

namespace daedalus::device {
namespace {

/// The V4L2 core takes the single-planar type for the multi-planar one here.
bool isCapture(uint32_t type) { return type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE || type == V4L2_BUF_TYPE_VIDEO_CAPTURE; }

v4l2_rect toRect(const v4l2::Rect& rect) { return {rect.left, rect.top, rect.width, rect.height}; }

/// The coded frame and its visible part: there is no scaler and no composer, so each target is one of the two.
Result<v4l2_rect> targetRect(Session& session, uint32_t target) {
    const auto& format = session.context().captureFormat();
    switch (target) {
        case V4L2_SEL_TGT_CROP_BOUNDS:
        case V4L2_SEL_TGT_COMPOSE_BOUNDS:
        case V4L2_SEL_TGT_COMPOSE_PADDED:
            return v4l2_rect{0, 0, format.layout.width, format.layout.height};
        case V4L2_SEL_TGT_CROP:
        case V4L2_SEL_TGT_CROP_DEFAULT:
        case V4L2_SEL_TGT_COMPOSE:
        case V4L2_SEL_TGT_COMPOSE_DEFAULT:
            return toRect(format.visible);
        default:
            return fail(EINVAL);
    }
}

bool contains(const v4l2_rect& outer, const v4l2_rect& inner) {
    return outer.left <= inner.left && outer.top <= inner.top &&
           int64_t{outer.left} + outer.width >= int64_t{inner.left} + inner.width &&
           int64_t{outer.top} + outer.height >= int64_t{inner.top} + inner.height;
}

}  // namespace

Result<> g_selection(Session& session, v4l2_selection& selection, CallContext&) {
    if (!isCapture(selection.type)) return fail(EINVAL);
    const auto rect = targetRect(session, selection.target);
    if (!rect) return fail(rect.error());
    selection.r = *rect;
    return {};
}

Result<> s_selection(Session& session, v4l2_selection& selection, CallContext&) {
    if (!isCapture(selection.type)) return fail(EINVAL);
    // CROP too, though it never changes: FFmpeg sets it, and looks at the visible part only if that succeeds.
    if (selection.target != V4L2_SEL_TGT_COMPOSE && selection.target != V4L2_SEL_TGT_CROP) return fail(EINVAL);
    if (selection.flags & ~uint32_t{V4L2_SEL_FLAG_GE | V4L2_SEL_FLAG_LE | V4L2_SEL_FLAG_KEEP_CONFIG}) return fail(EINVAL);
    // There is one place for each: the rectangle is adjusted to it, if the constraints allow.
    const auto rect = targetRect(session, selection.target);
    if ((selection.flags & V4L2_SEL_FLAG_GE) && !contains(*rect, selection.r)) return fail(ERANGE);
    if ((selection.flags & V4L2_SEL_FLAG_LE) && !contains(selection.r, *rect)) return fail(ERANGE);
    selection.r = *rect;
    return {};
}

Result<> cropcap(Session& session, v4l2_cropcap& cap, CallContext&) {
    if (!isCapture(cap.type)) return fail(EINVAL);
    cap.bounds = *targetRect(session, V4L2_SEL_TGT_CROP_BOUNDS);
    cap.defrect = *targetRect(session, V4L2_SEL_TGT_CROP_DEFAULT);
    // Whatever the stream's pixels are, as all decoders' drivers do; a control tells their shape. GStreamer plays nothing whose
    // container says another shape than this.
    cap.pixelaspect = {1, 1};
    return {};
}

Result<> g_crop(Session& session, v4l2_crop& crop, CallContext&) {
    if (!isCapture(crop.type)) return fail(EINVAL);
    crop.c = *targetRect(session, V4L2_SEL_TGT_CROP);
    return {};
}

Result<> s_crop(Session&, v4l2_crop&, CallContext&) {
    // What is visible is the stream's to say.
    return fail(EINVAL);
}

}  // namespace daedalus::device
