#include "daedalus/device/unit_controls.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "proto/follow.h"
#include "unit_values.h"

namespace daedalus::device {
namespace {

using v4l2::Codec;

constexpr const char* kDecodeModes[] = {nullptr, "Frame-Based"};
constexpr const char* kStartCodes[] = {nullptr, "Annex B Start Code"};

constexpr ControlInfo classOf(uint32_t id, const char* name) {
    return {.id = id,
            .name = name,
            .type = V4L2_CTRL_TYPE_CTRL_CLASS,
            .minimum = 0,
            .maximum = 0,
            .step = 0,
            .defaultValue = 0,
            .flags = V4L2_CTRL_FLAG_READ_ONLY | V4L2_CTRL_FLAG_WRITE_ONLY,
            .menu = {},
            .codec = {},
            .source = ControlSource::None};
}

constexpr ControlInfo compound(uint32_t id, const char* name, v4l2_ctrl_type type, Codec codec) {
    return {.id = id,
            .name = name,
            .type = type,
            .minimum = 0,
            .maximum = 0,
            .step = 0,
            .defaultValue = 0,
            .flags = V4L2_CTRL_FLAG_HAS_PAYLOAD,
            .menu = {},
            .codec = codec,
            .source = ControlSource::None};
}

/// A menu of which one item is offered.
constexpr ControlInfo menuOfOne(uint32_t id, const char* name, std::span<const char* const> items, Codec codec) {
    const auto only = static_cast<int64_t>(items.size()) - 1;
    return {.id = id,
            .name = name,
            .type = V4L2_CTRL_TYPE_MENU,
            .minimum = only,
            .maximum = only,
            .step = 1,
            .defaultValue = only,
            .flags = 0,
            .menu = items,
            .codec = codec,
            .source = ControlSource::Fixed};
}

const auto kTable = [] {
    std::array table = std::to_array<ControlInfo>({
        classOf(V4L2_CID_CODEC_CLASS, "Codec Controls"),
        {.id = V4L2_CID_DAEDALUS_CLIENT_CHECK,
         .name = "Client Check",
         .type = V4L2_CTRL_TYPE_INTEGER,
         .minimum = 0,
         .maximum = 1,
         .step = 1,
         .defaultValue = 0,
         .flags = 0,
         .menu = {},
         .codec = {},
         .source = ControlSource::Fixed},
        classOf(V4L2_CID_CODEC_STATELESS_CLASS, "Stateless Codec Controls"),
        menuOfOne(V4L2_CID_STATELESS_H264_DECODE_MODE, "H264 Decode Mode", kDecodeModes, Codec::H264),
        menuOfOne(V4L2_CID_STATELESS_H264_START_CODE, "H264 Start Code", kStartCodes, Codec::H264),
        compound(V4L2_CID_STATELESS_H264_SPS, "H264 Sequence Parameter Set", V4L2_CTRL_TYPE_H264_SPS, Codec::H264),
        compound(V4L2_CID_STATELESS_H264_PPS, "H264 Picture Parameter Set", V4L2_CTRL_TYPE_H264_PPS, Codec::H264),
        compound(V4L2_CID_STATELESS_H264_SCALING_MATRIX, "H264 Scaling Matrix", V4L2_CTRL_TYPE_H264_SCALING_MATRIX,
                 Codec::H264),
        compound(V4L2_CID_STATELESS_H264_DECODE_PARAMS, "H264 Decode Parameters", V4L2_CTRL_TYPE_H264_DECODE_PARAMS,
                 Codec::H264),
        compound(V4L2_CID_STATELESS_VP8_FRAME, "VP8 Frame Parameters", V4L2_CTRL_TYPE_VP8_FRAME, Codec::Vp8),
        compound(V4L2_CID_STATELESS_MPEG2_SEQUENCE, "MPEG-2 Sequence Header", V4L2_CTRL_TYPE_MPEG2_SEQUENCE, Codec::Mpeg2),
        compound(V4L2_CID_STATELESS_MPEG2_PICTURE, "MPEG-2 Picture Header", V4L2_CTRL_TYPE_MPEG2_PICTURE, Codec::Mpeg2),
        compound(V4L2_CID_STATELESS_MPEG2_QUANTISATION, "MPEG-2 Quantisation Matrices", V4L2_CTRL_TYPE_MPEG2_QUANTISATION,
                 Codec::Mpeg2),
        compound(V4L2_CID_STATELESS_VP9_FRAME, "VP9 Frame Decode Parameters", V4L2_CTRL_TYPE_VP9_FRAME, Codec::Vp9),
    });
    std::ranges::sort(table, {}, &ControlInfo::id);
    return table;
}();

template <class T>
std::vector<std::byte> bytesOf(const T& value) {
    std::vector<std::byte> bytes(sizeof value);
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
}

}  // namespace

std::span<const ControlInfo> unitControlTable() { return kTable; }

std::vector<std::byte> unitValueOf(const ControlInfo& control, const v4l2::ControlValues& values) {
    if (const auto value = values.find(control.id)) return *value;
    return control.isCompound() ? defaultUnitValue(control.id) : bytesOf(static_cast<int32_t>(control.defaultValue));
}

Result<> checkUnitValue(const ControlInfo& control, std::vector<std::byte>& value) {
    if ((control.flags & V4L2_CTRL_FLAG_READ_ONLY) != 0) return fail(EACCES);
    if (control.isCompound()) return normaliseUnitValue(control.id, value);
    int32_t number = 0;
    std::memcpy(&number, value.data(), sizeof number);
    if (control.type == V4L2_CTRL_TYPE_MENU) {
        if (number < control.minimum || number > control.maximum) return fail(ERANGE);
        return control.menu[static_cast<size_t>(number)] ? Result<>{} : fail(EINVAL);
    }
    value = bytesOf(std::clamp(number, static_cast<int32_t>(control.minimum), static_cast<int32_t>(control.maximum)));
    return {};
}

const ControlInfo* UnitControls::find(uint32_t id) const {
    const uint32_t plain = id & V4L2_CTRL_ID_MASK;
    const bool plainToo = (id & V4L2_CTRL_FLAG_NEXT_CTRL) != 0;
    const bool compoundToo = (id & V4L2_CTRL_FLAG_NEXT_COMPOUND) != 0;
    const auto found = std::ranges::find_if(kTable, [&](const ControlInfo& control) {
        if (!has(control)) return false;
        if (!plainToo && !compoundToo) return control.id == plain;
        return control.id > plain && (control.isCompound() ? compoundToo : plainToo);
    });
    return found == kTable.end() ? nullptr : &*found;
}

Result<int64_t> UnitControls::get(const ControlInfo& control) const {
    if ((control.flags & V4L2_CTRL_FLAG_WRITE_ONLY) != 0) return fail(EACCES);
    int32_t value = 0;
    const auto bytes = unitValueOf(control, context_.values());
    std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
    return value;
}

void UnitControls::read(const ControlInfo& control, std::span<std::byte> into) const {
    const auto bytes = unitValueOf(control, context_.values());
    std::copy_n(bytes.begin(), std::min(bytes.size(), into.size()), into.begin());
}

std::vector<const ControlInfo*> UnitControls::takeChanged() {
    std::vector<const ControlInfo*> changed;
    for (const ControlInfo& control : kTable) {
        const auto now = context_.values().find(control.id);
        auto& known = known_[control.id];
        if (known == now) continue;
        const bool same = known && now && *known == *now;
        known = now;
        if (!same) changed.push_back(&control);
    }
    return changed;
}

}  // namespace daedalus::device
