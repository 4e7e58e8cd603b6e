#include "daedalus/device/events.h"

#include <algorithm>
#include <ctime>

namespace daedalus::device {
namespace {

/// Events of one subscription that are kept for a client that does not fetch them.
constexpr ptrdiff_t kKept = 4;

void merge(v4l2_event& into, const v4l2_event& older) {
    if (into.type == V4L2_EVENT_SOURCE_CHANGE) into.u.src_change.changes |= older.u.src_change.changes;
    if (into.type == V4L2_EVENT_CTRL) into.u.ctrl.changes |= older.u.ctrl.changes;
}

}  // namespace

void EventQueue::subscribe(uint32_t type, uint32_t id, uint32_t flags, const std::optional<v4l2_event>& initial) {
    const auto [entry, isNew] = subscriptions_.insert_or_assign({type, id}, flags);
    if (isNew && initial) push(*initial);
}

void EventQueue::unsubscribe(uint32_t type, uint32_t id) {
    const bool all = type == V4L2_EVENT_ALL;
    std::erase_if(subscriptions_, [&](const auto& entry) { return all || entry.first == Key{type, id}; });
    std::erase_if(pending_, [&](const auto& event) { return all || (event.type == type && event.id == id); });
    if (all)
        for (const uint32_t each : {V4L2_EVENT_SOURCE_CHANGE, V4L2_EVENT_EOS, V4L2_EVENT_CTRL}) gone_(each);
    else if (!isPending(type))
        gone_(type);
    changed_();
}

uint32_t EventQueue::flags(uint32_t type, uint32_t id) const {
    const auto found = subscriptions_.find({type, id});
    return found == subscriptions_.end() ? 0 : found->second;
}

void EventQueue::push(v4l2_event event) {
    if (!isSubscribed(event.type, event.id)) return;
    const auto same = [&](const v4l2_event& other) { return other.type == event.type && other.id == event.id; };
    const ptrdiff_t kept = event.type == V4L2_EVENT_CTRL ? 1 : kKept;
    if (std::ranges::count_if(pending_, same) >= kept) {
        const auto oldest = std::ranges::find_if(pending_, same);
        merge(event, *oldest);
        pending_.erase(oldest);
    }
    event.sequence = sequence_++;
    ::clock_gettime(CLOCK_MONOTONIC, &event.timestamp);
    pending_.push_back(event);
    changed_();
}

std::optional<v4l2_event> EventQueue::pop() {
    if (pending_.empty()) return std::nullopt;
    v4l2_event event = pending_.front();
    pending_.pop_front();
    event.pending = static_cast<uint32_t>(pending_.size());
    if (!isPending(event.type)) gone_(event.type);
    changed_();
    return event;
}

bool EventQueue::isPending(uint32_t type) const {
    return std::ranges::any_of(pending_, [type](const v4l2_event& event) { return event.type == type; });
}

}  // namespace daedalus::device
