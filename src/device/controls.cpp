#include "daedalus/device/controls.h"

#include <algorithm>
#include <cstring>

#include "proto/follow.h"

namespace daedalus::device {
namespace {

/// Some codecs share their controls.
v4l2::Codec family(v4l2::Codec codec) { return codec == v4l2::Codec::Xvid ? v4l2::Codec::Mpeg4 : codec; }

int itemSaid(ControlSource source, const v4l2::Conformance& conformance) {
    switch (source) {
        case ControlSource::Profile:
            return conformance.profile;
        case ControlSource::Level:
            return conformance.level;
        case ControlSource::Tier:
            return conformance.tier;
        default:
            return v4l2::Conformance::kUnsaid;
    }
}

template <class T>
void copyOut(const T& value, std::span<std::byte> into) {
    std::memcpy(into.data(), &value, std::min(into.size(), sizeof value));
}

}  // namespace

const ControlInfo* StreamControls::find(uint32_t id) const {
    const auto table = controlTable();
    const uint32_t plain = id & V4L2_CTRL_ID_MASK;
    const bool plainToo = (id & V4L2_CTRL_FLAG_NEXT_CTRL) != 0;
    const bool compoundToo = (id & V4L2_CTRL_FLAG_NEXT_COMPOUND) != 0;
    const auto found = std::ranges::find_if(table, [&](const ControlInfo& control) {
        if (!has(control)) return false;
        if (!plainToo && !compoundToo) return control.id == plain;
        return control.id > plain && (control.isCompound() ? compoundToo : plainToo);
    });
    return found == table.end() ? nullptr : &*found;
}

Result<int64_t> StreamControls::get(const ControlInfo& control) const {
    if (control.flags & V4L2_CTRL_FLAG_WRITE_ONLY) return fail(EACCES);
    if (control.source == ControlSource::MinCaptureBuffers) return context_.minCaptureBuffers();
    const auto* stream = context_.stream();
    if (stream && control.source == ControlSource::BitDepth) return stream->sampling().bitDepth;
    if (stream && control.source == ControlSource::Chroma) return static_cast<int64_t>(stream->sampling().chroma);
    if (stream && stream->pixelAspectNum > 0 && stream->pixelAspectDen > 0) {
        if (control.source == ControlSource::PixelWidth) return std::min<int64_t>(stream->pixelAspectNum, control.maximum);
        if (control.source == ControlSource::PixelHeight) return std::min<int64_t>(stream->pixelAspectDen, control.maximum);
    }
    if (!stream || !control.codec || family(context_.outputFormat().coded->codec) != *control.codec)
        return control.defaultValue;
    // A stream may claim what the menu does not offer: that it is decoded is then luck.
    const int item = itemSaid(control.source, stream->conformance);
    const bool offered = item >= control.minimum && item <= control.maximum && control.menu[static_cast<size_t>(item)];
    return offered ? item : control.defaultValue;
}

void StreamControls::read(const ControlInfo& control, std::span<std::byte> into) const {
    const v4l2::Hdr10 hdr10 = context_.stream() ? context_.stream()->hdr10 : v4l2::Hdr10{};
    if (control.source == ControlSource::ContentLight) copyOut(hdr10.contentLight, into);
    if (control.source == ControlSource::MasteringDisplay) copyOut(hdr10.masteringDisplay, into);
}

std::vector<const ControlInfo*> StreamControls::takeChanged() {
    std::vector<const ControlInfo*> changed;
    for (const ControlInfo& control : controlTable()) {
        if (!has(control) || control.source == ControlSource::None) continue;
        std::vector<std::byte> now(control.isCompound() ? proto::payloadBytes(control.id) : sizeof(int64_t));
        std::vector<std::byte> initially(now.size());
        if (control.isCompound()) {
            read(control, now);
        } else {
            copyOut(get(control).value_or(0), now);
            copyOut(control.defaultValue, initially);
        }
        auto& known = known_.try_emplace(control.id, initially).first->second;
        if (known == now) continue;
        known = std::move(now);
        changed.push_back(&control);
    }
    return changed;
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
    event.u.ctrl.step = static_cast<int32_t>(control.step);
    event.u.ctrl.default_value = static_cast<int32_t>(control.defaultValue);
    return event;
}

}  // namespace daedalus::device
