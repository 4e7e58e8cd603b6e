// A hostile client: what it says to an open node, whichever way its calls travel.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "arena.h"
#include "contents.h"
#include "daedalus/v4l2/uapi.h"
#include "input.h"
#include "stage.h"

namespace daedalus::fuzz {

/// The way from a client to its node.
class Path {
public:
    virtual ~Path() = default;
    /// One ioctl on the argument at `address` of the arena: 0, an errno, or -1 if it still waits.
    virtual int call(uint32_t cmd, uint64_t address) = 0;
    /// Writes to the start of the MMAP plane at `offset`, as through a mapping.
    virtual void put(uint64_t offset, std::span<const std::byte> content) = 0;
    /// A descriptor of the client's that holds memory, as its number or as another name that the path knows it by.
    virtual int memoryFd(Input& input) = 0;
    /// Lets the node work for a while.
    virtual void settle(unsigned steps) = 0;
};

/// Turns bytes of the input into calls. Remembers as much of its queues as it needs to get far with them.
class Client {
public:
    Client(Path& path, Arena& arena, Stage::Codecs codecs) : path_(path), arena_(arena), codecs_(codecs) {}

    /// Any row of the ioctl table, with a struct that is sensible in most of its fields.
    void tableIoctl(Input& input);
    /// Any number and any bytes.
    void wildIoctl(Input& input);
    /// What a decoder's client does up to the first frames; the input chooses formats, memories and slips.
    void setUp(Input& input);
    /// Fills an OUTPUT buffer and queues it.
    void feed(Input& input);
    /// Queues a CAPTURE buffer.
    void refill(Input& input);
    /// Takes a buffer from a queue.
    void take(Input& input);

private:
    enum Side : uint32_t { Output, Capture };
    struct QueueView {
        uint32_t type = 0;
        uint32_t memory = V4L2_MEMORY_MMAP;
        uint32_t planes = 1;
        uint32_t buffers = 0;
        std::array<uint32_t, VIDEO_MAX_PLANES> sizes{};
    };

    template <class T>
    T& place() {
        auto& value = *reinterpret_cast<T*>(arena_.bytes(Arena::kArgument).data());
        value = {};
        return value;
    }
    int call(uint32_t cmd) { return path_.call(cmd, arena_.address(Arena::kArgument)); }

    [[nodiscard]] uint32_t pickType(Input& input);
    [[nodiscard]] uint32_t pickMemory(Input& input);
    /// Writes the argument of `cmd` to the arena.
    void fillArgument(uint32_t cmd, Input& input);
    void fillFormat(v4l2_format& format, Input& input);
    void fillBuffer(v4l2_buffer& buffer, Input& input);
    void fillControls(v4l2_ext_controls& controls, Input& input);
    /// A v4l2_buffer of this queue as a good client would fill it, with its planes at kNested.
    v4l2_buffer& goodBuffer(Side side, uint32_t index, Input& input);
    void request(Side side, uint32_t count, uint32_t memory);
    void refresh(Side side);
    void learn(uint32_t cmd);

    Path& path_;
    Arena& arena_;
    Stage::Codecs codecs_;
    uint32_t fourcc_ = V4L2_PIX_FMT_H264;
    std::array<QueueView, 2> queues_{QueueView{.type = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE},
                                     QueueView{.type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE}};
};

}  // namespace daedalus::fuzz
