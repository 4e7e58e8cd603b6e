#include "compat32.h"

#include <linux/videodev2.h>
#include <sys/ioctl.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <vector>

#include "daedalus/v4l2/uapi.h"
#include "gather.h"
#include "proto/follow.h"

namespace daedalus::transport {
namespace {

using Bytes = std::vector<std::byte>;

/// Moves the fields of one struct between the two layouts, one after the other: `narrow` is the program's.
class Fields {
public:
    enum class To : uint8_t { Wide, Narrow };
    Fields(To to, Bytes& narrow, std::byte* wide) : to_(to), narrow_(narrow), wide_(wide) {}

    /// `bytes` that are the same in both.
    void same(size_t wideOffset, size_t bytes) {
        move(narrow_.data() + at_, wide_ + wideOffset, bytes, bytes);
        at_ += bytes;
    }
    /// A pointer, or another word of 32 bits that has 64 in the wide struct.
    void word(size_t wideOffset) {
        move(narrow_.data() + at_, wide_ + wideOffset, sizeof(uint32_t), sizeof(uint64_t));
        at_ += sizeof(uint32_t);
    }
    /// Seconds and their fraction, of `bytes` each in the narrow struct.
    void time(size_t wideOffset, size_t bytes) {
        for (size_t i = 0; i < 2; ++i) {
            std::byte* const wide = wide_ + wideOffset + i * sizeof(int64_t);
            if (bytes == sizeof(int64_t)) {
                move(narrow_.data() + at_, wide, bytes, bytes);
            } else if (to_ == To::Wide) {
                int32_t value = 0;
                std::memcpy(&value, narrow_.data() + at_, sizeof value);
                const int64_t extended = value;
                std::memcpy(wide, &extended, sizeof extended);
            } else {
                std::memcpy(narrow_.data() + at_, wide, bytes);
            }
            at_ += bytes;
        }
    }

private:
    void move(std::byte* narrow, std::byte* wide, size_t narrowBytes, size_t wideBytes) {
        if (to_ == To::Narrow) {
            std::memcpy(narrow, wide, narrowBytes);
        } else {
            std::memset(wide, 0, wideBytes);
            std::memcpy(wide, narrow, narrowBytes);
        }
    }

