// How ActiveBuffers find back to their queue, which may be gone by then.
#pragma once

#include "daedalus/base/event_loop.h"
#include "daedalus/queue/queue.h"

namespace daedalus::queue {

/// Shared by a queue and its ActiveBuffers. give() may be called on any thread, the rest on the loop thread.
class ActiveBuffer::ReturnPath {
public:
    ReturnPath(EventLoop& loop, Queue& queue) : loop_(loop), queue_(&queue) {}
    /// One buffer on its way back.
    struct Return {
        std::shared_ptr<ReturnPath> path;
        uint32_t index;
        Way way;
        Outcome outcome;
    };
    /// Takes a buffer back, and `next` right after it: at once on the loop thread, else by a post to it.
    static void give(Return buffer, std::optional<Return> next = std::nullopt);
    /// The queue ends; what comes back later is dropped.
    void close() { queue_ = nullptr; }

private:
    static void deliver(const Return& buffer);

    EventLoop& loop_;
    Queue* queue_;
};

}  // namespace daedalus::queue
