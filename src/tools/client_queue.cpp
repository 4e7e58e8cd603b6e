#include "client_queue.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace daedalus::tools {
namespace {

constexpr uint64_t kMicrosecondsPerSecond = 1000000;

}  // namespace

std::string ClientQueue::call(const char* name) const {
    return std::string(name) + (V4L2_TYPE_IS_OUTPUT(type_) ? "(OUTPUT)" : "(CAPTURE)");
}

Outcome<> ClientQueue::allocate(uint32_t count, const v4l2_pix_format_mplane& format) {
    v4l2_requestbuffers request{};
    request.count = count;
    request.type = type_;
    request.memory = memory_;
    if (endpoint_.ioctl(VIDIOC_REQBUFS, &request) != 0) {
        if (errno == EINVAL)
            return failure("{}: {} refuses this memory type; choose another --memory", endpoint_.name(),
                           call("VIDIOC_REQBUFS"));
        return callFailure(endpoint_, call("VIDIOC_REQBUFS"), errno);
    }
    buffers_.clear();
    for (uint32_t index = 0; index < request.count; ++index) {
        std::array<v4l2_plane, VIDEO_MAX_PLANES> planes{};
        v4l2_buffer described{};
        described.index = index;
        described.type = type_;
        described.memory = memory_;
        described.length = std::min<uint32_t>(format.num_planes, VIDEO_MAX_PLANES);
        described.m.planes = planes.data();
        if (endpoint_.ioctl(VIDIOC_QUERYBUF, &described) != 0) return callFailure(endpoint_, call("VIDIOC_QUERYBUF"), errno);
        Buffer buffer;
        for (uint32_t i = 0; i < format.num_planes && i < VIDEO_MAX_PLANES; ++i) {
            auto plane = makePlane(planes[i], format.plane_fmt[i].sizeimage);
            if (!plane) return failure(plane.error());
            buffer.planes.push_back(std::move(*plane));
        }
        buffers_.push_back(std::move(buffer));
    }
    queued_ = 0;
    return {};
}

Outcome<ClientQueue::Plane> ClientQueue::makePlane(const v4l2_plane& described, uint32_t sizeImage) const {
    Plane plane;
    const auto map = [&](void* address, size_t length) {
        if (address == MAP_FAILED) return false;
        plane.mapping = Mapping(address, length);
        return true;
    };
    if (memory_ == V4L2_MEMORY_MMAP) {
        plane.length = described.length;
        if (!map(endpoint_.map(described.length, described.m.mem_offset), described.length))
            return callFailure(endpoint_, call("mmap"), errno);
        return plane;
    }
    plane.length = sizeImage;
    if (memory_ == V4L2_MEMORY_USERPTR) {
        auto pages = Pages::allocate(sizeImage);
        if (!pages) return callFailure(endpoint_, call("aligned_alloc"), pages.error().value);
        plane.pages = std::move(*pages);
        return plane;
    }
    auto dmabuf = dmabufs_.allocate(sizeImage);
    if (!dmabuf)
        return failure("cannot allocate a {} of {} bytes: {}; choose another --memory", dmabufs_.kind(), sizeImage,
                       std::strerror(dmabuf.error().value));
    plane.dmabuf = std::move(*dmabuf);
    if (!map(::mmap(nullptr, sizeImage, PROT_READ | PROT_WRITE, MAP_SHARED, plane.dmabuf.get(), 0), sizeImage))
        return failure("cannot map a {}: {}; choose another --memory", dmabufs_.kind(), std::strerror(errno));
    return plane;
}

Outcome<> ClientQueue::release() {
    if (const auto off = streamOff(); !off) return off;
    buffers_.clear();
    v4l2_requestbuffers request{};
    request.type = type_;
    request.memory = memory_;
    if (endpoint_.ioctl(VIDIOC_REQBUFS, &request) != 0) return callFailure(endpoint_, call("VIDIOC_REQBUFS"), errno);
    return {};
}

Outcome<> ClientQueue::streamOn() {
    auto type = static_cast<int>(type_);
    if (endpoint_.ioctl(VIDIOC_STREAMON, &type) != 0) return callFailure(endpoint_, call("VIDIOC_STREAMON"), errno);
    streaming_ = true;
    return {};
}

Outcome<> ClientQueue::streamOff() {
    auto type = static_cast<int>(type_);
    if (endpoint_.ioctl(VIDIOC_STREAMOFF, &type) != 0) return callFailure(endpoint_, call("VIDIOC_STREAMOFF"), errno);
    streaming_ = false;
    queued_ = 0;
    for (Buffer& buffer : buffers_) buffer.queued = false;
    return {};
}

