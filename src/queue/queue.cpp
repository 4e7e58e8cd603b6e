// Allocation and streaming; QBUF and DQBUF are in exchange.cpp.
#include "daedalus/queue/queue.h"

#include <algorithm>
#include <cstdlib>

#include "buffer.h"
#include "daedalus/base/log.h"
#include "return_path.h"

namespace daedalus::queue {
namespace {

constexpr uint32_t kOffsetStep = 4096;

uint32_t capabilityOf(uint32_t memory) {
    switch (memory) {
        case V4L2_MEMORY_MMAP:
            return V4L2_BUF_CAP_SUPPORTS_MMAP;
        case V4L2_MEMORY_USERPTR:
            return V4L2_BUF_CAP_SUPPORTS_USERPTR;
        case V4L2_MEMORY_DMABUF:
            return V4L2_BUF_CAP_SUPPORTS_DMABUF;
        default:
            return 0;
    }
}

}  // namespace

Queue::Queue(EventLoop& loop, Owner& owner, uint32_t type, uint32_t offsetBase, std::shared_ptr<memory::Budget> budget,
             Requests requests)
    : owner_(owner),
      type_(type),
      offsetBase_(offsetBase),
      loop_(loop),
      budget_(std::move(budget)),
      requests_(requests),
      returnPath_(std::make_shared<ActiveBuffer::ReturnPath>(loop, *this)) {}

Queue::~Queue() { returnPath_->close(); }

uint32_t Queue::bufferCount() const {
    return static_cast<uint32_t>(std::ranges::count_if(buffers_, [](const auto& buffer) { return buffer != nullptr; }));
}

uint32_t Queue::capabilities() const {
    constexpr uint32_t kOfAll = kAllMemoryTypes | V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS | V4L2_BUF_CAP_SUPPORTS_REMOVE_BUFS;
    constexpr uint32_t kOfRequests = V4L2_BUF_CAP_SUPPORTS_REQUESTS | V4L2_BUF_CAP_SUPPORTS_M2M_HOLD_CAPTURE_BUF;
    return requests_ == Requests::Required ? kOfAll | kOfRequests : kOfAll;
}

Queue::Buffer* Queue::find(uint32_t index) const { return index < kMaxBuffers ? buffers_[index].get() : nullptr; }

void Queue::setState(Buffer& buffer, BufferState to) {
    if (!mayGo(buffer.state, to)) {
        log::error("queue: buffer {} may not go from state {} to {}; this is a bug in Daedalus", buffer.index,
                   static_cast<int>(buffer.state), static_cast<int>(to));
        std::abort();
    }
    if (to == BufferState::Active) ++activeCount_;
    if (buffer.state == BufferState::Active) --activeCount_;
    buffer.state = to;
}

Result<> Queue::checkMemoryType(uint32_t memory) const {
    const uint32_t needed = capabilityOf(memory);
    if (needed == 0 || !(capabilities() & needed)) return daedalus::fail(EINVAL);
    return {};
}

Result<uint32_t> Queue::request(uint32_t count, uint32_t memory) {
    if (auto ok = checkMemoryType(memory); !ok) return daedalus::fail(ok.error());
    // While STREAMOFF still waits for a worker, buffers are as busy as before it.
    if (phase_ != Phase::Off) return daedalus::fail(EBUSY);
    freeAll();
    if (count == 0) return 0;
    memory_ = memory;
    count = std::min(count, kMaxBuffers);
    return allocate(0, count, owner_.planeSizes(*this));
}

uint32_t Queue::nextIndex() const {
    // After the last buffer, as CREATE_BUFS appends; holes of REMOVE_BUFS are only used when it has to.
    const auto last = std::ranges::find_if(buffers_.rbegin(), buffers_.rend(), [](const auto& buffer) { return !!buffer; });
    return static_cast<uint32_t>(buffers_.rend() - last);
}

Result<Queue::Created> Queue::create(uint32_t count, uint32_t memory, const PlaneSizes& sizes) {
    if (auto ok = checkMemoryType(memory); !ok) return daedalus::fail(ok.error());
    const PlaneSizes smallest = owner_.planeSizes(*this);
    if (sizes.count != smallest.count) return daedalus::fail(EINVAL);
    for (uint32_t i = 0; i < sizes.count; ++i)
        if (sizes.bytes[i] < smallest.bytes[i]) return daedalus::fail(EINVAL);
    const uint32_t existing = bufferCount();
    if (existing > 0 && memory != memory_) return daedalus::fail(EINVAL);
    if (existing == kMaxBuffers) return daedalus::fail(ENOBUFS);
    count = std::min(count, kMaxBuffers - existing);

    // The first run of free slots that is long enough, else as many as the longest run holds.
    Created best;
    for (uint32_t start = 0; start < kMaxBuffers && best.count < count;) {
        uint32_t end = start;
        while (end < kMaxBuffers && !buffers_[end] && end - start < count) ++end;
        if (end - start > best.count) best = {start, end - start};
        start = end + 1;
    }
    memory_ = memory;
    const auto made = allocate(best.index, best.count, sizes);
    if (!made) return daedalus::fail(made.error());
    best.count = *made;
    return best;
}

Result<uint32_t> Queue::allocate(uint32_t first, uint32_t count, const PlaneSizes& sizes) {
    for (uint32_t made = 0; made < count; ++made) {
        auto buffer = std::make_unique<Buffer>();
        buffer->index = first + made;
        buffer->planeCount = sizes.count;
        buffer->minLength = sizes.bytes;
        for (uint32_t i = 0; i < sizes.count; ++i) {
            if (auto ok = allocatePlane(*buffer, i, sizes.bytes[i]); ok) continue;
            // As videobuf2: a client has to look at how many it got.
            if (made > 0) return made;
            return daedalus::fail(ENOMEM);
        }
        buffers_[buffer->index] = std::move(buffer);
    }
    return count;
}

Result<> Queue::allocatePlane(Buffer& buffer, uint32_t plane, uint32_t bytes) {
    auto& made = buffer.planes[plane];
    made.info.length = bytes;
    if (memory_ != V4L2_MEMORY_MMAP) return {};
    if (auto ok = charge(made.share, bytes); !ok) return ok;
    auto memory = memory::allocate(bytes, isOutput() ? "daedalus-output" : "daedalus-capture");
    if (!memory) {
        log::warn(
            "queue: cannot allocate a plane of {} bytes: {}; raise the limits of open files and memory of this "
            "process",
            bytes, std::strerror(memory.error().value));
        return daedalus::fail(ENOMEM);
    }
    made.memory = *std::move(memory);
    made.info.offset = offsetBase_ + (buffer.index * VIDEO_MAX_PLANES + plane) * kOffsetStep;
    return {};
}

Result<> Queue::charge(memory::Budget::Share& share, uint64_t bytes) {
    if (!share) share = memory::Budget::take(budget_, 0, 1);
    if (share && share.resize(bytes)) return {};
    log::warn("queue: {}; use smaller or fewer buffers, or raise the limit",
              budget_->shortage(bytes - share.bytes(), share ? 0 : 1));
    return daedalus::fail(ENOMEM);
}

Result<> Queue::remove(uint32_t index, uint32_t count) {
    if (count == 0) return {};
    if (count > bufferCount() || index > kMaxBuffers - count) return daedalus::fail(EINVAL);
    for (uint32_t i = index; i < index + count; ++i) {
        const Buffer* buffer = find(i);
        if (!buffer) return daedalus::fail(EINVAL);
        if (buffer->state != BufferState::Dequeued) return daedalus::fail(EBUSY);
    }
    for (uint32_t i = index; i < index + count; ++i) {
        buffers_[i].reset();
        owner_.bufferFreed(*this, i);
    }
    return {};
}

Result<UniqueFd> Queue::exportPlane(uint32_t index, uint32_t plane) {
    Buffer* buffer = find(index);
    if (memory_ != V4L2_MEMORY_MMAP || !buffer || plane >= buffer->planeCount) return daedalus::fail(EINVAL);
    const int copy = ::fcntl(buffer->planes[plane].memory->fd(), F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return daedalus::fail(errno);
    buffer->shared = true;
    return UniqueFd(copy);
}

Queue::Buffer* Queue::findAt(uint64_t offset) const {
    if (memory_ != V4L2_MEMORY_MMAP || offset < offsetBase_ || offset % kOffsetStep != 0) return nullptr;
    const uint64_t index = (offset - offsetBase_) / kOffsetStep / VIDEO_MAX_PLANES;
    return index < kMaxBuffers ? find(static_cast<uint32_t>(index)) : nullptr;
}

memory::MemoryRef Queue::memoryAt(uint64_t offset, size_t length) const {
    const Buffer* buffer = findAt(offset);
    const auto plane = (offset - offsetBase_) / kOffsetStep % VIDEO_MAX_PLANES;
    if (!buffer || plane >= buffer->planeCount) return nullptr;
    const auto& memory = buffer->planes[plane].memory;
    if (length > (memory->size() + kOffsetStep - 1) / kOffsetStep * kOffsetStep) return nullptr;
    return memory;
}

memory::MemoryRef Queue::map(uint64_t offset, size_t length) {
    auto memory = memoryAt(offset, length);
    if (memory) findAt(offset)->shared = true;
    return memory;
}

bool Queue::buffersHold(const PlaneSizes& sizes) const {
    return std::ranges::all_of(buffers_, [&](const auto& buffer) {
        if (!buffer) return true;
        if (buffer->planeCount != sizes.count) return false;
        for (uint32_t i = 0; i < sizes.count; ++i)
            if (buffer->planes[i].info.length < sizes.bytes[i]) return false;
        return true;
    });
}

Result<> Queue::streamOn() {
    if (phase_ == Phase::Streaming) return {};
    if (phase_ == Phase::Stopping) return daedalus::fail(EBUSY);
    if (bufferCount() == 0) return daedalus::fail(EINVAL);
    sequence_ = 0;
    if (auto ok = owner_.startStreaming(*this); !ok) return ok;
    phase_ = Phase::Streaming;
    if (!queued_.empty()) owner_.bufferQueued(*this);
    owner_.queueChanged(*this);
    return {};
}

Result<> Queue::streamOff() {
    if (phase_ == Phase::Streaming) {
        phase_ = Phase::Stopping;
        owner_.stopStreaming(*this);
        owner_.queueChanged(*this);
    }
    if (activeCount_ > 0) return daedalus::fail(EAGAIN);
    cancelAll();
    phase_ = Phase::Off;
    owner_.queueChanged(*this);
    return {};
}

void Queue::cancelAll() {
    for (auto& buffer : buffers_) {
        if (!buffer) continue;
        const bool cancelled = buffer->state == BufferState::InRequest || buffer->state == BufferState::Queued;
        if (buffer->state != BufferState::Dequeued) setState(*buffer, BufferState::Dequeued);
        buffer->prepared = false;
        buffer->last = false;
        buffer->requestFd = -1;
        if (cancelled) owner_.bufferCancelled(*this, buffer->index);
    }
    queued_.clear();
    done_.clear();
    lastDequeued_ = false;
    failed_ = false;
}

void Queue::freeAll() {
    cancelAll();
    // Mappings and exported files keep the memory alive: the buffers are orphaned, not pulled away.
    for (uint32_t i = 0; i < kMaxBuffers; ++i) {
        if (!buffers_[i]) continue;
        buffers_[i].reset();
        owner_.bufferFreed(*this, i);
    }
}

std::optional<ActiveBuffer> Queue::take() {
    if (phase_ != Phase::Streaming || queued_.empty()) return std::nullopt;
    Buffer& buffer = *buffers_[queued_.front()];
    queued_.pop_front();
    setState(buffer, BufferState::Active);
    std::array<ActivePlane, VIDEO_MAX_PLANES> planes;
    for (uint32_t i = 0; i < buffer.planeCount; ++i) {
        const auto& plane = buffer.planes[i];
        planes[i] = {plane.memory, static_cast<uint32_t>(std::min<size_t>(plane.info.length, plane.memory->size())),
                     plane.info.bytesUsed, plane.info.dataOffset};
    }
    return ActiveBuffer(returnPath_, buffer.index, std::span(planes).first(buffer.planeCount), buffer.metadata);
}

void Queue::returned(uint32_t index, ActiveBuffer::Way way, const Outcome& outcome) {
    Buffer& buffer = *buffers_[index];
    if (phase_ != Phase::Streaming) {
        setState(buffer, BufferState::Dequeued);
        buffer.prepared = false;
    } else if (way == ActiveBuffer::Way::Unused) {
        setState(buffer, BufferState::Queued);
        queued_.push_back(index);
        owner_.bufferQueued(*this);
    } else {
        setState(buffer, outcome.error ? BufferState::Error : BufferState::Done);
        buffer.sequence = sequence_++;
        if (!isOutput()) {
            buffer.metadata = outcome.metadata;
            buffer.last = outcome.last;
            buffer.field = outcome.field;
            for (uint32_t i = 0; i < buffer.planeCount; ++i) buffer.planes[i].info.bytesUsed = outcome.bytesUsed[i];
        }
        done_.push_back(index);
    }
    owner_.queueChanged(*this);
}

void Queue::fail() {
    failed_ = true;
    owner_.queueChanged(*this);
}

void Queue::writeOff() {
    returnPath_->close();
    returnPath_ = std::make_shared<ActiveBuffer::ReturnPath>(loop_, *this);
    for (auto& buffer : buffers_) {
        if (!buffer || buffer->state != BufferState::Active) continue;
        setState(*buffer, BufferState::Error);
        done_.push_back(buffer->index);
    }
    owner_.queueChanged(*this);
}

void Queue::clearLast() { lastDequeued_ = false; }

bool Queue::isIdle() const {
    if (phase_ != Phase::Streaming || failed_) return true;
    return queued_.empty() && done_.empty() && activeCount_ == 0;
}

}  // namespace daedalus::queue
