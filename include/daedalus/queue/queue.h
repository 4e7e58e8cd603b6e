// One queue of buffers, equivalent to the kernel's videobuf2: allocation, QBUF/DQBUF, streaming, and what poll() sees of it.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/result.h"
#include "daedalus/memory/budget.h"
#include "daedalus/memory/memory.h"
#include "daedalus/queue/active_buffer.h"
#include "daedalus/queue/buffer_state.h"
#include "daedalus/v4l2/uapi.h"

namespace daedalus::queue {

/// Most buffers in one queue (max_num_buffers).
inline constexpr uint32_t kMaxBuffers = 64;

/// Sizes of a buffer's planes in bytes.
struct PlaneSizes {
    uint32_t count = 0;
    std::array<uint32_t, VIDEO_MAX_PLANES> bytes{};
};

/// One plane as the client describes it in QBUF and as QUERYBUF answers it. Which of offset, userptr and fd counts is a matter
/// of the queue's memory type.
struct PlaneInfo {
    uint32_t bytesUsed = 0;
    uint32_t length = 0;
    uint32_t dataOffset = 0;
    uint32_t offset = 0;
    uint64_t userptr = 0;
    int32_t fd = -1;
};

/// A buffer as the client describes it in QBUF and PREPARE_BUF, checked for shape by the handler.
struct BufferRequest {
    uint32_t index = 0;
    uint32_t memory = 0;  ///< V4L2_MEMORY_*
    uint32_t field = 0;
    Metadata metadata;
    uint32_t planeCount = 0;
    std::array<PlaneInfo, VIDEO_MAX_PLANES> planes{};
};

/// A buffer as QUERYBUF, QBUF and DQBUF report it.
struct BufferInfo {
    uint32_t index = 0;
    uint32_t memory = 0;
    uint32_t flags = 0;  ///< V4L2_BUF_FLAG_*
    uint32_t field = 0;
    uint32_t sequence = 0;
    Metadata metadata;
    int32_t requestFd = -1;  ///< the client's number for the request that it is in; -1: in none
    uint32_t planeCount = 0;
    std::array<PlaneInfo, VIDEO_MAX_PLANES> planes{};
};

/// Whether buffers come by requests: then QBUF takes none without one.
enum class Requests : uint8_t { None, Required };

class Queue;

/// Who uses the buffers. The calls come on the loop thread.
class Owner {
public:
    virtual ~Owner() = default;
    /// The planes of a buffer in the current format, and their smallest sizes in bytes.
    [[nodiscard]] virtual PlaneSizes planeSizes(const Queue& queue) const = 0;
    /// STREAMON was asked for: an errno keeps the queue off.
    [[nodiscard]] virtual Result<> startStreaming(Queue& queue) = 0;
    /// There is a buffer to take (only while streaming).
    virtual void bufferQueued(Queue& queue) = 0;
    /// STREAMOFF: all ActiveBuffers of this queue are to come back soon.
    virtual void stopStreaming(Queue& queue) = 0;
    /// The client took a buffer back by DQBUF.
    virtual void bufferDequeued(Queue& queue) = 0;
    /// Something changed that a waiting call or poll() may be waiting for.
    virtual void queueChanged(Queue& queue) = 0;
    /// A buffer in a request, or a queued one, becomes the client's without the owner having taken it.
    virtual void bufferCancelled(Queue&, uint32_t /*index*/) {}
    /// A buffer that was the client's is freed.
    virtual void bufferFreed(Queue&, uint32_t /*index*/) {}
};

/// What kinds of memory a queue takes, as V4L2_BUF_CAP_SUPPORTS_* bits (MMAP, USERPTR, DMABUF).
inline constexpr uint32_t kAllMemoryTypes =
    V4L2_BUF_CAP_SUPPORTS_MMAP | V4L2_BUF_CAP_SUPPORTS_USERPTR | V4L2_BUF_CAP_SUPPORTS_DMABUF;

/// After LAST, poll() tells of EPIPE that often: a client that goes on polling may neither spin nor wait for ever.
inline constexpr std::chrono::milliseconds kEndAgain{500};

/// A multi-planar queue of one session. Loop thread. Errors are videobuf2's.
class Queue {
public:
    /// `type`: V4L2_BUF_TYPE_VIDEO_{OUTPUT,CAPTURE}_MPLANE. `offsetBase` is added to the mem_offsets of its MMAP planes, and
    /// `budget` pays for the memory of all planes, ours or the client's.
    Queue(EventLoop& loop, Owner& owner, uint32_t type, uint32_t offsetBase, std::shared_ptr<memory::Budget> budget,
          Requests requests = Requests::None);
    ~Queue();
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;

