// One queue of a node as its client sees it: buffers of one memory type, handed over and taken back.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "daedalus/v4l2/uapi.h"
#include "endpoint.h"
#include "outcome.h"
#include "shared_memory.h"

namespace daedalus::tools {

/// A buffer that the node has given back.
struct Dequeued {
    uint32_t index = 0;
    uint32_t flags = 0;
    uint64_t timestampUs = 0;
    uint32_t bytesUsed = 0;  ///< of all planes
    bool last = false;       ///< the last one before a change, or of a drain
    bool empty = false;      ///< EPIPE: there is no buffer with it, `last` was dequeued before
};

/// One queue. The endpoint and the allocator must outlive it.
class ClientQueue {
public:
    /// `type` is a multi-planar V4L2_BUF_TYPE_*, `memory` a V4L2_MEMORY_*.
    ClientQueue(Endpoint& endpoint, const DmabufAllocator& dmabufs, uint32_t type, uint32_t memory)
        : endpoint_(endpoint), dmabufs_(dmabufs), type_(type), memory_(memory) {}

    /// Makes `count` buffers (the node may want more) of the format's sizes.
    [[nodiscard]] Outcome<> allocate(uint32_t count, const v4l2_pix_format_mplane& format);
    /// Ends streaming and frees all buffers.
    [[nodiscard]] Outcome<> release();
    [[nodiscard]] Outcome<> streamOn();
    [[nodiscard]] Outcome<> streamOff();

    /// Gives a buffer to the node. `bytesUsed` (of plane 0) and `timestampUs` count for OUTPUT.
    [[nodiscard]] Outcome<> queue(uint32_t index, uint32_t bytesUsed = 0, uint64_t timestampUs = 0);
    /// A buffer that is done, or nothing if none is.
    [[nodiscard]] Outcome<std::optional<Dequeued>> dequeue();
    /// The index of a buffer that the node does not have, or nothing.
    [[nodiscard]] std::optional<uint32_t> freeBuffer() const;

    /// A plane's memory, for the client while the node does not have the buffer.
    [[nodiscard]] std::span<std::byte> plane(uint32_t index, uint32_t plane) const;
    /// Brackets the client's access to a buffer's memory.
    void beginAccess(uint32_t index) const;
    void endAccess(uint32_t index) const;

    [[nodiscard]] bool streaming() const { return streaming_; }
    [[nodiscard]] uint32_t queued() const { return queued_; }
    [[nodiscard]] uint32_t count() const { return static_cast<uint32_t>(buffers_.size()); }

private:
    /// Exactly one of the three holds the memory.
    struct Plane {
        Mapping mapping;
        Pages pages;
        UniqueFd dmabuf;  ///< together with `mapping`
        uint32_t length = 0;
    };
    struct Buffer {
        std::vector<Plane> planes;
        bool queued = false;
    };

    [[nodiscard]] Outcome<Plane> makePlane(const v4l2_plane& described, uint32_t sizeImage) const;
    [[nodiscard]] std::string call(const char* name) const;

    Endpoint& endpoint_;
    const DmabufAllocator& dmabufs_;
    uint32_t type_;
    uint32_t memory_;
    std::vector<Buffer> buffers_;
    uint32_t queued_ = 0;
    bool streaming_ = false;
};

}  // namespace daedalus::tools
