// The events of one session: subscriptions, and what waits for DQEVENT.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "daedalus/base/result.h"
#include "daedalus/v4l2/uapi.h"

namespace daedalus::device {

/// v4l2-event's rules: one bounded queue per subscription, one order over all. Loop thread.
class EventQueue {
public:
    /// `changed`: an event arrived, or is gone. `gone(type)`: none of this type waits to be fetched any more.
    EventQueue(std::function<void()> changed, std::function<void(uint32_t)> gone)
        : changed_(std::move(changed)), gone_(std::move(gone)) {}

    /// A second subscription of the same event changes its flags. `initial` is queued at once.
    void subscribe(uint32_t type, uint32_t id, uint32_t flags, const std::optional<v4l2_event>& initial);
    /// Also drops the events of that subscription; V4L2_EVENT_ALL drops everything.
    void unsubscribe(uint32_t type, uint32_t id);
    [[nodiscard]] bool isSubscribed(uint32_t type, uint32_t id) const { return subscriptions_.contains({type, id}); }
    /// Flags of a subscription (V4L2_EVENT_SUB_FL_*), 0 if there is none.
    [[nodiscard]] uint32_t flags(uint32_t type, uint32_t id) const;
    /// Queues an event (type, id and payload set) if it is subscribed; where its queue is full, the oldest gives way.
    void push(v4l2_event event);
    /// The oldest event with its `pending`, or nothing.
    [[nodiscard]] std::optional<v4l2_event> pop();
    [[nodiscard]] bool isEmpty() const { return pending_.empty(); }
    /// Whether an event of this type waits to be fetched.
    [[nodiscard]] bool isPending(uint32_t type) const;

private:
    using Key = std::pair<uint32_t, uint32_t>;
    std::function<void()> changed_;
    std::function<void(uint32_t)> gone_;
    std::map<Key, uint32_t> subscriptions_;
    std::deque<v4l2_event> pending_;
    uint32_t sequence_ = 0;
};

}  // namespace daedalus::device
