#include "client.h"

#include <cstring>

#include "daedalus/device/controls.h"
#include "proto/follow.h"
#include "src/ioctl/table.h"

namespace daedalus::fuzz {
namespace {

/// USERPTR planes lie this far apart.
constexpr size_t kUserStep = 2 * Arena::kPage;

/// The place of a plane's USERPTR memory in the arena; they overlap when there are many.
size_t userOffset(uint32_t index, uint32_t plane) {
    // Not on the last page: arguments that run off the end are read from there.
    constexpr size_t kPlaces = (Arena::kBytes - Arena::kPage - Arena::kUser) / kUserStep;
    return Arena::kUser + (index * 3 + plane) % kPlaces * kUserStep;
}

}  // namespace

uint32_t Client::pickType(Input& input) {
    const uint8_t choice = input.byte();
    if (choice < 240) return queues_[choice % 2].type;
    return input.number();
}

uint32_t Client::pickMemory(Input& input) {
    const uint8_t choice = input.byte();
    if (choice >= 248) return input.number();
    static constexpr auto kMemories =
        std::to_array<uint32_t>({V4L2_MEMORY_MMAP, V4L2_MEMORY_MMAP, V4L2_MEMORY_USERPTR, V4L2_MEMORY_DMABUF});
    return kMemories[choice % kMemories.size()];
}

void Client::fillFormat(v4l2_format& format, Input& input) {
    format.type = pickType(input);
    auto& pix = format.fmt.pix_mp;
    const bool output = V4L2_TYPE_IS_OUTPUT(format.type);
    pix.pixelformat = output ? pickCoded(input) : pickRaw(input);
    pix.width = input.number();
    pix.height = input.number();
    pix.field = input.below(11);
    pix.colorspace = input.below(14);
    pix.num_planes = static_cast<uint8_t>(input.rarely(8) ? input.byte() : 1 + input.below(3));
    for (auto& plane : pix.plane_fmt) {
        if (input.empty()) break;
        plane.sizeimage = input.number();
        plane.bytesperline = input.number();
    }
    pix.flags = input.byte();
    pix.ycbcr_enc = input.byte();
    pix.quantization = input.byte();
    pix.xfer_func = input.byte();
}

v4l2_buffer& Client::goodBuffer(Side side, uint32_t index, Input& input) {
    const auto& queue = queues_[side];
    auto* const planes = reinterpret_cast<v4l2_plane*>(arena_.bytes(Arena::kNested).data());
    std::memset(static_cast<void*>(planes), 0, VIDEO_MAX_PLANES * sizeof *planes);
    auto& buffer = place<v4l2_buffer>();
    buffer.type = queue.type;
    buffer.index = index;
    buffer.memory = queue.memory;
    buffer.length = queue.planes;
    buffer.m.planes = reinterpret_cast<v4l2_plane*>(planes);
    for (uint32_t i = 0; i < queue.planes; ++i) {
        planes[i].length = queue.sizes[i];
        if (queue.memory == V4L2_MEMORY_USERPTR) planes[i].m.userptr = arena_.address(userOffset(index, i));
        if (queue.memory == V4L2_MEMORY_DMABUF) planes[i].m.fd = path_.memoryFd(input);
    }
    return buffer;
}

void Client::fillBuffer(v4l2_buffer& buffer, Input& input) {
    const auto side = static_cast<Side>(input.below(2));
    goodBuffer(side, input.rarely(16) ? input.number() : input.below(8), input);
    auto* const planes = reinterpret_cast<v4l2_plane*>(arena_.bytes(Arena::kNested).data());
    // What goes wrong, one bit each.
    const uint16_t slips = input.half();
    if (slips & 0x0100) buffer.flags = input.word();
    if (slips & 0x0200) buffer.field = input.number();
    if (slips & 0x0400)
        buffer.timestamp = {static_cast<time_t>(int32_t(input.word())), static_cast<suseconds_t>(input.number())};
    if (slips & 0x0800) buffer.length = input.number();
    if (slips & 0x1000) buffer.memory = pickMemory(input);
    if (slips & 0x2000) buffer.type = pickType(input);
    if (slips & 0x4000) buffer.request_fd = static_cast<int32_t>(input.number());
    if (slips & 0x8000) buffer.reserved2 = input.number();
    for (uint32_t i = 0; i < 3 && !input.empty(); ++i) {
        const uint8_t wrong = input.byte();
        if (wrong & 1) planes[i].bytesused = input.number();
        if (wrong & 2) planes[i].length = input.number();
        if (wrong & 4) planes[i].data_offset = input.number();
        if (wrong & 8) {
            planes[i].m = {};
            if (buffer.memory == V4L2_MEMORY_USERPTR) planes[i].m.userptr = arena_.pointer(input, userOffset(0, i), kUserStep);
            if (buffer.memory == V4L2_MEMORY_DMABUF) planes[i].m.fd = path_.memoryFd(input);
            if (buffer.memory == V4L2_MEMORY_MMAP) planes[i].m.mem_offset = input.half();
        }
        if (wrong & 16) planes[i].reserved[input.below(11)] = input.number();
    }
    const uint64_t array = arena_.pointer(input, Arena::kNested, buffer.length * sizeof(v4l2_plane));
    std::memcpy(&buffer.m, &array, sizeof array);
}

void Client::fillControls(v4l2_ext_controls& controls, Input& input) {
    const auto ids = device::controlTable();
    static constexpr auto kWhich =
        std::to_array<uint32_t>({0, V4L2_CTRL_WHICH_DEF_VAL, V4L2_CTRL_WHICH_REQUEST_VAL, V4L2_CTRL_CLASS_USER,
                                 V4L2_CTRL_CLASS_CODEC, V4L2_CTRL_CLASS_COLORIMETRY});
    controls.which = input.rarely(16) ? input.word() : input.pick(kWhich);
    controls.count = input.rarely(16) ? input.number() : input.below(6);
    controls.request_fd = static_cast<int32_t>(input.number());
    auto* const array = reinterpret_cast<v4l2_ext_control*>(arena_.bytes(Arena::kNested).data());
    for (uint32_t i = 0; i < controls.count && i < 6; ++i) {
        auto& control = array[i];
        control = {};
        control.id = input.rarely(8) ? input.word() : ids[input.below(256) % ids.size()].id;
        control.size = input.rarely(8) ? input.number() : proto::payloadBytes(control.id);
        const uint64_t value = control.size != 0 ? arena_.pointer(input, Arena::kUser, control.size) : input.number();
        std::memcpy(reinterpret_cast<std::byte*>(&control) + offsetof(v4l2_ext_control, value64), &value, sizeof value);
    }
    const uint64_t where = arena_.pointer(input, Arena::kNested, 6 * sizeof(v4l2_ext_control));
    std::memcpy(reinterpret_cast<std::byte*>(&controls) + offsetof(v4l2_ext_controls, controls), &where, sizeof where);
}

void Client::fillArgument(uint32_t cmd, Input& input) {
    const auto ids = device::controlTable();
    const auto pickControl = [&] { return input.rarely(8) ? input.word() : ids[input.byte() % ids.size()].id; };
    switch (cmd) {
        case VIDIOC_G_FMT:
        case VIDIOC_S_FMT:
        case VIDIOC_TRY_FMT:
            return fillFormat(place<v4l2_format>(), input);
        case VIDIOC_ENUM_FMT: {
            auto& description = place<v4l2_fmtdesc>();
            description.type = pickType(input);
            description.index = input.number();
            description.mbus_code = input.number();
            return;
        }
        case VIDIOC_ENUM_FRAMESIZES: {
            auto& sizes = place<v4l2_frmsizeenum>();
            sizes.index = input.rarely(4) ? input.number() : 0;
            sizes.pixel_format = input.rarely(2) ? pickRaw(input) : pickCoded(input);
            return;
        }
        case VIDIOC_REQBUFS: {
            auto& request = place<v4l2_requestbuffers>();
            request.count = input.rarely(16) ? input.number() : input.below(6);
            request.type = pickType(input);
            request.memory = pickMemory(input);
            request.flags = input.byte();
            return;
        }
        case VIDIOC_CREATE_BUFS: {
            auto& create = place<v4l2::CreateBuffers>();
            create.count = input.rarely(16) ? input.number() : input.below(4);
            create.memory = pickMemory(input);
            fillFormat(create.format, input);
            auto& pix = create.format.fmt.pix_mp;
            const auto& queue = queues_[V4L2_TYPE_IS_OUTPUT(create.format.type) ? Output : Capture];
            if (input.rarely(4)) return;
            pix.num_planes = static_cast<uint8_t>(queue.planes);
            for (uint32_t i = 0; i < queue.planes; ++i) pix.plane_fmt[i].sizeimage = queue.sizes[i] + input.below(64);
            return;
        }
        case VIDIOC_REMOVE_BUFS: {
            auto& remove = place<v4l2::RemoveBuffers>();
            remove.index = input.rarely(16) ? input.number() : input.below(8);
            remove.count = input.rarely(16) ? input.number() : input.below(4);
            remove.type = pickType(input);
            return;
        }
        case VIDIOC_QUERYBUF:
        case VIDIOC_PREPARE_BUF:
        case VIDIOC_QBUF:
        case VIDIOC_DQBUF:
            return fillBuffer(place<v4l2_buffer>(), input);
        case VIDIOC_EXPBUF: {
            auto& exported = place<v4l2_exportbuffer>();
            exported.type = pickType(input);
            exported.index = input.rarely(16) ? input.number() : input.below(8);
            exported.plane = input.rarely(16) ? input.number() : input.below(3);
            exported.flags = input.rarely(2) ? O_CLOEXEC | O_RDWR : input.word();
            return;
        }
        case VIDIOC_STREAMON:
        case VIDIOC_STREAMOFF:
            place<uint32_t>() = pickType(input);
            return;
        case VIDIOC_G_SELECTION:
        case VIDIOC_S_SELECTION: {
            auto& selection = place<v4l2_selection>();
            static constexpr auto kTypes =
                std::to_array<uint32_t>({V4L2_BUF_TYPE_VIDEO_CAPTURE, V4L2_BUF_TYPE_VIDEO_OUTPUT,
                                         V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE});
            selection.type = input.pick(kTypes);
            selection.target = input.rarely(8) ? input.number() : input.below(2) * 0x100 + input.below(4);
            selection.flags = input.byte();
            selection.r = {static_cast<int32_t>(input.number()), static_cast<int32_t>(input.number()), input.number(),
                           input.number()};
            return;
        }
        case VIDIOC_QUERYCTRL:
        case VIDIOC_QUERY_EXT_CTRL:
        case VIDIOC_QUERYMENU:
        case VIDIOC_G_CTRL:
        case VIDIOC_S_CTRL: {
            // They all begin with the id, and then have an index or a value.
            auto& menu = place<v4l2_query_ext_ctrl>();
            menu.id = pickControl();
            if (cmd != VIDIOC_QUERYMENU && input.rarely(2))
                menu.id |= input.rarely(2) ? V4L2_CTRL_FLAG_NEXT_CTRL : V4L2_CTRL_FLAG_NEXT_COMPOUND;
            menu.type = input.number();
            return;
        }
        case VIDIOC_G_EXT_CTRLS:
        case VIDIOC_S_EXT_CTRLS:
        case VIDIOC_TRY_EXT_CTRLS:
            return fillControls(place<v4l2_ext_controls>(), input);
        case VIDIOC_SUBSCRIBE_EVENT:
        case VIDIOC_UNSUBSCRIBE_EVENT: {
            auto& subscription = place<v4l2_event_subscription>();
            subscription.type = input.rarely(16) ? input.number() : input.below(7);
            subscription.id = subscription.type == V4L2_EVENT_CTRL ? pickControl() : input.rarely(8) ? input.number() : 0;
            subscription.flags = input.below(8);
            return;
        }
        case VIDIOC_DECODER_CMD:
        case VIDIOC_TRY_DECODER_CMD: {
            auto& command = place<v4l2_decoder_cmd>();
            command.cmd = input.rarely(16) ? input.number() : input.below(5);
            command.flags = input.rarely(4) ? input.number() : 0;
            command.stop.pts = input.number();
            return;
        }
        default: {
            const auto raw = std::as_bytes(input.bytes(_IOC_SIZE(cmd)));
            const auto into = arena_.bytes(Arena::kArgument);
            std::memset(into.data(), 0, _IOC_SIZE(cmd));
            std::copy(raw.begin(), raw.end(), into.begin());
        }
    }
}

void Client::learn(uint32_t cmd) {
    const auto* const argument = arena_.bytes(Arena::kArgument).data();
    const auto sideOf = [](uint32_t type) { return V4L2_TYPE_IS_OUTPUT(type) ? Output : Capture; };
    if (cmd == VIDIOC_REQBUFS) {
        v4l2_requestbuffers request;
        std::memcpy(&request, argument, sizeof request);
        auto& queue = queues_[sideOf(request.type)];
        queue.memory = request.memory;
        queue.buffers = request.count;
        refresh(sideOf(request.type));
    } else if (cmd == VIDIOC_CREATE_BUFS) {
        v4l2::CreateBuffers create;
        std::memcpy(&create, argument, sizeof create);
        queues_[sideOf(create.format.type)].memory = create.memory;
        refresh(sideOf(create.format.type));
    } else if (cmd == VIDIOC_S_FMT) {
        v4l2_format format;
        std::memcpy(&format, argument, sizeof format);
        if (V4L2_TYPE_IS_OUTPUT(format.type)) fourcc_ = format.fmt.pix_mp.pixelformat;
    }
}

void Client::refresh(Side side) {
    auto& queue = queues_[side];
    auto& format = place<v4l2_format>();
    format.type = queue.type;
    if (call(VIDIOC_G_FMT) != 0) return;
    const auto& pix = format.fmt.pix_mp;
    queue.planes = std::clamp<uint32_t>(pix.num_planes, 1, VIDEO_MAX_PLANES);
    for (uint32_t i = 0; i < queue.planes; ++i) queue.sizes[i] = pix.plane_fmt[i].sizeimage;
}

void Client::tableIoctl(Input& input) {
    const auto rows = ioctl::table();
    const uint32_t cmd = rows[input.byte() % rows.size()].cmd;
    fillArgument(cmd, input);
    const uint64_t where = arena_.pointer(input, Arena::kArgument, _IOC_SIZE(cmd));
    if (path_.call(cmd, where) == 0 && where == arena_.address(Arena::kArgument)) learn(cmd);
}

void Client::wildIoctl(Input& input) {
    const auto rows = ioctl::table();
    // The number of a row with another size or direction, or any at all.
    const uint32_t cmd = input.rarely(2) ? input.word() : rows[input.byte() % rows.size()].cmd ^ (input.word() & 0xffff0000);
    const auto raw = std::as_bytes(input.bytes(64));
    std::copy(raw.begin(), raw.end(), arena_.bytes(Arena::kArgument).begin());
    std::ignore = path_.call(cmd, arena_.pointer(input, Arena::kArgument, _IOC_SIZE(cmd)));
}

void Client::request(Side side, uint32_t count, uint32_t memory) {
    auto& request = place<v4l2_requestbuffers>();
    request.count = count;
    request.type = queues_[side].type;
    request.memory = memory;
    if (call(VIDIOC_REQBUFS) == 0) learn(VIDIOC_REQBUFS);
}

void Client::setUp(Input& input) {
    const uint8_t slips = input.byte();
    for (const uint32_t type : {V4L2_EVENT_SOURCE_CHANGE, V4L2_EVENT_EOS}) {
        place<v4l2_event_subscription>().type = type;
        std::ignore = call(VIDIOC_SUBSCRIBE_EVENT);
    }
    auto& format = place<v4l2_format>();
    format.type = queues_[Output].type;
    format.fmt.pix_mp.pixelformat = pickCoded(input);
    format.fmt.pix_mp.width = 64;
    format.fmt.pix_mp.height = 48;
    format.fmt.pix_mp.num_planes = 1;
    // Small enough for the arena.
    format.fmt.pix_mp.plane_fmt[0].sizeimage = 8192;
    if (call(VIDIOC_S_FMT) == 0) learn(VIDIOC_S_FMT);
    request(Output, 2 + input.below(3), pickMemory(input));
    if ((slips & 1) == 0) {
        place<uint32_t>() = queues_[Output].type;
        std::ignore = call(VIDIOC_STREAMON);
    }
    if ((slips & 2) == 0) feed(input);
    if ((slips & 4) == 0) path_.settle(3);
    if (input.rarely(2)) {
        auto& raw = place<v4l2_format>();
        raw.type = queues_[Capture].type;
        std::ignore = call(VIDIOC_G_FMT);
        raw.fmt.pix_mp.pixelformat = pickRaw(input);
        std::ignore = call(VIDIOC_S_FMT);
    }
    request(Capture, 2 + input.below(5), pickMemory(input));
    const uint32_t queued = (slips & 8) == 0 ? queues_[Capture].buffers : 1;
    for (uint32_t i = 0; i < queued && i < 8; ++i) {
        goodBuffer(Capture, i, input);
        std::ignore = call(VIDIOC_QBUF);
    }
    if ((slips & 16) == 0) {
        place<uint32_t>() = queues_[Capture].type;
        std::ignore = call(VIDIOC_STREAMON);
    }
    if ((slips & 32) == 0) path_.settle(3);
}

void Client::feed(Input& input) {
    const uint32_t index = input.below(4);
    auto content = input.rarely(4) ? streamStart(codecs_, fourcc_, input) : streamPiece(codecs_, fourcc_, input);
    content.resize(std::min(content.size(), kUserStep));
    const auto& queue = queues_[Output];
    auto* const planes = reinterpret_cast<v4l2_plane*>(arena_.bytes(Arena::kNested).data());
    if (queue.memory == V4L2_MEMORY_MMAP) {
        goodBuffer(Output, index, input);
        if (call(VIDIOC_QUERYBUF) == 0) path_.put(planes[0].m.mem_offset, content);
    }
    auto& buffer = goodBuffer(Output, index, input);
    if (queue.memory == V4L2_MEMORY_USERPTR) {
        const auto into = arena_.bytes(userOffset(index, 0));
        std::copy_n(content.begin(), std::min(content.size(), into.size()), into.begin());
    }
    planes[0].bytesused = static_cast<uint32_t>(content.size());
    buffer.timestamp.tv_usec = input.byte();
    std::ignore = call(VIDIOC_QBUF);
}

void Client::refill(Input& input) {
    goodBuffer(Capture, input.below(8), input);
    std::ignore = call(VIDIOC_QBUF);
}

void Client::take(Input& input) {
    goodBuffer(static_cast<Side>(input.below(2)), 0, input);
    std::ignore = call(VIDIOC_DQBUF);
}

}  // namespace daedalus::fuzz
