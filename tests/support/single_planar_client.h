// A client that speaks the single-planar API for tests that are written against the multi-planar one: such a test then shows
// that a single-planar node does the same. It is the product's conversion the other way round, and shares no code with it.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "daedalus/v4l2/uapi.h"
#include "test_node.h"

namespace daedalus::test {

/// Passes on each call in single-planar form. A test's single-planar types become multi-planar ones: what is the wrong API
/// stays the wrong one. A buffer has one plane without data_offset; tests that want more are of multi-planar nodes only.
class SinglePlanarClient final : public Client {
public:
    explicit SinglePlanarClient(std::unique_ptr<Client> client) : client_(std::move(client)) {}

    int ioctl(unsigned long cmd, void* argument) override {
        if (reinterpret_cast<uintptr_t>(argument) < kLowestAddress) return client_->ioctl(cmd, argument);
        switch (cmd) {
            case VIDIOC_QUERYCAP:
                return queryCapabilities(argument);
            case VIDIOC_ENUM_FMT:
                return withType<v4l2_fmtdesc>(cmd, argument);
            case VIDIOC_REQBUFS:
                return withType<v4l2_requestbuffers>(cmd, argument);
            case VIDIOC_REMOVE_BUFS:
                return withType<v4l2::RemoveBuffers>(cmd, argument);
            case VIDIOC_EXPBUF:
                return withType<v4l2_exportbuffer>(cmd, argument);
            case VIDIOC_STREAMON:
            case VIDIOC_STREAMOFF: {
                uint32_t type = other(*static_cast<uint32_t*>(argument));
                return client_->ioctl(cmd, &type);
            }
            case VIDIOC_G_FMT:
            case VIDIOC_S_FMT:
            case VIDIOC_TRY_FMT:
                return withFormat(cmd, static_cast<v4l2_format*>(argument), argument);
            case VIDIOC_CREATE_BUFS:
                return withFormat(cmd, &static_cast<v4l2::CreateBuffers*>(argument)->format, argument);
            case VIDIOC_QUERYBUF:
            case VIDIOC_PREPARE_BUF:
            case VIDIOC_QBUF:
            case VIDIOC_DQBUF:
                return withBuffer(cmd, *static_cast<v4l2_buffer*>(argument));
            default:
                return client_->ioctl(cmd, argument);
        }
    }
    void* mmap(size_t length, int protection, uint64_t offset) override { return client_->mmap(length, protection, offset); }
    short poll(short events, int timeoutMs) override { return client_->poll(events, timeoutMs); }
    void setNonblocking(bool nonblocking) override { client_->setNonblocking(nonblocking); }
    [[nodiscard]] int fd() const override { return client_->fd(); }

private:
    /// Below lies no memory: such an argument is the node's to refuse.
    static constexpr uintptr_t kLowestAddress = 4096;

    static uint32_t other(uint32_t type) {
        switch (type) {
            case V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE:
                return V4L2_BUF_TYPE_VIDEO_CAPTURE;
            case V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE:
                return V4L2_BUF_TYPE_VIDEO_OUTPUT;
            case V4L2_BUF_TYPE_VIDEO_CAPTURE:
                return V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
            case V4L2_BUF_TYPE_VIDEO_OUTPUT:
                return V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
            default:
                return type;
        }
    }

    int queryCapabilities(void* argument) {
        const int error = client_->ioctl(VIDIOC_QUERYCAP, argument);
        if (error != 0) return error;
        auto& cap = *static_cast<v4l2_capability*>(argument);
        for (uint32_t* const caps : {&cap.capabilities, &cap.device_caps})
            if (*caps & V4L2_CAP_VIDEO_M2M) *caps ^= V4L2_CAP_VIDEO_M2M | V4L2_CAP_VIDEO_M2M_MPLANE;
        return 0;
    }

    template <class Argument>
    int withType(unsigned long cmd, void* argument) {
        auto& type = static_cast<Argument*>(argument)->type;
        const auto asked = type;
        type = other(asked);
        const int error = client_->ioctl(cmd, argument);
        type = asked;
        return error;
    }

    /// `format` is all or a part of `argument`.
    int withFormat(unsigned long cmd, v4l2_format* format, void* argument) {
        const v4l2_format asked = *format;
        const auto& planar = asked.fmt.pix_mp;
        format->type = other(asked.type);
        format->fmt.pix = {.width = planar.width,
                           .height = planar.height,
                           .pixelformat = planar.pixelformat,
                           .field = planar.field,
                           .bytesperline = planar.plane_fmt[0].bytesperline,
                           .sizeimage = planar.num_planes == 0 ? 0 : planar.plane_fmt[0].sizeimage,
                           .colorspace = planar.colorspace,
                           .priv = V4L2_PIX_FMT_PRIV_MAGIC,
                           .flags = planar.flags,
                           .ycbcr_enc = planar.ycbcr_enc,
                           .quantization = planar.quantization,
                           .xfer_func = planar.xfer_func};
        const int error = client_->ioctl(cmd, argument);
        if (error != 0) {
            *format = asked;
            return error;
        }
        const v4l2_pix_format pix = format->fmt.pix;
        format->type = asked.type;
        auto& result = format->fmt.pix_mp;
        result = {.width = pix.width,
                  .height = pix.height,
                  .pixelformat = pix.pixelformat,
                  .field = pix.field,
                  .colorspace = pix.colorspace,
                  .num_planes = 1,
                  .flags = static_cast<__u8>(pix.flags),
                  .ycbcr_enc = static_cast<__u8>(pix.ycbcr_enc),
                  .quantization = static_cast<__u8>(pix.quantization),
                  .xfer_func = static_cast<__u8>(pix.xfer_func)};
        result.plane_fmt[0].sizeimage = pix.sizeimage;
        result.plane_fmt[0].bytesperline = pix.bytesperline;
        return 0;
    }

    int withBuffer(unsigned long cmd, v4l2_buffer& argument) {
        v4l2_plane& plane = *argument.m.planes;
        v4l2_buffer buffer = argument;
        buffer.type = other(argument.type);
        buffer.bytesused = plane.bytesused;
        buffer.length = plane.length;
        std::memcpy(&buffer.m, &plane.m, sizeof plane.m);
        const int error = client_->ioctl(cmd, &buffer);
        if (error != 0) return error;
        plane = {};
        plane.bytesused = buffer.bytesused;
        plane.length = buffer.length;
        std::memcpy(&plane.m, &buffer.m, sizeof plane.m);
        buffer.type = argument.type;
        buffer.bytesused = 0;
        buffer.length = 1;
        buffer.m.planes = &plane;
        argument = buffer;
        return 0;
    }

    std::unique_ptr<Client> client_;
};

}  // namespace daedalus::test
