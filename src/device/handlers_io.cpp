// QUERYCAP, priorities, LOG_STATUS.
#include <algorithm>
#include <cstring>

#include "daedalus/base/log.h"
#include "daedalus/device/handlers.h"
#include "daedalus/device/session.h"
#include "shared.h"

namespace daedalus::device {
namespace {

/// The V4L2 API level that this node implements, as a kernel version: REMOVE_BUFS came with 6.10.
constexpr uint32_t kApiVersion = (6U << 16) | (10U << 8);

template <size_t N>
void copyText(__u8 (&to)[N], const std::string& from) {
    std::memcpy(to, from.data(), std::min(from.size(), N - 1));
}

}  // namespace

Result<> querycap(Session& session, v4l2_capability& cap, CallContext&) {
    const auto& options = session.device().options;
    copyText(cap.driver, options.driver);
    copyText(cap.card, options.card.empty() ? options.kind->card : options.card);
    copyText(cap.bus_info, options.busInfo);
    cap.version = kApiVersion;
    cap.device_caps = options.kind->capabilities;
    cap.capabilities = cap.device_caps | V4L2_CAP_DEVICE_CAPS;
    return {};
}

Result<> g_priority(Session& session, uint32_t& priority, CallContext&) {
    // The highest of all opens, as v4l2_prio_max() gives it.
    const auto& counts = session.device().priorities;
    priority = V4L2_PRIORITY_UNSET;
    for (uint32_t level = 0; level < counts.size(); ++level)
        if (counts[level] > 0) priority = level;
    return {};
}

Result<> s_priority(Session& session, uint32_t& priority, CallContext&) { return session.setPriority(priority); }

Result<> log_status(Session& session, NoArgument&, CallContext&) {
    auto& context = session.context();
    const auto& output = context.outputFormat();
    const auto& capture = context.captureFormat();
    const auto describe = [](const queue::Queue& queue) {
        return fmt::format("{} buffers, {}", queue.bufferCount(), queue.isStreaming() ? "streaming" : "not streaming");
    };
    log::info("{}: state {}; OUTPUT {} {}x{}, {}; CAPTURE {} {}x{}, {}", session.name(), context.stateName(),
              output.coded->name, output.width, output.height, describe(context.output()), capture.raw->name,
              capture.layout.width, capture.layout.height, describe(context.capture()));
    return {};
}

}  // namespace daedalus::device