    const To to_;
    Bytes& narrow_;
    std::byte* const wide_;
    size_t at_ = 0;
};

constexpr uint32_t kBuffer = 60;  // and the timestamp
constexpr uint32_t kFormat = 204;
constexpr uint32_t kCreateBuffers = 248;
constexpr uint32_t kExtControls = 24;
constexpr uint32_t kEvent = 112;  // and the timestamp
constexpr uint32_t kTime = 8;
constexpr uint32_t kTime64 = 16;
constexpr size_t kPlane = 60;

void moveBuffer(Fields& fields, uint32_t size) {
    fields.same(0, offsetof(v4l2_buffer, field) + sizeof(uint32_t));
    fields.time(offsetof(v4l2_buffer, timestamp), (size - kBuffer) / 2);
    fields.same(offsetof(v4l2_buffer, timecode), offsetof(v4l2_buffer, m) - offsetof(v4l2_buffer, timecode));
    fields.word(offsetof(v4l2_buffer, m));
    fields.same(offsetof(v4l2_buffer, length), 3 * sizeof(uint32_t));
}

void movePlane(Fields& fields) {
    fields.same(0, offsetof(v4l2_plane, m));
    fields.word(offsetof(v4l2_plane, m));
    fields.same(offsetof(v4l2_plane, data_offset), sizeof(v4l2_plane) - offsetof(v4l2_plane, data_offset));
}

void moveFormat(Fields& fields, size_t wideOffset) {
    fields.same(wideOffset, sizeof(uint32_t));
    fields.same(wideOffset + offsetof(v4l2_format, fmt), sizeof(v4l2_format) - offsetof(v4l2_format, fmt));
}

void moveCreateBuffers(Fields& fields) {
    fields.same(0, offsetof(v4l2_create_buffers, memory) + sizeof(uint32_t));
    moveFormat(fields, offsetof(v4l2_create_buffers, format));
    constexpr size_t kBehind = offsetof(v4l2_create_buffers, format) + sizeof(v4l2_format);
    fields.same(kBehind, sizeof(v4l2_create_buffers) - kBehind);
}

void moveExtControls(Fields& fields) {
    fields.same(0, kExtControls - sizeof(uint32_t));
    fields.word(offsetof(v4l2_ext_controls, controls));
}

void moveEvent(Fields& fields, uint32_t size) {
    fields.same(0, sizeof(uint32_t));
    fields.same(offsetof(v4l2_event, u), offsetof(v4l2_event, timestamp) - offsetof(v4l2_event, u));
    fields.time(offsetof(v4l2_event, timestamp), (size - kEvent) / 2);
    fields.same(offsetof(v4l2_event, id), sizeof(uint32_t) + sizeof v4l2_event{}.reserved);
}

uint64_t pointerAt(const Bytes& wide, size_t offset) {
    uint64_t address = 0;
    std::memcpy(&address, wide.data() + offset, sizeof address);
    return address;
}

/// The planes of a buffer, whose pointers and offsets have one word each.
Result<Bytes> gatherPlanes(const Compat32::Read& read, uint64_t address, size_t count) {
    Bytes all(count * kPlane);
    if (auto there = read(address, all); !there) return fail(there.error());
    Bytes wide(count * sizeof(v4l2_plane));
    for (size_t i = 0; i < count; ++i) {
        const auto from = all.begin() + static_cast<ptrdiff_t>(i * kPlane);
        Bytes narrow(from, from + kPlane);
        Fields fields(Fields::To::Wide, narrow, wide.data() + i * sizeof(v4l2_plane));
        movePlane(fields);
    }
    return wide;
}

Bytes narrowPlanes(Bytes wide) {
    Bytes all;
    for (size_t i = 0; i < wide.size() / sizeof(v4l2_plane); ++i) {
        Bytes narrow(kPlane);
        Fields fields(Fields::To::Narrow, narrow, wide.data() + i * sizeof(v4l2_plane));
        movePlane(fields);
        all.insert(all.end(), narrow.begin(), narrow.end());
    }
    return all;
}

/// v4l2_ext_control is the same in both, but for the upper half of its pointers, which is none.
Result<Bytes> gatherControls(const Compat32::Read& read, uint64_t address, size_t bytes) {
    Bytes controls(bytes);
    if (auto there = read(address, controls); !there) return fail(there.error());
    for (size_t at = 0; at + sizeof(v4l2_ext_control) <= bytes; at += sizeof(v4l2_ext_control)) {
        v4l2_ext_control control;
        std::memcpy(&control, controls.data() + at, sizeof control);
        if (proto::payloadBytes(control.id) == 0) continue;
        std::memset(controls.data() + at + offsetof(v4l2_ext_control, ptr) + sizeof(uint32_t), 0, sizeof(uint32_t));
    }
    return controls;
}

}  // namespace

std::optional<Compat32> Compat32::of(uint32_t cmd) {
    struct Row {
        Struct which;
        uint32_t narrow;
        uint32_t narrowTime64;  ///< the same where there is no time in it
        std::vector<uint32_t> calls;
    };
    // By their numbers: v4l2_queryctrl is as large as a narrow buffer.
    static const auto kRows = std::to_array<Row>({
        {Struct::Buffer, kBuffer + kTime, kBuffer + kTime64, {VIDIOC_QUERYBUF, VIDIOC_QBUF, VIDIOC_DQBUF, VIDIOC_PREPARE_BUF}},
        {Struct::Format, kFormat, kFormat, {VIDIOC_G_FMT, VIDIOC_S_FMT, VIDIOC_TRY_FMT}},
        {Struct::CreateBuffers, kCreateBuffers, kCreateBuffers, {VIDIOC_CREATE_BUFS}},
        {Struct::ExtControls, kExtControls, kExtControls, {VIDIOC_G_EXT_CTRLS, VIDIOC_S_EXT_CTRLS, VIDIOC_TRY_EXT_CTRLS}},
        {Struct::Event, kEvent + kTime, kEvent + kTime64, {VIDIOC_DQEVENT}},
    });
    const uint32_t size = _IOC_SIZE(cmd);
    for (const Row& row : kRows) {
        if (size != row.narrow && size != row.narrowTime64) continue;
        for (const uint32_t call : row.calls)
            if (_IOC(_IOC_DIR(call), _IOC_TYPE(call), _IOC_NR(call), size) == cmd) return Compat32(row.which, call, size);
    }
    return std::nullopt;
}

void Compat32::move(bool toNarrow, std::vector<std::byte>& narrow, std::vector<std::byte>& wide) const {
    Fields fields(toNarrow ? Fields::To::Narrow : Fields::To::Wide, narrow, wide.data());
    switch (which_) {
        case Struct::Buffer:
            moveBuffer(fields, size_);
            break;
        case Struct::Format:
            moveFormat(fields, 0);
            break;
        case Struct::CreateBuffers:
            moveCreateBuffers(fields);
            break;
        case Struct::ExtControls:
            moveExtControls(fields);
            break;
        case Struct::Event:
            moveEvent(fields, size_);
            break;
    }
}

Result<ioctl::Payload> Compat32::gather(pid_t pid, uint64_t address) const {
    return gather([pid](uint64_t from, std::span<std::byte> into) { return readProcess(pid, from, into); }, address);
}

Result<> Compat32::scatter(pid_t pid, uint64_t address, const ioctl::Payload& payload) const {
    return scatter([pid](uint64_t to, std::span<const std::byte> from) { return writeProcess(pid, to, from); }, address,
                   payload);
}

Result<ioctl::Payload> Compat32::gather(const Read& read, uint64_t address) const {
    Bytes narrow(size_);
    if (auto there = read(address, narrow); !there) return fail(there.error());
    ioctl::Payload payload{.argument = Bytes(_IOC_SIZE(cmd_)), .nested = {}};
    move(false, narrow, payload.argument);
    const auto follow = which_ == Struct::Buffer        ? proto::Follow::Planes
                        : which_ == Struct::ExtControls ? proto::Follow::ExtControls
                                                        : proto::Follow::None;
    proto::NestedRef first;
    const int found = proto::followArgument(follow, payload.argument.data(), payload.argument.size(), &first);
    if (found < 0) return fail(-found);
    if (found == 0) return payload;
    const uint64_t array = pointerAt(payload.argument, first.offset);
    auto bytes = which_ == Struct::Buffer ? gatherPlanes(read, array, first.length / sizeof(v4l2_plane))
                                          : gatherControls(read, array, first.length);
    if (!bytes) return fail(bytes.error());
    std::vector<proto::NestedRef> refs(proto::kMaxNested);
    refs.resize(proto::followNested(follow, bytes->data(), bytes->size(), refs.data(), refs.size()));
    payload.nested.push_back({first.parent, first.offset, *std::move(bytes)});
    for (const auto& ref : refs) {
        Bytes content(ref.length);
        const uint64_t from = pointerAt(payload.nested.front().bytes, ref.offset);
        if (auto there = read(from, content); !there) return fail(there.error());
        payload.nested.push_back({ref.parent, ref.offset, std::move(content)});
    }
    return payload;
}

Result<> Compat32::scatter(const Write& write, uint64_t address, const ioctl::Payload& payload) const {
    Bytes wide = payload.argument;
    for (size_t i = 0; i < payload.nested.size(); ++i) {
        const auto& nested = payload.nested[i];
        const auto& parent = nested.parent == 0 ? payload.argument : payload.nested[nested.parent - 1].bytes;
        const uint64_t where = pointerAt(parent, nested.offset);
        const bool planes = i == 0 && which_ == Struct::Buffer;
        if (auto written = planes ? write(where, narrowPlanes(nested.bytes)) : write(where, nested.bytes); !written)
            return written;
    }
    Bytes narrow(size_);
    move(true, narrow, wide);
    return write(address, narrow);
}

}  // namespace daedalus::transport
