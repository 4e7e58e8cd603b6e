// The controls of one session, by one table (src/device/control_table.cpp). All of them tell what the stream is: none can be
// set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "daedalus/base/result.h"
#include "daedalus/codec/decoder.h"
#include "daedalus/m2m/stateful.h"
#include "daedalus/v4l2/uapi.h"

namespace daedalus::device {

/// Where a control's value comes from.
enum class ControlSource : uint8_t {
    None,
    Fixed,  ///< always its default
    MinCaptureBuffers,
    BitDepth,
    Chroma,
    PixelWidth,
    PixelHeight,
    Profile,
    Level,
    Tier,
    ContentLight,
    MasteringDisplay,
};

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
    std::optional<v4l2::Codec> codec;   ///< it is about; not there where nothing decodes it
    ControlSource source;

    /// True if the value is a struct behind a pointer, of proto::payloadBytes() bytes.
    [[nodiscard]] bool isCompound() const { return type >= V4L2_CTRL_COMPOUND_TYPES; }
};

/// All controls, in the order of their ids.
[[nodiscard]] std::span<const ControlInfo> controlTable();

/// The controls of one session. Loop thread.
class Controls {
public:
    virtual ~Controls() = default;
    /// The line of a control, or with V4L2_CTRL_FLAG_NEXT_CTRL or _COMPOUND in `id` the next one of that kind; nullptr if there
    /// is none.
    [[nodiscard]] virtual const ControlInfo* find(uint32_t id) const = 0;
    /// The value of a control that is not compound. EACCES for what cannot be read.
    [[nodiscard]] virtual Result<int64_t> get(const ControlInfo& control) const = 0;
    /// The value of a compound control. `into`: proto::payloadBytes() bytes.
    virtual void read(const ControlInfo& control, std::span<std::byte> into) const = 0;
    /// The controls whose value is another than when this was called last.
    [[nodiscard]] virtual std::vector<const ControlInfo*> takeChanged() = 0;
};

/// Controls that tell what the stream is, or their default (zeroes for a compound one) where it does not say. `codecs` and
/// `context` must outlive it.
class StreamControls final : public Controls {
public:
    /// `isOfKind`: whether nodes of this kind have a control, if its codec is decoded.
    StreamControls(const codec::Factory& codecs, const m2m::StatefulContext& context, bool (*isOfKind)(const ControlInfo&))
        : codecs_(codecs), context_(context), isOfKind_(isOfKind) {}

    const ControlInfo* find(uint32_t id) const override;
    Result<int64_t> get(const ControlInfo& control) const override;
    void read(const ControlInfo& control, std::span<std::byte> into) const override;
    std::vector<const ControlInfo*> takeChanged() override;

private:
    [[nodiscard]] bool has(const ControlInfo& control) const {
        return isOfKind_(control) && (!control.codec || codecs_.supports(*control.codec));
    }

    const codec::Factory& codecs_;
    const m2m::StatefulContext& context_;
    bool (*const isOfKind_)(const ControlInfo&);
    std::map<uint32_t, std::vector<std::byte>> known_;
};

/// The V4L2_EVENT_CTRL event of a control (`value`: 0 for a compound one); `changes`: V4L2_EVENT_CTRL_CH_*.
[[nodiscard]] v4l2_event controlEvent(const ControlInfo& control, int64_t value, uint32_t changes);

}  // namespace daedalus::device