Outcome<> ClientQueue::queue(uint32_t index, uint32_t bytesUsed, uint64_t timestampUs) {
    Buffer& buffer = buffers_[index];
    std::array<v4l2_plane, VIDEO_MAX_PLANES> planes{};
    v4l2_buffer arg{};
    arg.index = index;
    arg.type = type_;
    arg.memory = memory_;
    arg.field = V4L2_FIELD_NONE;
    arg.timestamp.tv_sec = static_cast<time_t>(timestampUs / kMicrosecondsPerSecond);
    arg.timestamp.tv_usec = static_cast<suseconds_t>(timestampUs % kMicrosecondsPerSecond);
    arg.length = static_cast<uint32_t>(buffer.planes.size());
    arg.m.planes = planes.data();
    for (size_t i = 0; i < buffer.planes.size(); ++i) {
        const Plane& plane = buffer.planes[i];
        planes[i].length = plane.length;
        if (V4L2_TYPE_IS_OUTPUT(type_)) planes[i].bytesused = i == 0 ? bytesUsed : 0;
        if (memory_ == V4L2_MEMORY_USERPTR) planes[i].m.userptr = reinterpret_cast<unsigned long>(plane.pages.bytes().data());
        if (memory_ == V4L2_MEMORY_DMABUF) planes[i].m.fd = plane.dmabuf.get();
    }
    if (endpoint_.ioctl(VIDIOC_QBUF, &arg) != 0) {
        const int error = errno;
        if (memory_ == V4L2_MEMORY_DMABUF && error == EINVAL)
            return failure("{}: {} refuses a {}; choose another --memory", endpoint_.name(), call("VIDIOC_QBUF"),
                           dmabufs_.kind());
        return callFailure(endpoint_, call("VIDIOC_QBUF"), error);
    }
    buffer.queued = true;
    ++queued_;
    return {};
}

Outcome<std::optional<Dequeued>> ClientQueue::dequeue() {
    std::array<v4l2_plane, VIDEO_MAX_PLANES> planes{};
    v4l2_buffer arg{};
    arg.type = type_;
    arg.memory = memory_;
    arg.length = VIDEO_MAX_PLANES;
    arg.m.planes = planes.data();
    if (endpoint_.ioctl(VIDIOC_DQBUF, &arg) != 0) {
        if (errno == EAGAIN || errno == EINTR) return std::optional<Dequeued>();
        if (errno == EPIPE) return Dequeued{.last = true, .empty = true};
        return callFailure(endpoint_, call("VIDIOC_DQBUF"), errno);
    }
    if (arg.index >= buffers_.size() || !buffers_[arg.index].queued)
        return failure("{}: {} returned buffer {}, which it did not have; the driver is broken", endpoint_.name(),
                       call("VIDIOC_DQBUF"), arg.index);
    buffers_[arg.index].queued = false;
    --queued_;
    Dequeued result;
    result.index = arg.index;
    result.flags = arg.flags;
    result.timestampUs =
        static_cast<uint64_t>(arg.timestamp.tv_sec) * kMicrosecondsPerSecond + static_cast<uint64_t>(arg.timestamp.tv_usec);
    for (size_t i = 0; i < buffers_[arg.index].planes.size(); ++i) result.bytesUsed += planes[i].bytesused;
    result.last = (arg.flags & V4L2_BUF_FLAG_LAST) != 0;
    return result;
}

std::optional<uint32_t> ClientQueue::freeBuffer() const {
    const auto found = std::ranges::find(buffers_, false, &Buffer::queued);
    if (found == buffers_.end()) return std::nullopt;
    return static_cast<uint32_t>(found - buffers_.begin());
}

std::span<std::byte> ClientQueue::plane(uint32_t index, uint32_t plane) const {
    const Plane& memory = buffers_[index].planes[plane];
    const auto bytes = memory_ == V4L2_MEMORY_USERPTR ? memory.pages.bytes() : memory.mapping.bytes();
    return bytes.first(memory.length);
}

void ClientQueue::beginAccess(uint32_t index) const {
    if (memory_ != V4L2_MEMORY_DMABUF) return;
    for (const Plane& plane : buffers_[index].planes) dmabufs_.beginAccess(plane.dmabuf.get());
}

void ClientQueue::endAccess(uint32_t index) const {
    if (memory_ != V4L2_MEMORY_DMABUF) return;
    for (const Plane& plane : buffers_[index].planes) dmabufs_.endAccess(plane.dmabuf.get());
}

}  // namespace daedalus::tools
