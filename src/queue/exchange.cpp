// QBUF, PREPARE_BUF, DQBUF, QUERYBUF: buffers between the client and the queue.
#include <algorithm>
#include <tuple>
#include <utility>

#include "buffer.h"
#include "daedalus/queue/queue.h"
#include "daedalus/v4l2/formats.h"
#include "daedalus/v4l2/frame_flags.h"

namespace daedalus::queue {

Result<Queue::Buffer*> Queue::checkRequest(const BufferRequest& request) const {
    Buffer* buffer = find(request.index);
    if (!buffer) return daedalus::fail(EINVAL);
    if (request.memory != memory_) return daedalus::fail(EINVAL);
    if (request.planeCount < buffer->planeCount) return daedalus::fail(EINVAL);
    return buffer;
}

Result<> Queue::checkPayload(const Buffer& buffer, const BufferRequest& request) const {
    if (!isOutput()) return {};
    if (request.field == V4L2_FIELD_ALTERNATE) return daedalus::fail(EINVAL);
    for (uint32_t i = 0; i < buffer.planeCount; ++i) {
        const auto& plane = request.planes[i];
        const bool clientsLength = memory_ != V4L2_MEMORY_MMAP && plane.length > 0;
        const uint32_t length = clientsLength ? plane.length : buffer.planes[i].info.length;
        const uint32_t used = plane.bytesUsed ? plane.bytesUsed : length;
        if (used > length) return daedalus::fail(EINVAL);
        // Before anything of it is touched, where that is known already.
        if (used > v4l2::kMaxPayloadBytes) return daedalus::fail(EINVAL);
        if (plane.dataOffset > 0 && plane.dataOffset >= used) return daedalus::fail(EINVAL);
    }
    return {};
}

Result<> Queue::attach(Buffer& buffer, const BufferRequest& request, memory::ClientMemory* client) {
    if (memory_ == V4L2_MEMORY_MMAP) return {};
    if (!client) return daedalus::fail(EINVAL);
    for (uint32_t i = 0; i < buffer.planeCount; ++i) {
        auto& share = buffer.planes[i].share;
        const uint64_t before = share.bytes();
        const auto attached = attachPlane(buffer, i, request.planes[i], *client);
        if (attached) continue;
        // It still has the memory of before.
        if (share) std::ignore = share.resize(before);
        return attached;
    }
    return {};
}

Result<> Queue::attachPlane(Buffer& buffer, uint32_t index, const PlaneInfo& wanted, memory::ClientMemory& client) {
    const auto access = isOutput() ? memory::Access::Read : memory::Access::Write;
    auto& plane = buffer.planes[index];
    const memory::PlaneSlot slot{type_, buffer.index, index};
    const bool userptr = memory_ == V4L2_MEMORY_USERPTR;
    // DMABUF: length 0 means the whole file.
    if ((userptr || wanted.length > 0) && wanted.length < buffer.minLength[index]) return daedalus::fail(EINVAL);
    // Paid for before it is there: a transport may copy it.
    if (auto ok = charge(plane.share, std::max<uint64_t>(plane.share.bytes(), wanted.length)); !ok) return ok;
    auto memory = userptr ? client.importUserptr(slot, wanted.userptr, wanted.length, access, plane.memory)
                          : client.importDmabuf(slot, wanted.fd, wanted.length, access, plane.memory);
    if (!memory) return daedalus::fail(memory.error());
    const size_t length = wanted.length > 0 ? wanted.length : (*memory)->size();
    if (length < buffer.minLength[index]) return daedalus::fail(EINVAL);
    if (length > (*memory)->size()) return daedalus::fail(EFAULT);
    // What is not in this process costs it nothing.
    if (auto ok = charge(plane.share, (*memory)->bytes().size()); !ok) return ok;
    plane.memory = *std::move(memory);
    plane.info.length = static_cast<uint32_t>(std::min<size_t>(length, UINT32_MAX));
    plane.info.userptr = wanted.userptr;
    plane.info.fd = wanted.fd;
    return {};
}

Result<> Queue::fill(Buffer& buffer, const BufferRequest& request, memory::ClientMemory* client) {
    if (auto ok = checkPayload(buffer, request); !ok) return ok;
    if (auto ok = attach(buffer, request, client); !ok) return ok;
    for (uint32_t i = 0; i < buffer.planeCount; ++i) {
        auto& info = buffer.planes[i].info;
        const auto& wanted = request.planes[i];
        info.dataOffset = isOutput() ? wanted.dataOffset : 0;
        info.bytesUsed = !isOutput() ? 0 : (wanted.bytesUsed ? wanted.bytesUsed : info.length);
        // The codec copies it: an empty file of that size would cost memory that nobody has.
        if (info.bytesUsed > v4l2::kMaxPayloadBytes) return daedalus::fail(EINVAL);
    }
    buffer.field = request.field == V4L2_FIELD_ANY || !isOutput() ? uint32_t{V4L2_FIELD_NONE} : request.field;
    return {};
}

Result<BufferInfo> Queue::prepare(const BufferRequest& request, memory::ClientMemory* client) {
    auto found = checkRequest(request);
    if (!found) return daedalus::fail(found.error());
    Buffer& buffer = **found;
    if (buffer.state != BufferState::Dequeued || buffer.prepared) return daedalus::fail(EINVAL);
    setState(buffer, BufferState::Preparing);
    auto ok = fill(buffer, request, client);
    setState(buffer, BufferState::Dequeued);
    if (!ok) return daedalus::fail(ok.error());
    buffer.prepared = true;
    return describe(buffer);
}

Result<> Queue::hand(Buffer& buffer, const BufferRequest& request, memory::ClientMemory* client, BufferState to) {
    if (buffer.state != BufferState::Dequeued) return daedalus::fail(EINVAL);
    setState(buffer, BufferState::Preparing);
    if (!buffer.prepared) {
        if (auto ok = fill(buffer, request, client); !ok) {
            setState(buffer, BufferState::Dequeued);
            return ok;
        }
    }
    buffer.prepared = true;
    buffer.last = false;
    buffer.metadata = isOutput() ? request.metadata : Metadata{};
    const uint32_t hold = requests_ == Requests::Required ? uint32_t{V4L2_BUF_FLAG_M2M_HOLD_CAPTURE_BUF} : 0;
    buffer.metadata.flags &= v4l2::kFrameFlags | V4L2_BUF_FLAG_TSTAMP_SRC_MASK | hold;
    setState(buffer, to);
    return {};
}

Result<BufferInfo> Queue::enqueue(const BufferRequest& request, memory::ClientMemory* client) {
    if (failed_) return daedalus::fail(EIO);
    auto found = checkRequest(request);
    if (!found) return daedalus::fail(found.error());
    if (requests_ == Requests::Required) return daedalus::fail(EBADR);
    Buffer& buffer = **found;
    if (auto ok = hand(buffer, request, client, BufferState::Queued); !ok) return daedalus::fail(ok.error());
    queued_.push_back(buffer.index);
    if (phase_ == Phase::Streaming) owner_.bufferQueued(*this);
    owner_.queueChanged(*this);
    return describe(buffer);
}

Result<BufferInfo> Queue::bind(const BufferRequest& request, int32_t fd, memory::ClientMemory* client) {
    if (failed_) return daedalus::fail(EIO);
    auto found = checkRequest(request);
    if (!found) return daedalus::fail(found.error());
    if (requests_ == Requests::None) return daedalus::fail(EBADR);
    Buffer& buffer = **found;
    if (auto ok = hand(buffer, request, client, BufferState::InRequest); !ok) return daedalus::fail(ok.error());
    buffer.requestFd = fd;
    return describe(buffer);
}

Result<> Queue::mayBind(const BufferRequest& request) const {
    if (failed_) return daedalus::fail(EIO);
    const auto found = checkRequest(request);
    if (!found) return daedalus::fail(found.error());
    return (*found)->state == BufferState::Dequeued ? Result<>{} : daedalus::fail(EINVAL);
}

void Queue::unbind(uint32_t index) {
    Buffer* const buffer = find(index);
    if (!buffer || buffer->state != BufferState::InRequest) return;
    setState(*buffer, BufferState::Dequeued);
    buffer->prepared = false;
    buffer->requestFd = -1;
}

void Queue::enqueueBound(uint32_t index) {
    Buffer* const buffer = find(index);
    if (!buffer || buffer->state != BufferState::InRequest) return;
    setState(*buffer, BufferState::Queued);
    queued_.push_back(index);
    if (phase_ == Phase::Streaming) owner_.bufferQueued(*this);
    owner_.queueChanged(*this);
}

std::optional<BufferInfo> Queue::next() const {
    if (phase_ != Phase::Streaming || queued_.empty()) return std::nullopt;
    return describe(*buffers_[queued_.front()]);
}

bool Queue::dropLastHold() {
    if (queued_.empty()) return false;
    buffers_[queued_.back()]->metadata.flags &= ~uint32_t{V4L2_BUF_FLAG_M2M_HOLD_CAPTURE_BUF};
    return true;
}

Result<BufferInfo> Queue::dequeue(uint32_t planesProvided) {
    if (phase_ != Phase::Streaming) return daedalus::fail(EINVAL);
    if (failed_) return daedalus::fail(EIO);
    if (lastDequeued_) {
        if (!std::exchange(endTold_, true)) {
            owner_.queueChanged(*this);
            endAgain_ = loop_.timer(kEndAgain, std::chrono::milliseconds::zero(), [this] {
                endTold_ = false;
                owner_.queueChanged(*this);
            });
        }
        return daedalus::fail(EPIPE);
    }
    if (done_.empty()) return daedalus::fail(EAGAIN);
    Buffer& buffer = *buffers_[done_.front()];
    if (planesProvided < buffer.planeCount) return daedalus::fail(EINVAL);
    done_.pop_front();
    BufferInfo info = describe(buffer);
    info.flags &= ~uint32_t{V4L2_BUF_FLAG_DONE};
    if (!isOutput() && buffer.last) {
        lastDequeued_ = true;
        endTold_ = false;
    }
    setState(buffer, BufferState::Dequeued);
    buffer.prepared = false;
    buffer.requestFd = -1;
    owner_.bufferDequeued(*this);
    owner_.queueChanged(*this);
    return info;
}

Result<BufferInfo> Queue::query(uint32_t index) const {
    const Buffer* buffer = find(index);
    if (!buffer) return daedalus::fail(EINVAL);
    return describe(*buffer);
}

BufferInfo Queue::describe(const Buffer& buffer) const {
    BufferInfo info;
    info.index = buffer.index;
    info.memory = memory_;
    info.field = buffer.field;
    info.sequence = buffer.sequence;
    info.metadata = buffer.metadata;
    info.planeCount = buffer.planeCount;
    for (uint32_t i = 0; i < buffer.planeCount; ++i) info.planes[i] = buffer.planes[i].info;

    info.flags = V4L2_BUF_FLAG_TIMESTAMP_COPY | buffer.metadata.flags;
    info.requestFd = buffer.requestFd;
    if (buffer.requestFd >= 0) info.flags |= V4L2_BUF_FLAG_REQUEST_FD;
    if (buffer.metadata.timecode) info.flags |= V4L2_BUF_FLAG_TIMECODE;
    if (buffer.last) info.flags |= V4L2_BUF_FLAG_LAST;
    if (buffer.shared) info.flags |= V4L2_BUF_FLAG_MAPPED;
    switch (buffer.state) {
        case BufferState::Queued:
        case BufferState::Active:
            info.flags |= V4L2_BUF_FLAG_QUEUED;
            break;
        case BufferState::Error:
            info.flags |= V4L2_BUF_FLAG_ERROR | V4L2_BUF_FLAG_DONE;
            break;
        case BufferState::Done:
            info.flags |= V4L2_BUF_FLAG_DONE;
            break;
        case BufferState::InRequest:
            info.flags |= V4L2_BUF_FLAG_IN_REQUEST;
            if (buffer.prepared) info.flags |= V4L2_BUF_FLAG_PREPARED;
            break;
        case BufferState::Dequeued:
        case BufferState::Preparing:
            if (buffer.prepared) info.flags |= V4L2_BUF_FLAG_PREPARED;
            break;
    }
    return info;
}

}  // namespace daedalus::queue
