// The controls of a stateless decoder's session: what the client sets, for all units or in a request.
#pragma once

#include <map>
#include <vector>

#include "daedalus/codec/decoder.h"
#include "daedalus/device/controls.h"
#include "daedalus/m2m/stateless.h"
#include "daedalus/v4l2/control_values.h"

namespace daedalus::device {

/// The lines of all codecs, in the order of their ids.
[[nodiscard]] std::span<const ControlInfo> unitControlTable();

/// Loop thread. `codecs` and `context` must outlive it.
class UnitControls final : public Controls {
public:
    UnitControls(const codec::Factory& codecs, const m2m::StatelessContext& context) : codecs_(codecs), context_(context) {}

    const ControlInfo* find(uint32_t id) const override;
    Result<int64_t> get(const ControlInfo& control) const override;
    void read(const ControlInfo& control, std::span<std::byte> into) const override;
    std::vector<const ControlInfo*> takeChanged() override;

private:
    [[nodiscard]] bool has(const ControlInfo& control) const { return !control.codec || codecs_.supportsUnits(*control.codec); }

    const codec::Factory& codecs_;
    const m2m::StatelessContext& context_;
    std::map<uint32_t, v4l2::ControlValue> known_;
};

/// The bytes of a control among `values`, or of its default. A plain control's are an int32_t.
[[nodiscard]] std::vector<std::byte> unitValueOf(const ControlInfo& control, const v4l2::ControlValues& values);
/// Checks a value that a client sets, and brings it into the form in which it holds. EINVAL, ERANGE, EACCES for one that cannot
/// be set.
[[nodiscard]] Result<> checkUnitValue(const ControlInfo& control, std::vector<std::byte>& value);

}  // namespace daedalus::device
