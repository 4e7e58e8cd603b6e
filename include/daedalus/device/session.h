// One open of the node: its decoder, controls, events and priority.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "daedalus/device/controls.h"
#include "daedalus/device/device.h"
#include "daedalus/device/events.h"
#include "daedalus/m2m/stateful.h"
#include "daedalus/m2m/stateless.h"

namespace daedalus::device {

/// A session: events, priority, controls, and what does its work. Loop thread. Its handlers are in handlers.h.
class Session final : private m2m::StatefulContext::Listener {
public:
    /// `client` names the client in log lines, `user` is who it runs as. `changed` is called whenever something changes that a
    /// parked call or poll() may wait for; it must not call handlers.
    Session(Device& device, std::string client, uid_t user, std::function<void()> changed);
    ~Session() override;

    [[nodiscard]] Device::Shared& device() { return device_.shared(); }
    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] m2m::Context& context() { return *parts_.context; }
    /// The context of a stateful decoder's session: for handlers whose rows are for such files only.
    [[nodiscard]] m2m::StatefulContext& stateful() { return dynamic_cast<m2m::StatefulContext&>(*parts_.context); }
    /// The same for a stateless decoder's.
    [[nodiscard]] m2m::StatelessContext& stateless() { return dynamic_cast<m2m::StatelessContext&>(*parts_.context); }
    [[nodiscard]] EventQueue& events() { return events_; }
    [[nodiscard]] Controls& controls() { return *parts_.controls; }
    /// A control was set: whoever subscribed to it hears of it.
    void controlsChanged() { pushControlEvents(); }
    /// A mask of POLL* bits, as v4l2_m2m_poll() gives it.
    [[nodiscard]] uint32_t readiness() const;

    [[nodiscard]] v4l2_priority priority() const { return priority_; }
    /// EINVAL for a value that is no priority.
    [[nodiscard]] Result<> setPriority(uint32_t priority);
    /// EBUSY if another session has a higher priority.
    [[nodiscard]] Result<> checkPriority() const;

private:
    void sourceChanged() override;
    /// Tells of the controls whose values have changed.
    void pushControlEvents();
    void streamDescribed() override;
    void endOfStream() override;
    void changed() override { changed_(); }

    Device& device_;
    const std::string name_;
    const uid_t user_;
    std::function<void()> changed_;
    v4l2_priority priority_ = V4L2_PRIORITY_INTERACTIVE;
    EventQueue events_;
    SessionParts parts_;
};

}  // namespace daedalus::device
