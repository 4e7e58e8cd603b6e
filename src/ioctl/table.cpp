#include "table.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "daedalus/ioctl/single_planar.h"
#include "daedalus/v4l2/print.h"
#include "daedalus/v4l2/uapi.h"

namespace daedalus::ioctl {
namespace {

using device::CallContext;
using device::NoArgument;

/// What a handler takes.
template <class Handler>
struct Takes;
template <class From, class T>
struct Takes<Result<> (*)(From&, T&, CallContext&)> {
    using Of = From;
    using Argument = T;
};

constexpr uint32_t kWholeArgument = UINT32_MAX;

constexpr FileKinds kSessions = {FileKind::Stateful, FileKind::Jpeg, FileKind::Stateless};
/// Those that find out themselves what the stream is.
constexpr FileKinds kDecoders = {FileKind::Stateful, FileKind::Jpeg};
/// What drivers of JPEG hardware do without.
constexpr FileKinds kStateful = {FileKind::Stateful};
constexpr FileKinds kVideo = {FileKind::Stateful, FileKind::Stateless};
constexpr FileKinds kStateless = {FileKind::Stateless};
constexpr FileKinds kMedia = {FileKind::Media};
constexpr FileKinds kRequest = {FileKind::Request};

/// The part of a row that is not deduced. See Row and CallTraits.
struct Options {
    FileKinds kinds = kSessions;
    uint32_t keep = kWholeArgument;
    proto::Follow follow = proto::Follow::None;
    proto::MemoryRole role = proto::MemoryRole::None;
    bool allocates = false;
    bool frees = false;
    bool tellsOffsets = false;
    bool exports = false;
    bool priority = false;
    bool copyOnError = false;
    Wait wait = Wait::Never;
    int nothingThere = EAGAIN;
};

/// What a call has made, of an argument that says so in the fields `memory` and `count`.
template <class T>
Allocation allocationOf(const std::byte* argument) {
    T made;
    std::memcpy(&made, argument, sizeof made);
    return {made.memory, made.count};
}

/// Deduces the argument's type from the handler; a number of another size does not compile.
template <auto H, uint32_t Cmd>
consteval Row row(const char* name, Options options = {}) {
    using Of = typename Takes<decltype(H)>::Of;
    using Argument = typename Takes<decltype(H)>::Argument;
    constexpr bool kNone = std::is_same_v<Argument, NoArgument>;
    static_assert(_IOC_SIZE(Cmd) == (kNone ? 0 : sizeof(Argument)), "the handler takes another struct than the number says");
    Row row{.kinds = options.kinds};
    row.cmd = Cmd;
    row.name = name;
    row.traits = {options.follow, options.role, options.frees, options.tellsOffsets, options.exports, nullptr};
    if constexpr (requires(Argument made) { Allocation{made.memory, made.count}; }) {
        if (options.allocates) row.traits.allocated = allocationOf<Argument>;
    } else if (options.allocates) {
        throw "the argument does not tell what was made";
    }
    row.keep = options.keep;
    row.priority = options.priority;
    row.copyOnError = options.copyOnError;
    row.wait = options.wait;
    row.nothingThere = options.nothingThere;
    const bool ofMedia = options.kinds.contains(FileKind::Media);
    const bool ofRequest = options.kinds.contains(FileKind::Request);
    if (ofMedia != std::is_same_v<Of, media::Device> || ofRequest != std::is_same_v<Of, media::Request>)
        throw "the handler is not of such files";
    row.run = [](const Target& target, void* argument, CallContext& context) {
        Of& of = target.as<Of>();
        if constexpr (kNone) {
            // There are no bytes that a reference could name.
            NoArgument none;
            return H(of, none, context);
        } else {
            return H(of, *static_cast<Argument*>(argument), context);
        }
    };
    row.runSinglePlanar = row.run;
    if constexpr (DependsOnPlanes<Argument>) {
        row.runSinglePlanar = [](const Target& target, void* argument, CallContext& context) {
            return runSinglePlanar(*static_cast<Argument*>(argument),
                                   [&](Argument& converted) { return H(target.as<Of>(), converted, context); });
        };
    }
    row.print = [](std::string& out, const void* argument) {
        if constexpr (!kNone) v4l2::print(out, *static_cast<const Argument*>(argument));
    };
    return row;
}

#define ROW(number, handler, ...) row<&device::handler, static_cast<uint32_t>(number)>(#number __VA_OPT__(, ) __VA_ARGS__)
/// Input up to and including a field.
#define UPTO(type, field) (offsetof(type, field) + sizeof(type::field))

constexpr auto kPlanes = proto::Follow::Planes;
constexpr auto kGives = proto::MemoryRole::Give;
constexpr auto kTakes = proto::MemoryRole::Take;
constexpr auto kExtControls = proto::Follow::ExtControls;

constexpr auto kTable = std::to_array<Row>({
    ROW(VIDIOC_QUERYCAP, querycap),
    ROW(VIDIOC_G_PRIORITY, g_priority),
    ROW(VIDIOC_S_PRIORITY, s_priority, {.priority = true}),
    ROW(VIDIOC_LOG_STATUS, log_status, {.kinds = kVideo}),

    ROW(VIDIOC_ENUM_FMT, enum_fmt, {.keep = UPTO(v4l2_fmtdesc, type)}),
    ROW(VIDIOC_G_FMT, g_fmt, {.keep = UPTO(v4l2_format, type), .wait = Wait::Briefly}),
    ROW(VIDIOC_S_FMT, s_fmt, {.priority = true}),
    ROW(VIDIOC_TRY_FMT, try_fmt),
    ROW(VIDIOC_ENUM_FRAMESIZES, enum_framesizes, {.kinds = kVideo, .keep = UPTO(v4l2_frmsizeenum, pixel_format)}),

    ROW(VIDIOC_G_SELECTION, g_selection, {.kinds = kDecoders, .keep = UPTO(v4l2_selection, flags)}),
    ROW(VIDIOC_S_SELECTION, s_selection, {.kinds = kStateful, .keep = UPTO(v4l2_selection, r), .priority = true}),
    ROW(VIDIOC_CROPCAP, cropcap, {.kinds = kDecoders, .keep = UPTO(v4l2_cropcap, type)}),
    ROW(VIDIOC_G_CROP, g_crop, {.kinds = kDecoders, .keep = UPTO(v4l2_crop, type)}),
    ROW(VIDIOC_S_CROP, s_crop, {.kinds = kStateful, .priority = true}),

    ROW(VIDIOC_REQBUFS, reqbufs,
        {.keep = UPTO(v4l2_requestbuffers, memory), .allocates = true, .frees = true, .priority = true}),
    ROW(VIDIOC_CREATE_BUFS, create_bufs, {.keep = UPTO(v4l2_create_buffers, format), .allocates = true, .priority = true}),
    ROW(VIDIOC_REMOVE_BUFS, remove_bufs, {.keep = UPTO(v4l2::RemoveBuffers, type), .frees = true, .priority = true}),
    ROW(VIDIOC_QUERYBUF, querybuf, {.follow = kPlanes, .tellsOffsets = true}),
    ROW(VIDIOC_PREPARE_BUF, prepare_buf, {.follow = kPlanes, .role = kGives}),
    ROW(VIDIOC_QBUF, qbuf, {.kinds = kDecoders, .follow = kPlanes, .role = kGives}),
    ROW(VIDIOC_QBUF, qbuf_of_request, {.kinds = kStateless, .follow = kPlanes, .role = kGives}),
    ROW(VIDIOC_DQBUF, dqbuf, {.follow = kPlanes, .role = kTakes, .wait = Wait::IfBlocking}),
    ROW(VIDIOC_EXPBUF, expbuf, {.keep = UPTO(v4l2_exportbuffer, flags), .exports = true}),
    ROW(VIDIOC_STREAMON, streamon, {.priority = true}),
    ROW(VIDIOC_STREAMOFF, streamoff, {.priority = true, .wait = Wait::Always}),

    ROW(VIDIOC_QUERYCTRL, queryctrl, {.keep = UPTO(v4l2_queryctrl, id)}),
    ROW(VIDIOC_QUERY_EXT_CTRL, query_ext_ctrl, {.keep = UPTO(v4l2_query_ext_ctrl, id)}),
    ROW(VIDIOC_QUERYMENU, querymenu, {.keep = UPTO(v4l2_querymenu, index)}),
    ROW(VIDIOC_G_CTRL, g_ctrl, {.keep = UPTO(v4l2_control, id)}),
    ROW(VIDIOC_S_CTRL, s_ctrl, {.kinds = kDecoders, .priority = true}),
    ROW(VIDIOC_G_EXT_CTRLS, g_ext_ctrls, {.kinds = kDecoders, .follow = kExtControls, .copyOnError = true}),
    ROW(VIDIOC_S_EXT_CTRLS, s_ext_ctrls, {.kinds = kDecoders, .follow = kExtControls, .priority = true, .copyOnError = true}),
    ROW(VIDIOC_TRY_EXT_CTRLS, try_ext_ctrls, {.kinds = kDecoders, .follow = kExtControls, .copyOnError = true}),
    ROW(VIDIOC_S_CTRL, set_unit_control, {.kinds = kStateless, .priority = true}),
    ROW(VIDIOC_G_EXT_CTRLS, get_unit_controls, {.kinds = kStateless, .follow = kExtControls, .copyOnError = true}),
    ROW(VIDIOC_S_EXT_CTRLS, set_unit_controls,
        {.kinds = kStateless, .follow = kExtControls, .priority = true, .copyOnError = true}),
    ROW(VIDIOC_TRY_EXT_CTRLS, try_unit_controls, {.kinds = kStateless, .follow = kExtControls, .copyOnError = true}),

    ROW(VIDIOC_SUBSCRIBE_EVENT, subscribe_event, {.keep = UPTO(v4l2_event_subscription, flags)}),
    ROW(VIDIOC_UNSUBSCRIBE_EVENT, unsubscribe_event, {.keep = UPTO(v4l2_event_subscription, flags)}),
    ROW(VIDIOC_DQEVENT, dqevent, {.wait = Wait::IfBlocking, .nothingThere = ENOENT}),

    ROW(VIDIOC_DECODER_CMD, decoder_cmd, {.kinds = kDecoders, .priority = true}),
    ROW(VIDIOC_TRY_DECODER_CMD, try_decoder_cmd, {.kinds = kDecoders}),
    ROW(VIDIOC_DECODER_CMD, unit_cmd, {.kinds = kStateless, .priority = true}),
    ROW(VIDIOC_TRY_DECODER_CMD, try_unit_cmd, {.kinds = kStateless}),

    ROW(MEDIA_IOC_DEVICE_INFO, device_info, {.kinds = kMedia, .keep = 0}),
    ROW(MEDIA_IOC_ENUM_ENTITIES, enum_entities, {.kinds = kMedia, .keep = UPTO(media_entity_desc, id)}),
    ROW(MEDIA_IOC_ENUM_LINKS, enum_links, {.kinds = kMedia, .follow = proto::Follow::Links}),
    ROW(MEDIA_IOC_SETUP_LINK, setup_link, {.kinds = kMedia}),
    ROW(MEDIA_IOC_G_TOPOLOGY, g_topology, {.kinds = kMedia, .follow = proto::Follow::Topology}),
    ROW(MEDIA_IOC_REQUEST_ALLOC, request_alloc, {.kinds = kMedia}),
    ROW(MEDIA_REQUEST_IOC_QUEUE, request_queue, {.kinds = kRequest}),
    ROW(MEDIA_REQUEST_IOC_REINIT, request_reinit, {.kinds = kRequest}),
});

#undef UPTO
#undef ROW

constexpr size_t kNumbers = 256;  // _IOC_NR has 8 bits
static_assert(kTable.size() < UINT8_MAX);

/// Index of a row + 1 by kind of file and _IOC_NR; a duplicate number does not compile.
constexpr auto kByNumber = [] {
    std::array<std::array<uint8_t, kNumbers>, kFileKinds> index{};
    for (size_t kind = 0; kind < kFileKinds; ++kind) {
        for (size_t i = 0; i < kTable.size(); ++i) {
            if (!kTable[i].kinds.contains(static_cast<FileKind>(kind))) continue;
            auto& slot = index[kind][_IOC_NR(kTable[i].cmd)];
            if (slot != 0) throw "duplicate ioctl number";
            slot = static_cast<uint8_t>(i + 1);
        }
    }
    return index;
}();

}  // namespace

std::span<const Row> table() { return kTable; }

const Row* findRow(FileKind kind, uint32_t cmd) {
    const uint8_t slot = kByNumber[static_cast<size_t>(kind)][_IOC_NR(cmd)];
    if (slot == 0 || kTable[slot - 1].cmd != cmd) return nullptr;
    return &kTable[slot - 1];
}

const CallTraits& traitsOf(uint32_t cmd) {
    static constexpr CallTraits kNone;
    for (size_t kind = 0; kind < kFileKinds; ++kind)
        if (const Row* row = findRow(static_cast<FileKind>(kind), cmd)) return row->traits;
    return kNone;
}

std::vector<KnownCall> followedCalls() {
    std::vector<KnownCall> calls;
    for (const Row& row : kTable) {
        const bool known = std::ranges::find(calls, row.cmd, &KnownCall::cmd) != calls.end();
        if (row.traits.follow != proto::Follow::None && !known) calls.push_back({row.cmd, row.traits});
    }
    return calls;
}

uint32_t exportingCall() {
    return std::ranges::find_if(kTable, [](const Row& row) { return row.traits.exports; })->cmd;
}

}  // namespace daedalus::ioctl
