#include "daedalus/queue/active_buffer.h"

#include <algorithm>

#include "return_path.h"

namespace daedalus::queue {

ActiveBuffer::ActiveBuffer(std::shared_ptr<ReturnPath> path, uint32_t index, std::span<const ActivePlane> planes,
                           Metadata metadata)
    : path_(std::move(path)), index_(index), planeCount_(static_cast<uint32_t>(planes.size())), metadata_(metadata) {
    std::ranges::copy(planes, planes_.begin());
}

ActiveBuffer& ActiveBuffer::operator=(ActiveBuffer&& other) noexcept {
    if (this == &other) return *this;
    if (path_) error();
    path_ = std::move(other.path_);
    index_ = other.index_;
    planeCount_ = other.planeCount_;
    planes_ = std::move(other.planes_);
    metadata_ = other.metadata_;
    return *this;
}

ActiveBuffer::~ActiveBuffer() {
    if (path_) error();
}

std::shared_ptr<ActiveBuffer::ReturnPath> ActiveBuffer::release() {
    for (auto& plane : planes_) plane.memory.reset();
    return std::exchange(path_, nullptr);
}

void ActiveBuffer::leave(Way way, const Outcome& outcome) { ReturnPath::give({release(), index_, way, outcome}); }

void ActiveBuffer::doneTogether(ActiveBuffer first, const Outcome& firstOutcome, ActiveBuffer second,
                                const Outcome& secondOutcome) {
    ReturnPath::give({first.release(), first.index_, Way::Done, firstOutcome},
                     ReturnPath::Return{second.release(), second.index_, Way::Done, secondOutcome});
}

void ActiveBuffer::ReturnPath::give(Return buffer, std::optional<Return> next) {
    auto& loop = buffer.path->loop_;
    auto task = [buffer = std::move(buffer), next = std::move(next)] {
        deliver(buffer);
        if (next) deliver(*next);
    };
    if (loop.isLoopThread()) {
        task();
    } else {
        loop.post(std::move(task));
    }
}

void ActiveBuffer::ReturnPath::deliver(const Return& buffer) {
    if (auto* queue = buffer.path->queue_) queue->returned(buffer.index, buffer.way, buffer.outcome);
}

}  // namespace daedalus::queue
