// REQBUFS to STREAMOFF.
#include <algorithm>
#include <cstring>

#include "daedalus/device/handlers.h"
#include "daedalus/device/session.h"
#include "shared.h"

namespace daedalus::device {
namespace {

queue::Queue* queueOf(Session& session, uint32_t type) {
    if (type == V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE) return &session.context().output();
    if (type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE) return &session.context().capture();
    return nullptr;
}

/// The gathered planes of a multi-planar buffer; 0 where the client gave none.
uint32_t planesProvided(const v4l2_buffer& buffer) {
    return buffer.m.planes ? std::min<uint32_t>(buffer.length, VIDEO_MAX_PLANES) : 0;
}

Result<queue::BufferRequest> toRequest(const v4l2_buffer& buffer) {
    if (!buffer.m.planes) return fail(EINVAL);
    queue::BufferRequest request;
    request.index = buffer.index;
    request.memory = buffer.memory;
    request.field = buffer.field;
    request.metadata.timestamp = buffer.timestamp;
    request.metadata.flags = buffer.flags;
    if (buffer.flags & V4L2_BUF_FLAG_TIMECODE) request.metadata.timecode = buffer.timecode;
    request.planeCount = planesProvided(buffer);
    for (uint32_t i = 0; i < request.planeCount; ++i) {
        const auto& plane = buffer.m.planes[i];
        auto& info = request.planes[i];
        info = {plane.bytesused, plane.length, plane.data_offset, 0, 0, -1};
        if (buffer.memory == V4L2_MEMORY_USERPTR) info.userptr = plane.m.userptr;
        if (buffer.memory == V4L2_MEMORY_DMABUF) info.fd = plane.m.fd;
    }
    return request;
}

void write(v4l2_buffer& buffer, const queue::BufferInfo& info) {
    buffer.index = info.index;
    buffer.bytesused = 0;
    buffer.flags = info.flags;
    buffer.field = info.field;
    buffer.timestamp = info.metadata.timestamp;
    buffer.timecode = info.metadata.timecode.value_or(v4l2_timecode{});
    buffer.sequence = info.sequence;
    buffer.memory = info.memory;
    buffer.length = info.planeCount;
    buffer.reserved2 = 0;
    buffer.request_fd = info.requestFd >= 0 ? info.requestFd : 0;
    for (uint32_t i = 0; i < info.planeCount; ++i) {
        auto& plane = buffer.m.planes[i];
        const auto& from = info.planes[i];
        plane = {};
        plane.bytesused = from.bytesUsed;
        plane.length = from.length;
        plane.data_offset = from.dataOffset;
        switch (info.memory) {
            case V4L2_MEMORY_USERPTR:
                plane.m.userptr = from.userptr;
                break;
            case V4L2_MEMORY_DMABUF:
                plane.m.fd = from.fd;
                break;
            default:
                plane.m.mem_offset = from.offset;
        }
    }
}

Result<> answer(v4l2_buffer& buffer, const Result<queue::BufferInfo>& info) {
    if (!info) return fail(info.error());
    write(buffer, *info);
    return {};
}

/// What QBUF and PREPARE_BUF share: REQUEST_FD is refused.
template <class Action>
Result<> handIn(Session& session, v4l2_buffer& buffer, int requestErrno, Action action) {
    auto* queue = queueOf(session, buffer.type);
    if (!queue) return fail(EINVAL);
    const auto request = toRequest(buffer);
    if (!request) return fail(request.error());
    if (buffer.flags & V4L2_BUF_FLAG_REQUEST_FD) return fail(requestErrno);
    return answer(buffer, action(*queue, *request));
}

}  // namespace

Result<> reqbufs(Session& session, v4l2_requestbuffers& request, CallContext&) {
    auto* queue = queueOf(session, request.type);
    if (!queue) return fail(EINVAL);
    request.capabilities = queue->capabilities();
    request.flags = 0;
    const auto count = queue->request(request.count, request.memory);
    if (!count) return fail(count.error());
    request.count = *count;
    if (*count == 0) session.context().buffersFreed(*queue);
    return {};
}

Result<> create_bufs(Session& session, v4l2::CreateBuffers& create, CallContext&) {
    auto* queue = queueOf(session, create.format.type);
    if (!queue) return fail(EINVAL);
    create.capabilities = queue->capabilities() | V4L2_BUF_CAP_SUPPORTS_MAX_NUM_BUFFERS;
    create.max_num_buffers = queue::kMaxBuffers;
    create.flags = 0;
    create.index = queue->nextIndex();
    if (create.count == 0) {
        const bool known =
            create.memory == V4L2_MEMORY_MMAP || create.memory == V4L2_MEMORY_USERPTR || create.memory == V4L2_MEMORY_DMABUF;
        return known ? Result<>{} : fail(EINVAL);
    }
    const auto& pix = create.format.fmt.pix_mp;
    if (pix.num_planes == 0 || pix.num_planes > VIDEO_MAX_PLANES) return fail(EINVAL);
    queue::PlaneSizes sizes;
    sizes.count = pix.num_planes;
    for (uint32_t i = 0; i < sizes.count; ++i) sizes.bytes[i] = pix.plane_fmt[i].sizeimage;
    const auto created = queue->create(create.count, create.memory, sizes);
    if (!created) return fail(created.error());
    create.index = created->index;
    create.count = created->count;
    return {};
}

Result<> remove_bufs(Session& session, v4l2::RemoveBuffers& remove, CallContext&) {
    auto* queue = queueOf(session, remove.type);
    return queue ? queue->remove(remove.index, remove.count) : fail(EINVAL);
}

Result<> querybuf(Session& session, v4l2_buffer& buffer, CallContext&) {
    auto* queue = queueOf(session, buffer.type);
    if (!queue) return fail(EINVAL);
    const auto info = queue->query(buffer.index);
    if (info && planesProvided(buffer) < info->planeCount) return fail(EINVAL);
    return answer(buffer, info);
}

Result<> prepare_buf(Session& session, v4l2_buffer& buffer, CallContext& call) {
    return handIn(session, buffer, EINVAL,
                  [&](auto& queue, const auto& request) { return queue.prepare(request, call.client); });
}

Result<> qbuf(Session& session, v4l2_buffer& buffer, CallContext& call) {
    return handIn(session, buffer, EBADR,
                  [&](auto& queue, const auto& request) { return queue.enqueue(request, call.client); });
}

Result<> qbuf_of_request(Session& session, v4l2_buffer& buffer, CallContext& call) {
    if ((buffer.flags & V4L2_BUF_FLAG_REQUEST_FD) == 0) return qbuf(session, buffer, call);
    auto* queue = queueOf(session, buffer.type);
    if (!queue) return fail(EINVAL);
    const auto request = toRequest(buffer);
    if (!request) return fail(request.error());
    const auto& device = session.device().media;
    // Of a queue without requests that is said before anything of the request.
    if (!queue->isOutput()) return answer(buffer, queue->bind(*request, -1, call.client));
    if (auto ok = queue->mayBind(*request); !ok) return ok;
    if (!call.request || !device || !device->owns(*call.request)) return fail(EINVAL);
    return answer(buffer, session.stateless().bind(call.request, buffer.request_fd, *request, call.client));
}

Result<> dqbuf(Session& session, v4l2_buffer& buffer, CallContext&) {
    auto* queue = queueOf(session, buffer.type);
    if (!queue) return fail(EINVAL);
    return answer(buffer, queue->dequeue(planesProvided(buffer)));
}

Result<> expbuf(Session& session, v4l2_exportbuffer& exported, CallContext& call) {
    auto* queue = queueOf(session, exported.type);
    if (!queue || (exported.flags & ~uint32_t{O_CLOEXEC | O_ACCMODE})) return fail(EINVAL);
    auto fd = queue->exportPlane(exported.index, exported.plane);
    if (!fd) return fail(fd.error());
    call.passedFd = *std::move(fd);
    call.passedFlags = static_cast<int>(exported.flags);
    call.passedOffset = offsetof(v4l2_exportbuffer, fd);
    return {};
}

Result<> streamon(Session& session, int& type, CallContext&) {
    auto* queue = queueOf(session, static_cast<uint32_t>(type));
    return queue ? queue->streamOn() : fail(EINVAL);
}

Result<> streamoff(Session& session, int& type, CallContext&) {
    auto* queue = queueOf(session, static_cast<uint32_t>(type));
    return queue ? queue->streamOff() : fail(EINVAL);
}

Result<memory::MemoryRef> mmap(Session& session, uint64_t offset, size_t length) {
    for (auto* queue : {&session.context().output(), &session.context().capture()})
        if (auto memory = queue->map(offset, length)) return memory;
    return fail(EINVAL);
}

Result<memory::MemoryRef> memoryAt(Session& session, uint64_t offset, size_t length) {
    for (const auto* queue : {&session.context().output(), &session.context().capture()})
        if (auto memory = queue->memoryAt(offset, length)) return memory;
    return fail(EINVAL);
}

}  // namespace daedalus::device
