// The ioctls of a stateless decoder's session that differ from those of others: controls that can be set, requests, FLUSH.
#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "daedalus/device/handlers.h"
#include "daedalus/device/session.h"
#include "daedalus/device/unit_controls.h"
#include "proto/follow.h"
#include "shared.h"

namespace daedalus::device {
namespace {

enum class Purpose : uint8_t { Get, Set, Try };

/// The request that `which` asks for. EINVAL if the descriptor is none of this device's.
Result<std::shared_ptr<media::Request>> requestOf(Session& session, const CallContext& call) {
    const auto& device = session.device().media;
    if (!call.request || !device || !device->owns(*call.request)) return fail(EINVAL);
    return call.request;
}

/// What the V4L2 core checks before it looks at a value; error_idx says that nothing was done.
Result<> checkArray(const Controls& known, v4l2_ext_controls& controls, Purpose purpose) {
    controls.error_idx = controls.count;
    const uint32_t which = controls.which;
    if (which == V4L2_CTRL_WHICH_DEF_VAL && purpose != Purpose::Get) return fail(EINVAL);
    const bool anyClass =
        which == V4L2_CTRL_WHICH_CUR_VAL || which == V4L2_CTRL_WHICH_DEF_VAL || which == V4L2_CTRL_WHICH_REQUEST_VAL;
    if (controls.count == 0) return anyClass || known.find(which | 1) ? Result<>{} : fail(EINVAL);
    if (!controls.controls) return fail(EFAULT);
    for (uint32_t i = 0; i < controls.count; ++i) {
        auto& entry = controls.controls[i];
        const auto refuse = [&](int error) {
            if (purpose == Purpose::Try) controls.error_idx = i;
            return fail(error);
        };
        if (!anyClass && V4L2_CTRL_ID2WHICH(entry.id) != which) return refuse(EINVAL);
        const auto* const control = known.find(entry.id & V4L2_CTRL_ID_MASK);
        if (!control) return refuse(EINVAL);
        if (control->isCompound()) {
            const uint32_t bytes = proto::payloadBytes(control->id);
            const bool fits = entry.size >= bytes;
            entry.size = bytes;
            if (!fits) return refuse(purpose == Purpose::Get ? ENOSPC : EFAULT);
        }
        const uint32_t forbids = purpose == Purpose::Get ? V4L2_CTRL_FLAG_WRITE_ONLY : V4L2_CTRL_FLAG_READ_ONLY;
        if ((control->flags & forbids) != 0) return refuse(EACCES);
    }
    return {};
}

std::vector<std::byte> valueOf(const ControlInfo& control, const v4l2_ext_control& entry) {
    std::vector<std::byte> bytes(control.isCompound() ? uint32_t{entry.size} : sizeof(int32_t));
    const int32_t plain = entry.value;
    std::memcpy(bytes.data(), control.isCompound() ? entry.ptr : &plain, bytes.size());
    return bytes;
}

void giveBack(const ControlInfo& control, const std::vector<std::byte>& bytes, v4l2_ext_control& entry) {
    if (control.isCompound()) {
        std::memcpy(entry.ptr, bytes.data(), bytes.size());
        return;
    }
    int32_t plain = 0;
    std::memcpy(&plain, bytes.data(), sizeof plain);
    entry.size = 0;
    entry.value = plain;
}

/// All values of the call, checked and given back in the form in which they hold.
Result<v4l2::ControlValues> collect(const Controls& known, v4l2_ext_controls& controls, Purpose purpose) {
    v4l2::ControlValues values;
    for (uint32_t i = 0; i < controls.count; ++i) {
        auto& entry = controls.controls[i];
        const auto* const control = known.find(entry.id & V4L2_CTRL_ID_MASK);
        auto bytes = valueOf(*control, entry);
        if (auto ok = checkUnitValue(*control, bytes); !ok) {
            if (purpose == Purpose::Try) controls.error_idx = i;
            return fail(ok.error());
        }
        giveBack(*control, bytes, entry);
        values.set(control->id, std::move(bytes));
    }
    return values;
}

/// The request whose controls are meant; null where it is those of no request. `error` if it is not in that state.
Result<std::shared_ptr<media::Request>> requestIn(media::RequestState state, int error, Session& session,
                                                  v4l2_ext_controls& controls, const CallContext& call) {
    if (controls.which != V4L2_CTRL_WHICH_REQUEST_VAL) return nullptr;
    controls.error_idx = controls.count;
    auto found = requestOf(session, call);
    if (found && (*found)->state() != state) return fail(error);
    return found;
}

Result<> setOrTry(Session& session, v4l2_ext_controls& controls, const CallContext& call, Purpose purpose) {
    const Controls& known = session.controls();
    const auto request = requestIn(media::RequestState::Idle, EBUSY, session, controls, call);
    if (!request) return fail(request.error());
    if (auto ok = checkArray(known, controls, purpose); !ok || controls.count == 0) return ok;
    const auto values = collect(known, controls, purpose);
    if (!values) return fail(values.error());
    auto& context = session.stateless();
    if (purpose == Purpose::Try) return context.checkValues(*values);
    if (*request) return context.setValues(*request, *values);
    if (auto ok = context.setValues(*values); !ok) return ok;
    session.controlsChanged();
    return {};
}

}  // namespace

Result<> get_unit_controls(Session& session, v4l2_ext_controls& controls, CallContext& call) {
    const Controls& known = session.controls();
    const v4l2::ControlValues* values = &session.stateless().values();
    const auto request = requestIn(media::RequestState::Complete, EACCES, session, controls, call);
    if (!request) return fail(request.error());
    if (*request) values = &(*request)->values();
    if (auto ok = checkArray(known, controls, Purpose::Get); !ok) return ok;
    const v4l2::ControlValues none;
    if (controls.which == V4L2_CTRL_WHICH_DEF_VAL) values = &none;
    for (uint32_t i = 0; i < controls.count; ++i) {
        const auto* const control = known.find(controls.controls[i].id & V4L2_CTRL_ID_MASK);
        giveBack(*control, unitValueOf(*control, *values), controls.controls[i]);
    }
    return {};
}

Result<> set_unit_controls(Session& session, v4l2_ext_controls& controls, CallContext& call) {
    return setOrTry(session, controls, call, Purpose::Set);
}

Result<> try_unit_controls(Session& session, v4l2_ext_controls& controls, CallContext& call) {
    return setOrTry(session, controls, call, Purpose::Try);
}

Result<> set_unit_control(Session& session, v4l2_control& value, CallContext&) {
    const auto* const control = session.controls().find(value.id & V4L2_CTRL_ID_MASK);
    if (!control || control->isCompound()) return fail(EINVAL);
    std::vector<std::byte> bytes(sizeof value.value);
    std::memcpy(bytes.data(), &value.value, bytes.size());
    if (auto ok = checkUnitValue(*control, bytes); !ok) return ok;
    std::memcpy(&value.value, bytes.data(), bytes.size());
    v4l2::ControlValues values;
    values.set(control->id, std::move(bytes));
    if (auto ok = session.stateless().setValues(values); !ok) return ok;
    session.controlsChanged();
    return {};
}

Result<> try_unit_cmd(Session&, v4l2_decoder_cmd& command, CallContext&) {
    if (command.cmd != V4L2_DEC_CMD_FLUSH) return fail(EINVAL);
    command.flags = 0;
    return {};
}

Result<> unit_cmd(Session& session, v4l2_decoder_cmd& command, CallContext& call) {
    if (auto ok = try_unit_cmd(session, command, call); !ok) return ok;
    session.stateless().flush();
    return {};
}

}  // namespace daedalus::device
