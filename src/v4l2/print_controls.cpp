// Controls and events.
#include "daedalus/v4l2/print.h"
#include "print_fields.h"

namespace daedalus::v4l2 {
namespace {

/// A control's name, or its number; the NEXT flags of a query in front of it.
void printControlId(Fields& fields, uint32_t id) {
    std::string& out = fields.key("id");
    if ((id & V4L2_CTRL_FLAG_NEXT_CTRL) != 0) out += "NEXT_CTRL|";
    if ((id & V4L2_CTRL_FLAG_NEXT_COMPOUND) != 0) out += "NEXT_COMPOUND|";
    appendEnum(out, kControlIdNames, id & ~(V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CTRL_FLAG_NEXT_COMPOUND));
}

void printEventId(Fields& fields, uint32_t type, uint32_t id) {
    if (type == V4L2_EVENT_CTRL) {
        printControlId(fields, id);
    } else {
        fields.optional("id", id);
    }
}

}  // namespace

void print(std::string& out, const v4l2_queryctrl& arg) {
    Fields fields(out);
    printControlId(fields, arg.id);
    if (arg.type == 0) return;  // on the way in
    fields.enumeration("type", kControlTypeNames, arg.type);
    fields.text("name", arg.name, sizeof arg.name);
    fields.number("minimum", arg.minimum);
    fields.number("maximum", arg.maximum);
    fields.number("step", arg.step);
    fields.number("default_value", arg.default_value);
    fields.flags("flags", kControlFlagNames, arg.flags);
}

void print(std::string& out, const v4l2_query_ext_ctrl& arg) {
    Fields fields(out);
    printControlId(fields, arg.id);
    if (arg.type == 0) return;  // on the way in
    fields.enumeration("type", kControlTypeNames, arg.type);
    fields.text("name", arg.name, sizeof arg.name);
    fields.number("minimum", arg.minimum);
    fields.number("maximum", arg.maximum);
    fields.number("step", arg.step);
    fields.number("default_value", arg.default_value);
    fields.flags("flags", kControlFlagNames, arg.flags);
    fields.number("elem_size", arg.elem_size);
    fields.number("elems", arg.elems);
    fields.optional("nr_of_dims", arg.nr_of_dims);
}

void print(std::string& out, const v4l2_querymenu& arg) {
    const v4l2_querymenu menu = arg;  // packed
    Fields fields(out);
    printControlId(fields, menu.id);
    fields.number("index", uint32_t{menu.index});
    fields.text("name", menu.name, sizeof menu.name);
}

void print(std::string& out, const v4l2_control& arg) {
    Fields fields(out);
    printControlId(fields, arg.id);
    fields.number("value", arg.value);
}

void print(std::string& out, const v4l2_ext_controls& arg) {
    Fields fields(out);
    fields.enumeration("which", kControlWhichNames, arg.which);
    fields.number("count", arg.count);
    fields.number("error_idx", arg.error_idx);
    if (arg.which == V4L2_CTRL_WHICH_REQUEST_VAL) fields.number("request_fd", arg.request_fd);
    // An array that is too long is never gathered, so the pointer is still the client's.
    if (arg.count == 0 || arg.count > V4L2_CID_MAX_CTRLS) return;
    std::string& controls = fields.key("controls");
    if (arg.controls == nullptr) {
        controls += "NULL";
        return;
    }
    constexpr unsigned kPrinted = 16;
    controls += '[';
    for (unsigned i = 0; i < arg.count; ++i) {
        if (i > 0) controls += ", ";
        if (i == kPrinted) {
            controls += "...";
            break;
        }
        const v4l2_ext_control control = arg.controls[i];  // packed
        Fields inner(controls);
        printControlId(inner, control.id);
        if (control.size != 0) {
            inner.number("size", uint32_t{control.size});
        } else {
            inner.number("value", int32_t{control.value});
        }
    }
    controls += ']';
}

void print(std::string& out, const v4l2_event_subscription& arg) {
    Fields fields(out);
    fields.enumeration("type", kEventNames, arg.type);
    printEventId(fields, arg.type, arg.id);
    fields.optionalFlags("flags", kSubscriptionFlagNames, arg.flags);
}

void print(std::string& out, const v4l2_event& arg) {
    Fields fields(out);
    fields.enumeration("type", kEventNames, arg.type);
    printEventId(fields, arg.type, arg.id);
    if (arg.type == V4L2_EVENT_CTRL) {
        const v4l2_event_ctrl& ctrl = arg.u.ctrl;
        fields.flags("changes", kControlChangeNames, ctrl.changes);
        fields.enumeration("ctrl_type", kControlTypeNames, ctrl.type);
        fields.number("value", ctrl.value);
        fields.flags("flags", kControlFlagNames, ctrl.flags);
    } else if (arg.type == V4L2_EVENT_SOURCE_CHANGE) {
        fields.flags("changes", kSourceChangeNames, arg.u.src_change.changes);
    }
    fields.number("pending", arg.pending);
    fields.number("sequence", arg.sequence);
    fmt::format_to(std::back_inserter(fields.key("timestamp")), "{}.{:09}", static_cast<int64_t>(arg.timestamp.tv_sec),
                   static_cast<int64_t>(arg.timestamp.tv_nsec));
}

}  // namespace daedalus::v4l2
