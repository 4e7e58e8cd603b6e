// QUERYCTRL to TRY_EXT_CTRLS.
#include <algorithm>
#include <cstring>

#include "daedalus/device/handlers.h"
#include "daedalus/device/session.h"
#include "proto/follow.h"

namespace daedalus::device {
namespace {

template <class Info>
void copyName(Info& to, const char* name) {
    std::memset(to.name, 0, sizeof to.name);
    std::memcpy(to.name, name, std::min(std::strlen(name), sizeof to.name - 1));
}

/// The checks of the V4L2 core on the header of an array of controls; `isGet` decides what error_idx says.
Result<> checkArray(const Controls& known, v4l2_ext_controls& controls, bool isGet) {
    controls.error_idx = controls.count;
    const uint32_t which = controls.which;
    if (which == V4L2_CTRL_WHICH_REQUEST_VAL) return fail(EINVAL);
    if (which == V4L2_CTRL_WHICH_DEF_VAL && !isGet) return fail(EINVAL);
    const bool anyClass = which == V4L2_CTRL_WHICH_CUR_VAL || which == V4L2_CTRL_WHICH_DEF_VAL;
    if (controls.count == 0) return anyClass || known.find(which | 1) ? Result<>{} : fail(EINVAL);
    if (!controls.controls) return fail(EFAULT);
    if (anyClass) return {};
    for (uint32_t i = 0; i < controls.count; ++i) {
        if (V4L2_CTRL_ID2WHICH(controls.controls[i].id) == which) continue;
        if (!isGet) controls.error_idx = i;
        return fail(EINVAL);
    }
    return {};
}

/// Whether a control is there, and has room for its payload: `tooSmall` if not, and its size says how much it takes.
Result<const ControlInfo*> findEntry(const Controls& known, v4l2_ext_control& entry, int tooSmall) {
    const auto* control = known.find(entry.id & V4L2_CTRL_ID_MASK);
    if (!control) return fail(EINVAL);
    if (!control->isCompound()) return control;
    const uint32_t bytes = proto::payloadBytes(control->id);
    const bool fits = entry.size >= bytes;
    entry.size = bytes;
    if (!fits) return fail(tooSmall);
    return control;
}

void writeValue(const Controls& known, const ControlInfo& control, v4l2_ext_control& to, bool defaults) {
    if (control.isCompound()) {
        // The default is the one of a stream that says nothing.
        const std::span into(static_cast<std::byte*>(to.ptr), to.size);
        std::ranges::fill(into, std::byte{0});
        if (!defaults) known.read(control, into);
        return;
    }
    to.size = 0;
    to.value = static_cast<int32_t>(defaults ? control.defaultValue : known.get(control).value_or(control.defaultValue));
}

/// S and TRY: there is no control that could be set, but what is wrong is said in the core's order.
Result<> refuse(const Controls& known, v4l2_ext_controls& controls, bool set) {
    if (auto ok = checkArray(known, controls, false); !ok) return ok;
    if (controls.count == 0) return {};
    for (uint32_t i = 0; i < controls.count; ++i) {
        if (const auto control = findEntry(known, controls.controls[i], EFAULT); !control) {
            // A client of S_EXT_CTRLS learns from error_idx == count that nothing was set.
            controls.error_idx = set ? controls.count : i;
            return fail(control.error());
        }
    }
    controls.error_idx = set ? controls.count : 0;
    return fail(EACCES);
}

}  // namespace

Result<> queryctrl(Session& session, v4l2_queryctrl& query, CallContext&) {
    const auto* control = session.controls().find(query.id);
    if (!control) return fail(EINVAL);
    query.id = control->id;
    query.type = control->type;
    copyName(query, control->name);
    query.minimum = static_cast<int32_t>(control->minimum);
    query.maximum = static_cast<int32_t>(control->maximum);
    query.step = static_cast<int32_t>(control->step);
    query.default_value = static_cast<int32_t>(control->defaultValue);
    query.flags = control->flags;
    return {};
}

Result<> query_ext_ctrl(Session& session, v4l2_query_ext_ctrl& query, CallContext&) {
    const auto* control = session.controls().find(query.id);
    if (!control) return fail(EINVAL);
    query.id = control->id;
    query.type = control->type;
    copyName(query, control->name);
    query.minimum = control->minimum;
    query.maximum = control->maximum;
    query.step = static_cast<uint64_t>(control->step);
    query.default_value = control->defaultValue;
    query.flags = control->flags;
    query.elem_size = control->isCompound() ? proto::payloadBytes(control->id) : uint32_t{sizeof(int32_t)};
    query.elems = 1;
    query.nr_of_dims = 0;
    return {};
}

Result<> querymenu(Session& session, v4l2_querymenu& query, CallContext&) {
    const auto* control = session.controls().find(query.id & V4L2_CTRL_ID_MASK);
    if (!control || control->type != V4L2_CTRL_TYPE_MENU) return fail(EINVAL);
    if (query.index > control->maximum || !control->menu[query.index]) return fail(EINVAL);
    copyName(query, control->menu[query.index]);
    return {};
}

Result<> g_ctrl(Session& session, v4l2_control& value, CallContext&) {
    const auto* control = session.controls().find(value.id & V4L2_CTRL_ID_MASK);
    if (!control || control->isCompound()) return fail(EINVAL);
    const auto current = session.controls().get(*control);
    if (!current) return fail(current.error());
    value.value = static_cast<int32_t>(*current);
    return {};
}

Result<> s_ctrl(Session& session, v4l2_control& value, CallContext&) {
    const auto* control = session.controls().find(value.id & V4L2_CTRL_ID_MASK);
    if (!control || control->isCompound()) return fail(EINVAL);
    return fail(EACCES);
}

Result<> g_ext_ctrls(Session& session, v4l2_ext_controls& controls, CallContext&) {
    const Controls& known = session.controls();
    if (auto ok = checkArray(known, controls, true); !ok) return ok;
    for (uint32_t i = 0; i < controls.count; ++i)
        if (const auto control = findEntry(known, controls.controls[i], ENOSPC); !control) return fail(control.error());
    const auto lineOf = [&](uint32_t i) { return known.find(controls.controls[i].id & V4L2_CTRL_ID_MASK); };
    for (uint32_t i = 0; i < controls.count; ++i)
        if (lineOf(i)->flags & V4L2_CTRL_FLAG_WRITE_ONLY) return fail(EACCES);
    const bool defaults = controls.which == V4L2_CTRL_WHICH_DEF_VAL;
    for (uint32_t i = 0; i < controls.count; ++i) writeValue(known, *lineOf(i), controls.controls[i], defaults);
    return {};
}

Result<> s_ext_ctrls(Session& session, v4l2_ext_controls& controls, CallContext&) {
    return refuse(session.controls(), controls, true);
}

Result<> try_ext_ctrls(Session& session, v4l2_ext_controls& controls, CallContext&) {
    return refuse(session.controls(), controls, false);
}

}  // namespace daedalus::device
