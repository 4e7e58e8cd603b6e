#include "daedalus/device/controls.h"

#include <algorithm>

namespace daedalus::device {

const ControlInfo* Controls::find(uint32_t id) {
    const auto table = controlTable();
    const uint32_t plain = id & V4L2_CTRL_ID_MASK;
    if (id & (V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND)) {
        // There are no compound controls: asking only for them finds nothing.
        if (!(id & V4L2_CTRL_FLAG_NEXT_CTRL)) return nullptr;
        const auto next = std::ranges::find_if(table, [plain](const auto& control) { return control.id > plain; });
        return next == table.end() ? nullptr : &*next;
    }
    const auto found = std::ranges::find(table, plain, &ControlInfo::id);
    return found == table.end() ? nullptr : &*found;
}

Result<int64_t> Controls::get(const ControlInfo& control) const {
    if (control.flags & V4L2_CTRL_FLAG_WRITE_ONLY) return fail(EACCES);
    if (control.flags & V4L2_CTRL_FLAG_VOLATILE) return volatileValue_(control.id);
    const auto stored = values_.find(control.id);
    return stored == values_.end() ? control.defaultValue : stored->second;
}

Result<int64_t> Controls::check(const ControlInfo& control, int64_t value) {
    if (control.flags & V4L2_CTRL_FLAG_READ_ONLY) return fail(EACCES);
    if (control.type == V4L2_CTRL_TYPE_MENU) {
        if (value < control.minimum || value > control.maximum) return fail(ERANGE);
        if (!control.menu[static_cast<size_t>(value)]) return fail(EINVAL);
        return value;
    }
    value = std::clamp(value, control.minimum, control.maximum);
    return control.minimum + (value - control.minimum) / control.step * control.step;
}

bool Controls::set(const ControlInfo& control, int64_t value) {
    const auto before = get(control);
    values_[control.id] = value;
    return !before || *before != value;
}

v4l2_event controlEvent(const ControlInfo& control, int64_t value, uint32_t changes) {
    v4l2_event event{};
    event.type = V4L2_EVENT_CTRL;
    event.id = control.id;
    event.u.ctrl.changes = changes;
    event.u.ctrl.type = control.type;
    event.u.ctrl.flags = control.flags;
    event.u.ctrl.value64 = value;
    event.u.ctrl.minimum = static_cast<int32_t>(control.minimum);
    event.u.ctrl.maximum = static_cast<int32_t>(control.maximum);
    event.u.ctrl.step = static_cast<int32_t>(control.type == V4L2_CTRL_TYPE_MENU ? 1 : control.step);
    event.u.ctrl.default_value = static_cast<int32_t>(control.defaultValue);
    return event;
}

}  // namespace daedalus::device
