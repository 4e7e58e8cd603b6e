// A buffer while its owner has it: the only form in which a worker sees one.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "daedalus/memory/memory.h"
#include "daedalus/v4l2/uapi.h"

namespace daedalus::queue {

/// What travels with a picture from OUTPUT to CAPTURE.
struct Metadata {
    /// As the client gave it, bit for bit: clients send times before zero, also with negative microseconds.
    timeval timestamp{};
    /// V4L2_BUF_FLAG_{KEY,P,B}FRAME and V4L2_BUF_FLAG_TSTAMP_SRC_MASK bits; nothing else.
    uint32_t flags = 0;
    std::optional<v4l2_timecode> timecode;
};

/// How a buffer comes back.
struct Outcome {
    bool error = false;  ///< V4L2_BUF_FLAG_ERROR
    bool last = false;   ///< V4L2_BUF_FLAG_LAST
    /// CAPTURE: payload of each plane in bytes.
    std::array<uint32_t, VIDEO_MAX_PLANES> bytesUsed{};
    uint32_t field = V4L2_FIELD_NONE;  ///< CAPTURE: V4L2_FIELD_*
    /// CAPTURE: what the picture brought along. OUTPUT buffers keep their own.
    Metadata metadata;
};

/// A plane of an ActiveBuffer.
struct ActivePlane {
    memory::MemoryRef memory;
    uint32_t length = 0;      ///< bytes that may be used
    uint32_t bytesUsed = 0;   ///< OUTPUT: payload, data_offset included
    uint32_t dataOffset = 0;  ///< OUTPUT: where the payload starts
};

/// One buffer on loan from its queue; move-only. It goes back by done(), error() or giveBack(), from any thread; dropping it
/// means error(). The queue hears of it on the loop thread, in the order of the calls.
class ActiveBuffer {
public:
    /// The way back to the queue; one for each queue.
    class ReturnPath;
    enum class Way : uint8_t { Done, Unused };

    ActiveBuffer(std::shared_ptr<ReturnPath> path, uint32_t index, std::span<const ActivePlane> planes, Metadata metadata);
    ActiveBuffer(ActiveBuffer&&) noexcept = default;
    ActiveBuffer& operator=(ActiveBuffer&& other) noexcept;
    ActiveBuffer(const ActiveBuffer&) = delete;
    ActiveBuffer& operator=(const ActiveBuffer&) = delete;
    ~ActiveBuffer();

    [[nodiscard]] uint32_t index() const { return index_; }
    [[nodiscard]] std::span<const ActivePlane> planes() const { return {planes_.data(), planeCount_}; }
    [[nodiscard]] const Metadata& metadata() const { return metadata_; }

    void done(const Outcome& outcome) { leave(Way::Done, outcome); }
    void error() {
        leave(Way::Done, {.error = true, .last = false, .bytesUsed = {}, .field = V4L2_FIELD_NONE, .metadata = metadata_});
    }
    /// Unused: the buffer takes its place at the end of the queue again (or is the client's if streaming stops).
    void giveBack() { leave(Way::Unused, {}); }
    /// done() of two buffers, of queues on the same loop, in one step of the loop thread: no client sees the one without the
    /// other. The queue of `first` hears of it first.
    static void doneTogether(ActiveBuffer first, const Outcome& firstOutcome, ActiveBuffer second,
                             const Outcome& secondOutcome);

private:
    void leave(Way way, const Outcome& outcome);
    [[nodiscard]] std::shared_ptr<ReturnPath> release();

    std::shared_ptr<ReturnPath> path_;
    uint32_t index_;
    uint32_t planeCount_;
    std::array<ActivePlane, VIDEO_MAX_PLANES> planes_;
    Metadata metadata_;
};

}  // namespace daedalus::queue
