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

void ActiveBuffer::leave(Way way, const Outcome& outcome) {
    for (auto& plane : planes_) plane.memory.reset();
    ReturnPath::give(std::exchange(path_, nullptr), index_, way, outcome);
}

void ActiveBuffer::ReturnPath::give(std::shared_ptr<ReturnPath> path, uint32_t index, Way way, const Outcome& outcome) {
    if (path->loop_.isLoopThread()) {
        path->deliver(index, way, outcome);
        return;
    }
    auto& loop = path->loop_;
    loop.post([path = std::move(path), index, way, outcome] { path->deliver(index, way, outcome); });
}

void ActiveBuffer::ReturnPath::deliver(uint32_t index, Way way, const Outcome& outcome) {
    if (queue_) queue_->returned(index, way, outcome);
}

}  // namespace daedalus::queue
