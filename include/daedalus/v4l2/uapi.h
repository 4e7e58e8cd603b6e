// The kernel's V4L2 UAPI, with the few definitions that are newer than the oldest headers we build against (Linux 6.1).
#pragma once

#include <linux/videodev2.h>

#include <cstdint>

#ifndef V4L2_PIX_FMT_AV1
#define V4L2_PIX_FMT_AV1 v4l2_fourcc('A', 'V', '0', '1')  // Linux 6.16
#endif

#ifndef V4L2_PIX_FMT_SPK
#define V4L2_PIX_FMT_SPK v4l2_fourcc('S', 'P', 'K', '0')  // Linux 6.5
#endif

#ifndef V4L2_PIX_FMT_P012
#define V4L2_PIX_FMT_P012 v4l2_fourcc('P', '0', '1', '2')  // Linux 6.4
#endif

#ifndef V4L2_PIX_FMT_P012M
#define V4L2_PIX_FMT_P012M v4l2_fourcc('P', 'M', '1', '2')  // Linux 6.4
#endif

#ifndef V4L2_PIX_FMT_Y012
#define V4L2_PIX_FMT_Y012 v4l2_fourcc('Y', '0', '1', '2')  // Linux 6.4
#endif

#ifndef V4L2_PIX_FMT_Y210
#define V4L2_PIX_FMT_Y210 v4l2_fourcc('Y', '2', '1', '0')  // Linux 6.3
#endif

#ifndef V4L2_PIX_FMT_Y212
#define V4L2_PIX_FMT_Y212 v4l2_fourcc('Y', '2', '1', '2')  // Linux 6.3
#endif

#ifndef V4L2_PIX_FMT_Y216
#define V4L2_PIX_FMT_Y216 v4l2_fourcc('Y', '2', '1', '6')  // Linux 6.3
#endif

#ifndef V4L2_PIX_FMT_YUV48_12
#define V4L2_PIX_FMT_YUV48_12 v4l2_fourcc('Y', '3', '1', '2')  // Linux 6.4
#endif

#ifndef V4L2_PIX_FMT_BGR48_12
#define V4L2_PIX_FMT_BGR48_12 v4l2_fourcc('B', '3', '1', '2')  // Linux 6.4
#endif

#ifndef V4L2_PIX_FMT_RGB48
#define V4L2_PIX_FMT_RGB48 v4l2_fourcc('R', 'G', 'B', '6')  // Linux 6.11
#endif

// Controls of our own, among those that V4L2 leaves to drivers: what the decoder's frames are made of, which the CAPTURE format
// does not always say. Read only; the depth is 0 before the headers, and the chroma an item of v4l2::Chroma's order.
#define V4L2_CID_DAEDALUS_STREAM_BIT_DEPTH (V4L2_CID_CODEC_BASE + 0x1f00)
#define V4L2_CID_DAEDALUS_STREAM_CHROMA (V4L2_CID_CODEC_BASE + 0x1f01)
// The shape of a pixel, width to height: V4L2 has no control for it on decoders. 1 and 1 where the stream does not say.
#define V4L2_CID_DAEDALUS_PIXEL_WIDTH (V4L2_CID_CODEC_BASE + 0x1f02)
#define V4L2_CID_DAEDALUS_PIXEL_HEIGHT (V4L2_CID_CODEC_BASE + 0x1f03)
// MPEG-4's profile and level by V4L2's own menus. Under V4L2's numbers they make GStreamer refuse streams whose container does
// not tell them, as AVI never does and Matroska seldom.
#define V4L2_CID_DAEDALUS_MPEG4_PROFILE (V4L2_CID_CODEC_BASE + 0x1f04)
#define V4L2_CID_DAEDALUS_MPEG4_LEVEL (V4L2_CID_CODEC_BASE + 0x1f05)

// What a stateless decoder says of its client's mistakes: 0 nothing, 1 a line in the log for each.
#define V4L2_CID_DAEDALUS_CLIENT_CHECK (V4L2_CID_CODEC_BASE + 0x1f06)

#ifndef V4L2_CID_MPEG_VIDEO_AV1_PROFILE  // Linux 6.5
#define V4L2_CID_MPEG_VIDEO_AV1_PROFILE (V4L2_CID_CODEC_BASE + 655)
#define V4L2_CID_MPEG_VIDEO_AV1_LEVEL (V4L2_CID_CODEC_BASE + 656)
#endif

#ifndef V4L2_BUF_CAP_SUPPORTS_MAX_NUM_BUFFERS
#define V4L2_BUF_CAP_SUPPORTS_MAX_NUM_BUFFERS (1 << 7)  // Linux 6.9
#endif

#ifndef V4L2_BUF_CAP_SUPPORTS_REMOVE_BUFS
#define V4L2_BUF_CAP_SUPPORTS_REMOVE_BUFS (1 << 8)  // Linux 6.10
#endif

namespace daedalus::v4l2 {

/// struct v4l2_create_buffers as of Linux 6.9: `max_num_buffers` took one of the reserved words.
struct CreateBuffers {
    uint32_t index;
    uint32_t count;
    uint32_t memory;
    v4l2_format format;
    uint32_t capabilities;
    uint32_t flags;
    uint32_t max_num_buffers;  // NOLINT(readability-identifier-naming): the kernel's name
    uint32_t reserved[5];
};
static_assert(sizeof(CreateBuffers) == sizeof(v4l2_create_buffers));

/// struct v4l2_remove_buffers of Linux 6.10.
struct RemoveBuffers {
    uint32_t index;
    uint32_t count;
    uint32_t type;
    uint32_t reserved[13];
};
static_assert(sizeof(RemoveBuffers) == 64);

}  // namespace daedalus::v4l2

#ifndef VIDIOC_REMOVE_BUFS
#define VIDIOC_REMOVE_BUFS _IOWR('V', 104, daedalus::v4l2::RemoveBuffers)
#endif
