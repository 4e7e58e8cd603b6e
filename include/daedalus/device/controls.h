// The controls of one session, by one table (src/device/control_table.cpp).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string_view>

#include "daedalus/base/result.h"
#include "daedalus/v4l2/uapi.h"

namespace daedalus::device {

/// One control: a line of the table.
struct ControlInfo {
    uint32_t id;
    const char* name;
    v4l2_ctrl_type type;
    int64_t minimum;
    int64_t maximum;
    int64_t step;
    int64_t defaultValue;
    uint32_t flags;
    std::span<const char* const> menu;  ///< item names from 0; nullptr: not offered
};

/// All controls, in the order of their ids.
[[nodiscard]] std::span<const ControlInfo> controlTable();

/// Values of one session's controls. Loop thread.
class Controls {
public:
    /// `volatileValue` computes the value of a volatile control.
    explicit Controls(std::function<int64_t(uint32_t id)> volatileValue) : volatileValue_(std::move(volatileValue)) {}

    /// The line of a control, or with V4L2_CTRL_FLAG_NEXT_CTRL (and _COMPOUND) in `id` the next one; nullptr if there is none.
    [[nodiscard]] static const ControlInfo* find(uint32_t id);
    /// EACCES for what cannot be read.
    [[nodiscard]] Result<int64_t> get(const ControlInfo& control) const;
    /// The value that set() would store: integers are brought into range; ERANGE or EINVAL for a menu item that is not there,
    /// EACCES for a read-only control.
    [[nodiscard]] static Result<int64_t> check(const ControlInfo& control, int64_t value);
    /// Stores a value that check() gave; true if it changed.
    bool set(const ControlInfo& control, int64_t value);

private:
    std::function<int64_t(uint32_t id)> volatileValue_;
    std::map<uint32_t, int64_t> values_;
};

/// The V4L2_EVENT_CTRL event of a control; `changes`: V4L2_EVENT_CTRL_CH_*.
[[nodiscard]] v4l2_event controlEvent(const ControlInfo& control, int64_t value, uint32_t changes);

}  // namespace daedalus::device