    [[nodiscard]] uint32_t type() const { return type_; }
    [[nodiscard]] bool isOutput() const { return V4L2_TYPE_IS_OUTPUT(type_); }
    [[nodiscard]] bool isStreaming() const { return phase_ == Phase::Streaming; }
    [[nodiscard]] bool hasFailed() const { return failed_; }
    /// Buffers that exist.
    [[nodiscard]] uint32_t bufferCount() const;
    /// True while there are buffers, or streaming goes on without any (REMOVE_BUFS): formats must not change.
    [[nodiscard]] bool isBusy() const { return bufferCount() > 0 || phase_ != Phase::Off; }
    /// V4L2_BUF_CAP_* of REQBUFS and CREATE_BUFS.
    [[nodiscard]] uint32_t capabilities() const;

    /// REQBUFS: replaces all buffers by `count` new ones (0: none); returns how many there are, which may be fewer. ENOMEM if
    /// there is no memory for one.
    [[nodiscard]] Result<uint32_t> request(uint32_t count, uint32_t memory);
    /// CREATE_BUFS: adds `count` buffers with planes of at least `sizes`; returns the index of the first and how many, which
    /// may be fewer. ENOMEM if there is no memory for one.
    struct Created {
        uint32_t index = 0;
        uint32_t count = 0;
    };
    [[nodiscard]] Result<Created> create(uint32_t count, uint32_t memory, const PlaneSizes& sizes);
    /// The index that CREATE_BUFS with count 0 reports.
    [[nodiscard]] uint32_t nextIndex() const;
    /// REMOVE_BUFS.
    [[nodiscard]] Result<> remove(uint32_t index, uint32_t count);
    /// QUERYBUF.
    [[nodiscard]] Result<BufferInfo> query(uint32_t index) const;
    /// PREPARE_BUF. `client` may be null for MMAP.
    [[nodiscard]] Result<BufferInfo> prepare(const BufferRequest& request, memory::ClientMemory* client);
    /// QBUF.
    [[nodiscard]] Result<BufferInfo> enqueue(const BufferRequest& request, memory::ClientMemory* client);
    /// QBUF into a request: the buffer is checked and kept out of the queue. `fd`: the client's number for the request. EBADR:
    /// this queue has no requests. EINVAL, also for a buffer that is not the client's.
    [[nodiscard]] Result<BufferInfo> bind(const BufferRequest& request, int32_t fd, memory::ClientMemory* client);
    /// What bind() says of the buffer before it looks at the request.
    [[nodiscard]] Result<> mayBind(const BufferRequest& request) const;
    /// The request lets go of the buffer: it is the client's again.
    void unbind(uint32_t index);
    /// The request is queued: so is the buffer.
    void enqueueBound(uint32_t index);
    /// The buffer that take() would give; nothing if there is none.
    [[nodiscard]] std::optional<BufferInfo> next() const;
    /// HOLD of the buffer that was queued last is taken off; false if none is queued.
    [[nodiscard]] bool dropLastHold();
    /// DQBUF; EAGAIN means that a waiting caller should try again after queueChanged(). `planesProvided`: how many planes the
    /// client's array holds.
    [[nodiscard]] Result<BufferInfo> dequeue(uint32_t planesProvided);
    /// EXPBUF: the file of one MMAP plane (a duplicate).
    [[nodiscard]] Result<UniqueFd> exportPlane(uint32_t index, uint32_t plane);
    /// The memory behind a mem_offset of this queue, or nothing.
    [[nodiscard]] memory::MemoryRef memoryAt(uint64_t offset, size_t length) const;
    /// The same for a client that maps it: from now on the buffer has V4L2_BUF_FLAG_MAPPED.
    [[nodiscard]] memory::MemoryRef map(uint64_t offset, size_t length);
    /// STREAMON.
    [[nodiscard]] Result<> streamOn();
    /// STREAMOFF; EAGAIN while a worker still has buffers: call again after queueChanged().
    [[nodiscard]] Result<> streamOff();

