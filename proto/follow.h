// Which memory the pointers inside an ioctl argument lead to. Shared by every transport and by the preload library, so it
// is plain code over UAPI structs: no allocation, no exceptions, no library.
#pragma once

#include <linux/videodev2.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "proto/media.h"

namespace daedalus::proto {

/// How an ioctl's argument points to more memory. A row of the ioctl table names one of these.
enum class Follow : uint8_t {
    None,         ///< flat
    Planes,       ///< struct v4l2_buffer: m.planes[length] for the multi-planar types
    ExtControls,  ///< struct v4l2_ext_controls: controls[count], and from each compound control its payload
    Topology,     ///< struct media_v2_topology: the four arrays
    Links,        ///< struct media_links_enum: the two arrays
};

/// What a call does with the client's own memory (USERPTR, DMABUF).
enum class MemoryRole : uint8_t {
    None,
    Give,  ///< hands planes to the device
    Take,  ///< takes them back
};

/// One nested array: `length` bytes at the client address that is stored (64 bit) at `offset` of its parent.
struct NestedRef {
    uint32_t parent = 0;  ///< 0: the argument itself; n: the n-th nested array (counted from 1)
    uint32_t offset = 0;  ///< of the pointer field, bytes from the start of the parent
    uint32_t length = 0;  ///< bytes pointed to
};

/// More nested arrays than this in one call do not occur: 1 + V4L2_CID_MAX_CTRLS.
inline constexpr size_t kMaxNested = 1 + V4L2_CID_MAX_CTRLS;
/// No nested array is longer than this.
inline constexpr uint32_t kMaxNestedBytes = V4L2_CID_MAX_CTRLS * sizeof(v4l2_ext_control);

/// The nested array that the argument itself points to. Returns 0 (none, or nothing to follow), 1 (`*out` is set), or a
/// negative errno as the kernel's check_array_args() gives it (EINVAL for too many planes or controls).
inline int followArgument(Follow follow, const void* argument, size_t size, NestedRef* out) {
    switch (follow) {
        case Follow::None:
        case Follow::Topology:
        case Follow::Links:
            return 0;
        case Follow::Planes: {
            v4l2_buffer buffer;
            if (size < sizeof buffer) return 0;
            std::memcpy(&buffer, argument, sizeof buffer);
            if (!V4L2_TYPE_IS_MULTIPLANAR(buffer.type) || buffer.length == 0) return 0;
            if (buffer.length > VIDEO_MAX_PLANES) return -EINVAL;
            *out = {0, offsetof(v4l2_buffer, m.planes), static_cast<uint32_t>(buffer.length * sizeof(v4l2_plane))};
            return 1;
        }
        case Follow::ExtControls: {
            v4l2_ext_controls controls;
            if (size < sizeof controls) return 0;
            std::memcpy(&controls, argument, sizeof controls);
            if (controls.count == 0) return 0;
            if (controls.count > V4L2_CID_MAX_CTRLS) return -EINVAL;
            *out = {0, offsetof(v4l2_ext_controls, controls), static_cast<uint32_t>(controls.count * sizeof(v4l2_ext_control))};
            return 1;
        }
    }
    return 0;
}

/// Most arrays that followArrays() finds.
inline constexpr size_t kMaxArrays = 4;

/// All of them together are no longer.
inline constexpr uint32_t kMaxArrayBytes = 2048;
static_assert(kTopologyEntityCount * sizeof(media_v2_entity) + kTopologyInterfaceCount * sizeof(media_v2_interface) +
                  kTopologyPadCount * sizeof(media_v2_pad) + kTopologyLinkCount * sizeof(media_v2_link) <=
              kMaxArrayBytes);

/// The arrays that the arguments of a media device point to, all of which the device only writes: fills `out` (kMaxArrays
/// entries, parent 0) and returns how many. As long as what will be written there; those that are not wanted, or are said to be
/// too short, are left out. 0 for every other Follow.
inline size_t followArrays(Follow follow, const void* argument, size_t size, NestedRef* out) {
    size_t found = 0;
    const auto add = [&](uint64_t pointer, size_t offset, size_t bytes) {
        if (pointer != 0 && bytes != 0) out[found++] = {0, static_cast<uint32_t>(offset), static_cast<uint32_t>(bytes)};
    };
    if (follow == Follow::Topology && size >= sizeof(media_v2_topology)) {
        media_v2_topology wanted;
        std::memcpy(&wanted, argument, sizeof wanted);
        const auto array = [&](uint64_t pointer, size_t offset, uint32_t room, uint32_t count, size_t bytes) {
            add(pointer, offset, room >= count ? count * bytes : 0);
        };
        array(wanted.ptr_entities, offsetof(media_v2_topology, ptr_entities), wanted.num_entities, kTopologyEntityCount,
              sizeof(media_v2_entity));
        array(wanted.ptr_interfaces, offsetof(media_v2_topology, ptr_interfaces), wanted.num_interfaces,
              kTopologyInterfaceCount, sizeof(media_v2_interface));
        array(wanted.ptr_pads, offsetof(media_v2_topology, ptr_pads), wanted.num_pads, kTopologyPadCount, sizeof(media_v2_pad));
        array(wanted.ptr_links, offsetof(media_v2_topology, ptr_links), wanted.num_links, kTopologyLinkCount,
              sizeof(media_v2_link));
    }
    if (follow == Follow::Links && size >= sizeof(media_links_enum)) {
        media_links_enum wanted;
        std::memcpy(&wanted, argument, sizeof wanted);
        add(reinterpret_cast<uintptr_t>(wanted.pads), offsetof(media_links_enum, pads),
            padsOf(wanted.entity) * sizeof(media_pad_desc));
        add(reinterpret_cast<uintptr_t>(wanted.links), offsetof(media_links_enum, links),
            linksOf(wanted.entity) * sizeof(media_link_desc));
    }
    return found;
}

/// The one plane of a buffer of the single-planar API, as the multi-planar API would describe it.
inline v4l2_plane onlyPlane(const v4l2_buffer& buffer) {
    v4l2_plane plane;
    std::memset(&plane, 0, sizeof plane);
    plane.bytesused = buffer.bytesused;
    plane.length = buffer.length;
    // The widest member of both unions; the others are its first bytes.
    static_assert(sizeof plane.m == sizeof plane.m.userptr && sizeof buffer.m == sizeof buffer.m.userptr);
    plane.m.userptr = buffer.m.userptr;
    return plane;
}

/// The descriptor of a request that the argument names, or -1.
inline int requestOf(Follow follow, const void* argument, size_t size) {
    if (follow == Follow::Planes) {
        v4l2_buffer buffer;
        if (size < sizeof buffer) return -1;
        std::memcpy(&buffer, argument, sizeof buffer);
        return (buffer.flags & V4L2_BUF_FLAG_REQUEST_FD) != 0 ? buffer.request_fd : -1;
    }
    if (follow == Follow::ExtControls) {
        v4l2_ext_controls controls;
        if (size < sizeof controls) return -1;
        std::memcpy(&controls, argument, sizeof controls);
        return controls.which == V4L2_CTRL_WHICH_REQUEST_VAL ? controls.request_fd : -1;
    }
    return -1;
}

/// Bytes of a compound control's payload; 0 for a control whose value stands in v4l2_ext_control itself.
inline uint32_t payloadBytes(uint32_t id) {
    switch (id & V4L2_CTRL_ID_MASK) {
        case V4L2_CID_COLORIMETRY_HDR10_CLL_INFO:
            return sizeof(v4l2_ctrl_hdr10_cll_info);
        case V4L2_CID_COLORIMETRY_HDR10_MASTERING_DISPLAY:
            return sizeof(v4l2_ctrl_hdr10_mastering_display);
        case V4L2_CID_STATELESS_H264_SPS:
            return sizeof(v4l2_ctrl_h264_sps);
        case V4L2_CID_STATELESS_H264_PPS:
            return sizeof(v4l2_ctrl_h264_pps);
        case V4L2_CID_STATELESS_H264_SCALING_MATRIX:
            return sizeof(v4l2_ctrl_h264_scaling_matrix);
        case V4L2_CID_STATELESS_H264_DECODE_PARAMS:
            return sizeof(v4l2_ctrl_h264_decode_params);
        case V4L2_CID_STATELESS_VP8_FRAME:
            return sizeof(v4l2_ctrl_vp8_frame);
        case V4L2_CID_STATELESS_MPEG2_SEQUENCE:
            return sizeof(v4l2_ctrl_mpeg2_sequence);
        case V4L2_CID_STATELESS_MPEG2_PICTURE:
            return sizeof(v4l2_ctrl_mpeg2_picture);
        case V4L2_CID_STATELESS_MPEG2_QUANTISATION:
            return sizeof(v4l2_ctrl_mpeg2_quantisation);
        case V4L2_CID_STATELESS_VP9_FRAME:
            return sizeof(v4l2_ctrl_vp9_frame);
        default:
            return 0;
    }
}

/// How many entries followNested() fills at most.
inline size_t mostNested(Follow follow, size_t firstBytes) {
    return follow == Follow::ExtControls ? firstBytes / sizeof(v4l2_ext_control) : 0;
}

/// The nested arrays that the first nested array points to in turn (payloads of compound controls): fills up to `max` entries
/// of `out` (parent 1) and returns how many. `first` are the bytes of the first nested array. As in the kernel, no more than
/// the payload is touched, and nothing at all where the client says that it has less room.
inline size_t followNested(Follow follow, const void* first, size_t size, NestedRef* out, size_t max) {
    if (follow != Follow::ExtControls) return 0;
    size_t found = 0;
    for (size_t at = 0; at + sizeof(v4l2_ext_control) <= size && found < max; at += sizeof(v4l2_ext_control)) {
        v4l2_ext_control control;
        std::memcpy(&control, static_cast<const char*>(first) + at, sizeof control);
        const uint32_t bytes = payloadBytes(control.id);
        if (bytes == 0 || control.size < bytes) continue;
        out[found++] = {1, static_cast<uint32_t>(at + offsetof(v4l2_ext_control, ptr)), bytes};
    }
    return found;
}

}  // namespace daedalus::proto
