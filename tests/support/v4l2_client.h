// A small V4L2 client for contract tests: one session with MMAP buffers, driven step by step.
#pragma once

#include <poll.h>
#include <sys/mman.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "daedalus/v4l2/formats.h"
#include "daedalus/v4l2/uapi.h"
#include "test_node.h"

namespace daedalus::test {

inline constexpr uint32_t kOutput = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
inline constexpr uint32_t kCapture = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
inline constexpr int kPatienceMs = 10'000;

/// Those of these raw formats that the node under test can have.
inline std::vector<uint32_t> onNode(std::vector<uint32_t> fourccs) {
    std::erase_if(fourccs,
                  [](uint32_t fourcc) { return TestNode::isSinglePlanar() && v4l2::findRaw(fourcc)->memoryPlanes > 1; });
    return fourccs;
}

/// What DQBUF gave: an errno, or the buffer.
struct Taken {
    int error = 0;
    v4l2_buffer buffer{};
    v4l2_plane planes[VIDEO_MAX_PLANES]{};
};

class V4l2Client {
public:
    explicit V4l2Client(TestNode& node, int flags = O_NONBLOCK) : file_(node.open(flags)) {}
    explicit V4l2Client(std::unique_ptr<Client> file) : file_(std::move(file)) {}
    ~V4l2Client() {
        for (auto* maps : {&output_, &capture_}) unmap(*maps);
    }

    Client& file() { return *file_; }
    int ioctl(unsigned long cmd, void* argument) { return file_->ioctl(cmd, argument); }

    v4l2_format format(uint32_t type) {
        v4l2_format format{};
        format.type = type;
        ioctl(VIDIOC_G_FMT, &format);
        return format;
    }
    int setFormat(uint32_t type, uint32_t fourcc, uint32_t width, uint32_t height) {
        v4l2_format format{};
        format.type = type;
        format.fmt.pix_mp.pixelformat = fourcc;
        format.fmt.pix_mp.width = width;
        format.fmt.pix_mp.height = height;
        return ioctl(VIDIOC_S_FMT, &format);
    }
    /// REQBUFS and mmap of all planes.
    int request(uint32_t type, uint32_t count) {
        unmap(maps(type));
        v4l2_requestbuffers request{};
        request.type = type;
        request.memory = V4L2_MEMORY_MMAP;
        request.count = count;
        if (const int error = ioctl(VIDIOC_REQBUFS, &request)) return error;
        for (uint32_t i = 0; i < request.count; ++i) {
            auto info = query(type, i);
            std::vector<Map> planes;
            for (uint32_t p = 0; p < info.buffer.length; ++p) {
                const auto length = info.planes[p].length;
                planes.push_back({file_->mmap(length, PROT_READ | PROT_WRITE, info.planes[p].m.mem_offset), length});
            }
            maps(type).push_back(planes);
        }
        return 0;
    }
    Taken query(uint32_t type, uint32_t index) { return with(VIDIOC_QUERYBUF, type, index, 0, {}); }
    /// Queues a CAPTURE buffer.
    int queue(uint32_t index) { return with(VIDIOC_QBUF, kCapture, index, 0, {}).error; }
    /// Copies `text` into an OUTPUT buffer and queues it; the timestamp is in microseconds.
    int feed(uint32_t index, std::string_view text, long timestampUs = 0) {
        return feed(index, text, timeval{timestampUs / 1'000'000, timestampUs % 1'000'000});
    }
    int feed(uint32_t index, std::string_view text, const timeval& timestamp) {
        std::memcpy(output_.at(index).at(0).address, text.data(), text.size());
        return with(VIDIOC_QBUF, kOutput, index, static_cast<uint32_t>(text.size()), timestamp).error;
    }
    Taken take(uint32_t type) { return with(VIDIOC_DQBUF, type, 0, 0, {}); }
    /// take() that waits until there is something (poll for `events`).
    Taken await(uint32_t type) {
        const short events = type == kOutput ? POLLOUT : POLLIN;
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(2 * kPatienceMs);
        while (std::chrono::steady_clock::now() < deadline) {
            Taken taken = take(type);
            if (taken.error != EAGAIN) return taken;
            // POLLERR: nothing can come.
            if (!(file_->poll(events, kPatienceMs) & events)) break;
        }
        return take(type);
    }
    int streamOn(uint32_t type) {
        if (type == kCapture) streamed_ = format(kCapture);
        return ioctl(VIDIOC_STREAMON, &type);
    }
    /// CAPTURE's format of the frames that come since it was started, or went on by START.
    [[nodiscard]] const v4l2_pix_format_mplane& streamed() const { return streamed_.fmt.pix_mp; }
    int streamOff(uint32_t type) { return ioctl(VIDIOC_STREAMOFF, &type); }
    int command(uint32_t cmd) {
        if (cmd == V4L2_DEC_CMD_START) streamed_ = format(kCapture);
        v4l2_decoder_cmd command{};
        command.cmd = cmd;
        return ioctl(VIDIOC_DECODER_CMD, &command);
    }
    int subscribe(uint32_t type, uint32_t id = 0, uint32_t flags = 0) {
        v4l2_event_subscription subscription{};
        subscription.type = type;
        subscription.id = id;
        subscription.flags = flags;
        return ioctl(VIDIOC_SUBSCRIBE_EVENT, &subscription);
    }
    /// The next event; nothing after a while.
    std::optional<v4l2_event> event(int timeoutMs = kPatienceMs) {
        v4l2_event event{};
        if (ioctl(VIDIOC_DQEVENT, &event) == 0) return event;
        if (!(file_->poll(POLLPRI, timeoutMs) & POLLPRI)) return std::nullopt;
        return ioctl(VIDIOC_DQEVENT, &event) == 0 ? std::optional(event) : std::nullopt;
    }
    /// First byte of a CAPTURE plane.
    const unsigned char* pixels(uint32_t index, uint32_t plane = 0) {
        return static_cast<const unsigned char*>(capture_.at(index).at(plane).address);
    }
    int getControl(uint32_t id, int32_t& value) {
        v4l2_control control{id, 0};
        const int error = ioctl(VIDIOC_G_CTRL, &control);
        value = control.value;
        return error;
    }

private:
    struct Map {
        void* address;
        size_t length;
    };
    using Maps = std::vector<std::vector<Map>>;

    Maps& maps(uint32_t type) { return type == kOutput ? output_ : capture_; }
    static void unmap(Maps& maps) {
        for (const auto& planes : maps)
            for (const auto& map : planes) ::munmap(map.address, map.length);
        maps.clear();
    }
    Taken with(unsigned long cmd, uint32_t type, uint32_t index, uint32_t bytesUsed, const timeval& timestamp) {
        Taken taken;
        taken.buffer.type = type;
        taken.buffer.memory = V4L2_MEMORY_MMAP;
        taken.buffer.index = index;
        taken.buffer.length = VIDEO_MAX_PLANES;
        taken.buffer.m.planes = taken.planes;
        taken.buffer.timestamp = timestamp;
        taken.planes[0].bytesused = bytesUsed;
        taken.error = ioctl(cmd, &taken.buffer);
        return taken;
    }

    std::unique_ptr<Client> file_;
    Maps output_;
    Maps capture_;
    v4l2_format streamed_{};
};

}  // namespace daedalus::test
