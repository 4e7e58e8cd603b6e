#include "daedalus/ioctl/single_planar.h"

#include "proto/follow.h"

namespace daedalus::ioctl {
namespace {

/// No handler takes it.
constexpr uint32_t kNoType = 0;

/// The types of other APIs stay: handlers know none of them.
uint32_t multiPlanarType(uint32_t type) {
    switch (type) {
        case V4L2_BUF_TYPE_VIDEO_CAPTURE:
            return V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
        case V4L2_BUF_TYPE_VIDEO_OUTPUT:
            return V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
        case V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE:
        case V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE:
            return kNoType;
        default:
            return type;
    }
}

uint32_t singlePlanarType(uint32_t type) {
    return V4L2_TYPE_IS_OUTPUT(type) ? V4L2_BUF_TYPE_VIDEO_OUTPUT : V4L2_BUF_TYPE_VIDEO_CAPTURE;
}

v4l2_pix_format_mplane toMultiPlanar(const v4l2_pix_format& pix) {
    v4l2_pix_format_mplane planar{};
    planar.width = pix.width;
    planar.height = pix.height;
    planar.pixelformat = pix.pixelformat;
    planar.field = pix.field;
    planar.colorspace = pix.colorspace;
    planar.num_planes = 1;
    planar.plane_fmt[0].sizeimage = pix.sizeimage;
    planar.plane_fmt[0].bytesperline = pix.bytesperline;
    // What is behind `priv` counts only with the magic number there: older clients leave it as it was.
    if (pix.priv == V4L2_PIX_FMT_PRIV_MAGIC) {
        planar.flags = static_cast<__u8>(pix.flags);
        planar.ycbcr_enc = static_cast<__u8>(pix.ycbcr_enc);
        planar.quantization = static_cast<__u8>(pix.quantization);
        planar.xfer_func = static_cast<__u8>(pix.xfer_func);
    }
    return planar;
}

v4l2_pix_format toSinglePlanar(const v4l2_pix_format_mplane& planar) {
    v4l2_pix_format pix{};
    pix.width = planar.width;
    pix.height = planar.height;
    pix.pixelformat = planar.pixelformat;
    pix.field = planar.field;
    pix.bytesperline = planar.plane_fmt[0].bytesperline;
    pix.sizeimage = planar.plane_fmt[0].sizeimage;
    pix.colorspace = planar.colorspace;
    pix.priv = V4L2_PIX_FMT_PRIV_MAGIC;
    pix.flags = planar.flags;
    pix.ycbcr_enc = planar.ycbcr_enc;
    pix.quantization = planar.quantization;
    pix.xfer_func = planar.xfer_func;
    return pix;
}

}  // namespace

void toMultiPlanar(v4l2_capability&, v4l2_plane&) {}
void toMultiPlanar(v4l2_fmtdesc& argument, v4l2_plane&) { argument.type = multiPlanarType(argument.type); }
void toMultiPlanar(v4l2_requestbuffers& argument, v4l2_plane&) { argument.type = multiPlanarType(argument.type); }
void toMultiPlanar(v4l2::RemoveBuffers& argument, v4l2_plane&) { argument.type = multiPlanarType(argument.type); }
void toMultiPlanar(v4l2_exportbuffer& argument, v4l2_plane&) { argument.type = multiPlanarType(argument.type); }
void toMultiPlanar(int& argument, v4l2_plane&) {
    argument = static_cast<int>(multiPlanarType(static_cast<uint32_t>(argument)));
}
void toMultiPlanar(v4l2::CreateBuffers& argument, v4l2_plane& plane) { toMultiPlanar(argument.format, plane); }

void toMultiPlanar(v4l2_format& argument, v4l2_plane&) {
    const v4l2_pix_format pix = argument.fmt.pix;
    argument.type = multiPlanarType(argument.type);
    argument.fmt.pix_mp = toMultiPlanar(pix);
}

void toMultiPlanar(v4l2_buffer& argument, v4l2_plane& plane) {
    plane = proto::onlyPlane(argument);
    argument.type = multiPlanarType(argument.type);
    argument.length = 1;
    argument.m.planes = &plane;
}

void toSinglePlanar(v4l2_capability& argument) {
    for (uint32_t* const caps : {&argument.capabilities, &argument.device_caps}) {
        if ((*caps & V4L2_CAP_VIDEO_M2M_MPLANE) == 0) continue;
        *caps = (*caps & ~uint32_t{V4L2_CAP_VIDEO_M2M_MPLANE}) | V4L2_CAP_VIDEO_M2M;
    }
}

void toSinglePlanar(v4l2_fmtdesc& argument) { argument.type = singlePlanarType(argument.type); }
void toSinglePlanar(v4l2_requestbuffers& argument) { argument.type = singlePlanarType(argument.type); }
void toSinglePlanar(v4l2::RemoveBuffers& argument) { argument.type = singlePlanarType(argument.type); }
void toSinglePlanar(v4l2_exportbuffer& argument) { argument.type = singlePlanarType(argument.type); }
void toSinglePlanar(int& argument) { argument = static_cast<int>(singlePlanarType(static_cast<uint32_t>(argument))); }
void toSinglePlanar(v4l2::CreateBuffers& argument) { toSinglePlanar(argument.format); }

void toSinglePlanar(v4l2_format& argument) {
    const v4l2_pix_format_mplane planar = argument.fmt.pix_mp;
    argument.type = singlePlanarType(argument.type);
    argument.fmt.pix = toSinglePlanar(planar);
}

void toSinglePlanar(v4l2_buffer& argument) {
    const v4l2_plane plane = argument.m.planes[0];
    argument.type = singlePlanarType(argument.type);
    argument.bytesused = plane.bytesused;
    argument.length = plane.length;
    argument.m.userptr = plane.m.userptr;
}

}  // namespace daedalus::ioctl
