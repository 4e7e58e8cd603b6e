// SUBSCRIBE_EVENT, UNSUBSCRIBE_EVENT, DQEVENT.
#include "daedalus/device/handlers.h"
#include "daedalus/device/session.h"

namespace daedalus::device {

Result<> subscribe_event(Session& session, v4l2_event_subscription& subscription, CallContext&) {
    std::optional<v4l2_event> initial;
    if (subscription.type == V4L2_EVENT_CTRL) {
        const auto* control = session.controls().find(subscription.id & V4L2_CTRL_ID_MASK);
        if (!control) return fail(EINVAL);
        // A class has no value to tell of, but may be subscribed to. Of a compound one only that it changed can be told.
        const bool tells = control->type != V4L2_CTRL_TYPE_CTRL_CLASS && (subscription.flags & V4L2_EVENT_SUB_FL_SEND_INITIAL);
        if (tells) {
            uint32_t changes = V4L2_EVENT_CTRL_CH_FLAGS;
            const auto value = control->isCompound() ? int64_t{0} : session.controls().get(*control);
            if (value) changes |= V4L2_EVENT_CTRL_CH_VALUE;
            initial = controlEvent(*control, value.value_or(0), changes);
        }
    } else if (!session.context().tells(subscription.type)) {
        return fail(EINVAL);
    }
    session.events().subscribe(subscription.type, subscription.id, subscription.flags, initial);
    return {};
}

Result<> unsubscribe_event(Session& session, v4l2_event_subscription& subscription, CallContext&) {
    session.events().unsubscribe(subscription.type, subscription.id);
    return {};
}

Result<> dqevent(Session& session, v4l2_event& event, CallContext&) {
    const auto oldest = session.events().pop();
    if (!oldest) return fail(EAGAIN);
    event = *oldest;
    return {};
}

}  // namespace daedalus::device
