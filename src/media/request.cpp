#include "daedalus/media/request.h"

#include <poll.h>

#include <utility>

namespace daedalus::media {

uint32_t Request::readiness() const {
    switch (state_) {
        case RequestState::Idle:
            return POLLERR;
        case RequestState::Queued:
            return 0;
        case RequestState::Complete:
            return POLLPRI;
    }
    return 0;
}

Result<> Request::on(RequestEvent event) {
    const auto next = kRequestTable[static_cast<size_t>(state_)][static_cast<size_t>(event)];
    if (!next) return fail(EBUSY);
    const bool changed = std::exchange(state_, *next) != *next;
    if (changed && listener_) listener_();
    return {};
}

Result<> Request::queue() {
    if (state_ != RequestState::Idle) return fail(EBUSY);
    if (buffers_.empty()) return fail(ENOENT);
    if (buffers_.size() > 1) return fail(EINVAL);
    const auto [user, index] = buffers_.front();
    if (valuesUser_ && valuesUser_ != user) return fail(EINVAL);
    if (auto ok = user->check(*this); !ok) return ok;
    if (auto ok = on(RequestEvent::Queue); !ok) return ok;
    buffers_.clear();
    user->submit(shared_from_this(), index);
    return {};
}

Result<> Request::reinit() {
    if (auto ok = on(RequestEvent::Reinit); !ok) return ok;
    unbindAll();
    values_.clear();
    valuesUser_ = nullptr;
    return {};
}

Result<> Request::setValues(RequestUser& user, const v4l2::ControlValues& values) {
    if (state_ != RequestState::Idle) return fail(EBUSY);
    if (valuesUser_ && valuesUser_ != &user) return fail(EINVAL);
    valuesUser_ = &user;
    values_.overlay(values);
    return {};
}

void Request::complete(const v4l2::ControlValues& held) {
    values_ = held;
    (void)on(RequestEvent::Done);
}

void Request::bufferLeft(const RequestUser& user, uint32_t index) {
    std::erase_if(buffers_, [&](const Buffer& buffer) { return buffer.user == &user && buffer.index == index; });
}

void Request::leave(const RequestUser& user) {
    std::erase_if(buffers_, [&](const Buffer& buffer) { return buffer.user == &user; });
    if (valuesUser_ != &user) return;
    valuesUser_ = nullptr;
    values_.clear();
}

void Request::unbindAll() {
    for (const auto& buffer : std::exchange(buffers_, {})) buffer.user->unbind(buffer.index);
}

}  // namespace daedalus::media
