// QUERYCTRL to TRY_EXT_CTRLS.
#include <algorithm>
#include <cstring>
#include <optional>

#include "daedalus/device/handlers.h"
#include "daedalus/device/session.h"

namespace daedalus::device {
namespace {

template <class Info>
void copyName(Info& to, const char* name) {
    std::memset(to.name, 0, sizeof to.name);
    std::memcpy(to.name, name, std::min(std::strlen(name), sizeof to.name - 1));
}

int64_t visibleStep(const ControlInfo& control) { return control.type == V4L2_CTRL_TYPE_MENU ? 1 : control.step; }

/// A changed value is told to the session's subscriber if it wants to hear of its own changes.
void notify(Session& session, const ControlInfo& control, int64_t value) {
    if (session.events().flags(V4L2_EVENT_CTRL, control.id) & V4L2_EVENT_SUB_FL_ALLOW_FEEDBACK)
        session.events().push(controlEvent(control, value, V4L2_EVENT_CTRL_CH_VALUE));
}

/// The checks of the V4L2 core on the header of an array of controls; `isGet` decides what error_idx says.
Result<> checkArray(v4l2_ext_controls& controls, bool isGet) {
    controls.error_idx = controls.count;
    const uint32_t which = controls.which;
    if (which == V4L2_CTRL_WHICH_REQUEST_VAL) return fail(EINVAL);
    if (which == V4L2_CTRL_WHICH_DEF_VAL && !isGet) return fail(EINVAL);
    const bool anyClass = which == V4L2_CTRL_WHICH_CUR_VAL || which == V4L2_CTRL_WHICH_DEF_VAL;
    if (controls.count == 0) return anyClass || Controls::find(which | 1) ? Result<>{} : fail(EINVAL);
    if (!controls.controls) return fail(EFAULT);
    if (anyClass) return {};
    for (uint32_t i = 0; i < controls.count; ++i) {
        if (V4L2_CTRL_ID2WHICH(controls.controls[i].id) == which) continue;
        if (!isGet) controls.error_idx = i;
        return fail(EINVAL);
    }
    return {};
}

int64_t valueOf(const ControlInfo& control, const v4l2_ext_control& given) {
    return control.type == V4L2_CTRL_TYPE_INTEGER64 ? given.value64 : given.value;
}

void writeValue(const ControlInfo& control, v4l2_ext_control& to, int64_t value) {
    to.size = 0;
    if (control.type == V4L2_CTRL_TYPE_INTEGER64) {
        to.value64 = value;
    } else {
        to.value = static_cast<int32_t>(value);
    }
}

/// S and TRY: all are checked before any is set.
Result<> apply(Session& session, v4l2_ext_controls& controls, bool set) {
    if (auto ok = checkArray(controls, false); !ok) return ok;
    for (uint32_t i = 0; i < controls.count; ++i) {
        auto& entry = controls.controls[i];
        const auto* control = Controls::find(entry.id & V4L2_CTRL_ID_MASK);
        const auto checked = control ? Controls::check(*control, valueOf(*control, entry)) : Result<int64_t>(fail(EINVAL));
        if (!checked) {
            // A client of S_EXT_CTRLS learns from error_idx == count that nothing was set.
            controls.error_idx = set ? controls.count : i;
            return fail(checked.error());
        }
        writeValue(*control, entry, *checked);
    }
    if (!set) return {};
    for (uint32_t i = 0; i < controls.count; ++i) {
        const auto& control = *Controls::find(controls.controls[i].id & V4L2_CTRL_ID_MASK);
        const int64_t value = valueOf(control, controls.controls[i]);
        if (session.controls().set(control, value)) notify(session, control, value);
    }
    return {};
}

}  // namespace

Result<> queryctrl(Session&, v4l2_queryctrl& query, CallContext&) {
    const auto* control = Controls::find(query.id);
    if (!control) return fail(EINVAL);
    query.id = control->id;
    query.type = control->type;
    copyName(query, control->name);
    query.minimum = static_cast<int32_t>(control->minimum);
    query.maximum = static_cast<int32_t>(control->maximum);
    query.step = static_cast<int32_t>(visibleStep(*control));
    query.default_value = static_cast<int32_t>(control->defaultValue);
    query.flags = control->flags;
    return {};
}

Result<> query_ext_ctrl(Session&, v4l2_query_ext_ctrl& query, CallContext&) {
    const auto* control = Controls::find(query.id);
    if (!control) return fail(EINVAL);
    query.id = control->id;
    query.type = control->type;
    copyName(query, control->name);
    query.minimum = control->minimum;
    query.maximum = control->maximum;
    query.step = static_cast<uint64_t>(visibleStep(*control));
    query.default_value = control->defaultValue;
    query.flags = control->flags;
    query.elem_size = control->type == V4L2_CTRL_TYPE_INTEGER64 ? sizeof(int64_t) : sizeof(int32_t);
    query.elems = 1;
    query.nr_of_dims = 0;
    return {};
}

Result<> querymenu(Session&, v4l2_querymenu& query, CallContext&) {
    const auto* control = Controls::find(query.id & V4L2_CTRL_ID_MASK);
    if (!control || control->type != V4L2_CTRL_TYPE_MENU) return fail(EINVAL);
    if (query.index > control->maximum || !control->menu[query.index]) return fail(EINVAL);
    copyName(query, control->menu[query.index]);
    return {};
}

Result<> g_ctrl(Session& session, v4l2_control& value, CallContext&) {
    const auto* control = Controls::find(value.id & V4L2_CTRL_ID_MASK);
    if (!control) return fail(EINVAL);
    const auto current = session.controls().get(*control);
    if (!current) return fail(current.error());
    value.value = static_cast<int32_t>(*current);
    return {};
}

Result<> s_ctrl(Session& session, v4l2_control& value, CallContext&) {
    const auto* control = Controls::find(value.id & V4L2_CTRL_ID_MASK);
    if (!control) return fail(EINVAL);
    const auto checked = Controls::check(*control, value.value);
    if (!checked) return fail(checked.error());
    value.value = static_cast<int32_t>(*checked);
    if (session.controls().set(*control, *checked)) notify(session, *control, *checked);
    return {};
}

Result<> g_ext_ctrls(Session& session, v4l2_ext_controls& controls, CallContext&) {
    if (auto ok = checkArray(controls, true); !ok) return ok;
    for (uint32_t i = 0; i < controls.count; ++i) {
        const auto* control = Controls::find(controls.controls[i].id & V4L2_CTRL_ID_MASK);
        if (!control) return fail(EINVAL);
        if (control->flags & V4L2_CTRL_FLAG_WRITE_ONLY) return fail(EACCES);
    }
    for (uint32_t i = 0; i < controls.count; ++i) {
        auto& entry = controls.controls[i];
        const auto& control = *Controls::find(entry.id & V4L2_CTRL_ID_MASK);
        const bool defaults = controls.which == V4L2_CTRL_WHICH_DEF_VAL;
        writeValue(control, entry, defaults ? control.defaultValue : *session.controls().get(control));
    }
    return {};
}

Result<> s_ext_ctrls(Session& session, v4l2_ext_controls& controls, CallContext&) { return apply(session, controls, true); }

Result<> try_ext_ctrls(Session& session, v4l2_ext_controls& controls, CallContext&) { return apply(session, controls, false); }

}  // namespace daedalus::device