    /// True if every buffer's planes hold `sizes`.
    [[nodiscard]] bool buffersHold(const PlaneSizes& sizes) const;
    /// For the owner: the oldest queued buffer becomes Active; nothing if there is none.
    [[nodiscard]] std::optional<ActiveBuffer> take();
    /// For the owner: an unrecoverable error: QBUF and DQBUF answer EIO and poll() POLLERR until STREAMOFF.
    void fail();
    /// For the owner: gives up what its workers hold: these buffers count as damaged, and nothing that still comes back of them
    /// is heard.
    void writeOff();
    /// For the owner: DQBUF no longer answers EPIPE after LAST (DECODER_CMD START).
    void clearLast();

    /// For poll(), as videobuf2 and mem2mem see it.
    [[nodiscard]] bool hasDone() const { return !done_.empty(); }
    [[nodiscard]] bool isIdle() const;
    /// True if the LAST buffer was dequeued: DQBUF answers EPIPE.
    [[nodiscard]] bool lastDequeued() const { return lastDequeued_; }
    /// True from the LAST buffer's DQBUF to an EPIPE, and again kEndAgain later: poll has to wake a client that did not look at
    /// the flag, and one that comes back.
    [[nodiscard]] bool hasEndToTell() const { return lastDequeued_ && !endTold_; }

private:
    friend class ActiveBuffer::ReturnPath;
    enum class Phase : uint8_t { Off, Streaming, Stopping };
    struct Buffer;

    [[nodiscard]] Buffer* find(uint32_t index) const;
    /// Of a mem_offset of this queue.
    [[nodiscard]] Buffer* findAt(uint64_t offset) const;
    void setState(Buffer& buffer, BufferState to);
    /// As many of `count` buffers as there is memory for; ENOMEM if that is none.
    [[nodiscard]] Result<uint32_t> allocate(uint32_t first, uint32_t count, const PlaneSizes& sizes);
    [[nodiscard]] Result<> allocatePlane(Buffer& buffer, uint32_t plane, uint32_t bytes);
    [[nodiscard]] Result<> checkMemoryType(uint32_t memory) const;
    [[nodiscard]] Result<Buffer*> checkRequest(const BufferRequest& request) const;
    [[nodiscard]] Result<> checkPayload(const Buffer& buffer, const BufferRequest& request) const;
    /// The client's memory for one plane, paid for.
    [[nodiscard]] Result<> attachPlane(Buffer& buffer, uint32_t index, const PlaneInfo& wanted, memory::ClientMemory& client);
    [[nodiscard]] Result<> attach(Buffer& buffer, const BufferRequest& request, memory::ClientMemory* client);
    [[nodiscard]] Result<> fill(Buffer& buffer, const BufferRequest& request, memory::ClientMemory* client);
    [[nodiscard]] BufferInfo describe(const Buffer& buffer) const;
    /// The plane holds so many bytes from now on. ENOMEM.
    [[nodiscard]] Result<> charge(memory::Budget::Share& share, uint64_t bytes);
    /// QBUF's work on a buffer that is the client's: it becomes `to`.
    [[nodiscard]] Result<> hand(Buffer& buffer, const BufferRequest& request, memory::ClientMemory* client, BufferState to);
    void cancelAll();
    void freeAll();
    void returned(uint32_t index, ActiveBuffer::Way way, const Outcome& outcome);

    Owner& owner_;
    const uint32_t type_;
    const uint32_t offsetBase_;
    EventLoop& loop_;
    const std::shared_ptr<memory::Budget> budget_;
    const Requests requests_;
    std::shared_ptr<ActiveBuffer::ReturnPath> returnPath_;
    std::array<std::unique_ptr<Buffer>, kMaxBuffers> buffers_;
    uint32_t memory_ = 0;
    Phase phase_ = Phase::Off;
    bool failed_ = false;
    bool lastDequeued_ = false;
    bool endTold_ = false;
    EventLoop::Registration endAgain_;
    uint32_t sequence_ = 0;
    uint32_t activeCount_ = 0;
    std::deque<uint32_t> queued_;
    std::deque<uint32_t> done_;
};

}  // namespace daedalus::queue
