#include "endpoint_single_planar.h"

#include <cerrno>
#include <utility>

#include "daedalus/ioctl/single_planar.h"
#include "daedalus/v4l2/uapi.h"

namespace daedalus::tools {
namespace {

class SinglePlanarEndpoint final : public Endpoint {
public:
    explicit SinglePlanarEndpoint(std::unique_ptr<Endpoint> device) : Endpoint(device->name()), device_(std::move(device)) {}

    int ioctl(unsigned long cmd, void* argument) override {
        switch (cmd) {
            case VIDIOC_ENUM_FMT:
                return convert<v4l2_fmtdesc>(cmd, argument);
            case VIDIOC_G_FMT:
            case VIDIOC_S_FMT:
            case VIDIOC_TRY_FMT:
                return convert<v4l2_format>(cmd, argument);
            case VIDIOC_REQBUFS:
                return convert<v4l2_requestbuffers>(cmd, argument);
            case VIDIOC_QUERYBUF:
            case VIDIOC_QBUF:
            case VIDIOC_DQBUF:
                return convertBuffer(cmd, *static_cast<v4l2_buffer*>(argument));
            case VIDIOC_STREAMON:
            case VIDIOC_STREAMOFF:
                return convert<int>(cmd, argument);
            default:
                return device_->ioctl(cmd, argument);
        }
    }
    void* map(size_t length, uint64_t offset) override { return device_->map(length, offset); }
    int poll(short events, short* revents, int timeoutMs) override { return device_->poll(events, revents, timeoutMs); }

private:
    template <class Argument>
    int convert(unsigned long cmd, void* argument) {
        Argument converted = *static_cast<Argument*>(argument);
        ioctl::toSinglePlanar(converted);
        if (device_->ioctl(cmd, &converted) != 0) return -1;
        v4l2_plane none{};
        ioctl::toMultiPlanar(converted, none);
        *static_cast<Argument*>(argument) = converted;
        return 0;
    }

    /// The answer's plane goes where the caller wants it.
    int convertBuffer(unsigned long cmd, v4l2_buffer& argument) {
        v4l2_buffer converted = argument;
        ioctl::toSinglePlanar(converted);
        if (device_->ioctl(cmd, &converted) != 0) return -1;
        v4l2_plane* const planes = argument.m.planes;
        ioctl::toMultiPlanar(converted, *planes);
        argument = converted;
        return 0;
    }

    std::unique_ptr<Endpoint> device_;
};

}  // namespace

std::unique_ptr<Endpoint> asMultiPlanar(std::unique_ptr<Endpoint> device) {
    return std::make_unique<SinglePlanarEndpoint>(std::move(device));
}

}  // namespace daedalus::tools
