#include "daedalus/device/session.h"

#include <poll.h>

#include <tuple>
#include <utility>

#include "daedalus/base/log.h"
#include "shared.h"

namespace daedalus::device {
namespace {

/// What a new session may use of the device.
m2m::Resources resourcesOf(Device::Shared& shared, uid_t user) {
    const auto& limits = shared.options.limits.session;
    const auto memory = shared.options.accounts->session(user, limits.memory);
    const auto decoderOptions = [&shared, memory] {
        auto options = shared.decoderOptions();
        options.maxPixels = uint64_t{shared.options.limits.session.maxWidth} * shared.options.limits.session.maxHeight;
        options.memory = memory;
        return options;
    };
    return {shared.loop, shared.pool, shared.codecs, shared.graveyard, decoderOptions, limits, memory, shared.options.planes};
}

}  // namespace

Session::Session(Device& device, std::string client, uid_t user, std::function<void()> changed)
    : device_(device),
      name_(fmt::format("session {} ({})", ++device.shared().lastSessionId, client)),
      user_(user),
      changed_(std::move(changed)),
      events_([this] { changed_(); },
              [this](uint32_t type) {
                  if (type == V4L2_EVENT_SOURCE_CHANGE) context().sourceChangeSeen();
              }),
      parts_(device.kind().makeParts(resourcesOf(device.shared(), user), name_, *this)) {
    auto& shared = device_.shared();
    ++shared.sessions;
    ++shared.sessionsOf[user_];
    ++shared.priorities[priority_];
    std::ignore = context().changeOutput(adjustOutput(shared, {}));
    log::debug("{}: open, {} sessions", name_, shared.sessions);
}

Session::~Session() {
    auto& shared = device_.shared();
    --shared.sessions;
    if (--shared.sessionsOf[user_] == 0) shared.sessionsOf.erase(user_);
    --shared.priorities[priority_];
    log::debug("{}: closed, {} sessions", name_, shared.sessions);
}

uint32_t Session::readiness() const {
    m2m::Context& context = *parts_.context;
    const auto& output = context.output();
    const auto& capture = context.capture();
    uint32_t ready = events_.isEmpty() ? 0 : POLLPRI;
    const bool lenient = device_.shared().options.lenientPoll;
    if (lenient && !output.isStreaming() && !capture.isStreaming()) return ready;
    // v4l2_m2m_poll(): POLLERR only where nothing can become ready on either queue. Drivers keep the OUTPUT buffer that has the
    // first picture until CAPTURE is set up, so that there is none before; GStreamer 1.24 and newer end of it.
    const bool over = capture.isStreaming() && capture.lastDequeued();
    const bool awaited = over || context.awaitsSetup();
    if (output.isIdle() && capture.isIdle() && (!awaited || output.hasFailed() || capture.hasFailed())) return ready | POLLERR;
    if (output.hasDone()) ready |= POLLOUT | POLLWRNORM;
    // After LAST, readable until DQBUF has answered EPIPE, and every now and then again. v4l2_m2m_poll() stays readable, which
    // makes a client that goes on polling spin; without any wake-up, FFmpeg, which does not look at LAST, would wait for ever.
    if (capture.hasDone() || capture.hasEndToTell() || (lenient && capture.lastDequeued())) ready |= POLLIN | POLLRDNORM;
    return ready;
}

Result<> Session::setPriority(uint32_t priority) {
    if (priority < V4L2_PRIORITY_BACKGROUND || priority > V4L2_PRIORITY_RECORD) return fail(EINVAL);
    auto& priorities = device_.shared().priorities;
    --priorities[priority_];
    ++priorities[priority];
    priority_ = static_cast<v4l2_priority>(priority);
    return {};
}

Result<> Session::checkPriority() const {
    const auto& priorities = device_.shared().priorities;
    for (size_t higher = priority_ + 1; higher < priorities.size(); ++higher)
        if (priorities[higher] > 0) return fail(EBUSY);
    return {};
}

void Session::sourceChanged() {
    const auto& stream = *context().stream();
    log::debug("{}: the stream is {}x{}, visible {}x{}+{}+{}, {} bits, {} CAPTURE buffers or more", name_, stream.codedWidth,
               stream.codedHeight, stream.visible.width, stream.visible.height, stream.visible.left, stream.visible.top,
               stream.bitDepth, stream.minCaptureBuffers);
    pushControlEvents();
    v4l2_event event{};
    event.type = V4L2_EVENT_SOURCE_CHANGE;
    event.u.src_change.changes = V4L2_EVENT_SRC_CH_RESOLUTION;
    events_.push(event);
    if (!events_.isPending(V4L2_EVENT_SOURCE_CHANGE)) context().sourceChangeSeen();
    changed_();
}

void Session::pushControlEvents() {
    for (const ControlInfo* control : controls().takeChanged()) {
        const int64_t value = control->isCompound() ? 0 : controls().get(*control).value_or(0);
        events_.push(controlEvent(*control, value, V4L2_EVENT_CTRL_CH_VALUE));
    }
}

void Session::streamDescribed() {
    pushControlEvents();
    changed_();
}

void Session::endOfStream() {
    v4l2_event event{};
    event.type = V4L2_EVENT_EOS;
    events_.push(event);
}

}  // namespace daedalus::device
