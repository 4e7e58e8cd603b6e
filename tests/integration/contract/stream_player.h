// A client that decodes a stream of access units to its end, as one that has read the stateful decoder document.
#pragma once

#include <poll.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "synth.h"
#include "v4l2_client.h"

namespace daedalus::test {

/// One CAPTURE buffer that was dequeued.
struct Played {
    std::string md5;  ///< of the visible samples as YU12; empty: there were none, or the frame has more than 8 bits
    bool error = false;
    long timestampUs = 0;
};

/// How a client goes on after a drain.
enum class GoOn : uint8_t { Start, RestartCapture };

/// Decodes on one session of a node with real codecs. Buffers are kept and replaced in turn where the stream's format changes
/// and they are large enough.
class StreamPlayer {
public:
    explicit StreamPlayer(TestNode& node) : client_(node) {
        REQUIRE(client_.subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0);
        REQUIRE(client_.subscribe(V4L2_EVENT_EOS) == 0);
    }
    [[nodiscard]] V4l2Client& client() { return client_; }
    /// Source changes so far.
    [[nodiscard]] unsigned changes() const { return changes_; }

    /// Allocates OUTPUT for a coded format and starts it.
    void open(v4l2::Codec codec) {
        v4l2_format format{};
        format.type = kOutput;
        format.fmt.pix_mp.pixelformat = v4l2::findCoded(codec)->fourcc;
        format.fmt.pix_mp.num_planes = 1;
        REQUIRE(client_.ioctl(VIDIOC_S_FMT, &format) == 0);
        REQUIRE(client_.request(kOutput, kOutputs) == 0);
        startOutput();
    }
    /// From now on play() sends no STOP: the streams say by themselves where they end.
    void sendNoStop() { sendsStop_ = false; }
    /// A seek that drops the frames that are there, or are just being delivered.
    void seekAtOnce() {
        REQUIRE(client_.streamOff(kOutput) == 0);
        REQUIRE(client_.streamOff(kCapture) == 0);
        for (uint32_t i = 0; i < captures_; ++i) REQUIRE(client_.queue(i) == 0);
        REQUIRE(client_.streamOn(kCapture) == 0);
        startOutput();
    }
    /// OUTPUT STREAMOFF and STREAMON.
    void seek() {
        REQUIRE(client_.streamOff(kOutput) == 0);
        startOutput();
    }
    /// Feeds the units, and does not wait longer than for all OUTPUT buffers to come back.
    void begin(const std::vector<AccessUnit>& units) {
        stepUntil([this] { return next_ == units_->size() && free_.size() == kOutputs; }, units, 0, true);
    }
    /// Feeds the units, timestamps counting from `firstTimestampUs`, drains, returns all that came, and is ready for more.
    std::vector<Played> play(const std::vector<AccessUnit>& units, long firstTimestampUs = 0, GoOn goOn = GoOn::Start) {
        stepUntil([this] { return ended_; }, units, firstTimestampUs, false);
        if (goOn == GoOn::Start)
            REQUIRE(client_.command(V4L2_DEC_CMD_START) == 0);
        else
            REQUIRE(client_.streamOff(kCapture) == 0);
        for (uint32_t i = 0; i < captures_; ++i)
            if (!isQueued(i)) REQUIRE(client_.queue(i) == 0);
        if (goOn == GoOn::RestartCapture) REQUIRE(client_.streamOn(kCapture) == 0);
        return played_;
    }

private:
    static constexpr uint32_t kOutputs = 3;

    void startOutput() {
        REQUIRE(client_.streamOn(kOutput) == 0);
        free_.clear();
        for (uint32_t i = 0; i < kOutputs; ++i) free_.push_back(i);
    }

    template <class Done>
    void stepUntil(const Done& done, const std::vector<AccessUnit>& units, long firstTimestampUs, bool stopped) {
        units_ = &units;
        next_ = 0;
        timestampUs_ = firstTimestampUs;
        stopped_ = stopped;
        ended_ = false;
        played_.clear();
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (!done()) {
            REQUIRE(std::chrono::steady_clock::now() < deadline);
            if (!step()) client_.file().poll(POLLIN | POLLOUT | POLLPRI, 20);
        }
    }

    bool isQueued(uint32_t index) {
        return (client_.query(kCapture, index).buffer.flags & (V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_DONE)) != 0;
    }

    bool step() {
        // All that there is room for, before the answer to anything.
        bool moved = false;
        while (feed()) moved = true;
        moved = takeEvent() || moved;
        if (const auto taken = client_.take(kOutput); taken.error == 0) {
            free_.push_back(taken.buffer.index);
            moved = true;
        }
        return (captures_ > 0 && takeFrame()) || moved;
    }

    bool takeEvent() {
        v4l2_event event{};
        if (client_.ioctl(VIDIOC_DQEVENT, &event) != 0) return false;
        if (event.type == V4L2_EVENT_SOURCE_CHANGE) {
            ++changes_;
            changed_ = true;
            if (captures_ == 0) setUp(false);
        }
        return true;
    }

    void setUp(bool keep) {
        changed_ = false;
        const auto current = client_.format(kCapture).fmt.pix_mp;
        const auto first = client_.query(kCapture, 0);
        keep = keep && current.pixelformat == V4L2_PIX_FMT_YUV420 && first.buffer.length == current.num_planes &&
               first.planes[0].length >= current.plane_fmt[0].sizeimage;
        int32_t buffers = 2;
        REQUIRE(client_.getControl(V4L2_CID_MIN_BUFFERS_FOR_CAPTURE, buffers) == 0);
        if (!keep) {
            REQUIRE(client_.request(kCapture, 0) == 0);
            client_.setFormat(kCapture, V4L2_PIX_FMT_YUV420, current.width, current.height);
            captures_ = static_cast<uint32_t>(buffers) + 1;
            REQUIRE(client_.request(kCapture, captures_) == 0);
        }
        // Before STREAMON: after it the next change may be there already.
        format_ = client_.format(kCapture).fmt.pix_mp;
        v4l2_selection selection{};
        selection.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        selection.target = V4L2_SEL_TGT_COMPOSE;
        REQUIRE(client_.ioctl(VIDIOC_G_SELECTION, &selection) == 0);
        visible_ = selection.r;
        for (uint32_t i = 0; i < captures_; ++i) REQUIRE(client_.queue(i) == 0);
        REQUIRE(client_.streamOn(kCapture) == 0);
    }

    bool feed() {
        if (next_ < units_->size()) {
            if (free_.empty()) return false;
            const auto& bytes = (*units_)[next_++].bytes;
            if (bytes.empty()) return true;
            REQUIRE(client_.feed(free_.back(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, timestampUs_++) ==
                    0);
            free_.pop_back();
            return true;
        }
        // Before CAPTURE streams, STOP would be without effect.
        if (stopped_ || captures_ == 0 || changed_) return false;
        if (!sendsStop_) return stopped_ = true;
        const int error = client_.command(V4L2_DEC_CMD_STOP);
        REQUIRE((error == 0 || error == EBUSY));
        return stopped_ = true;
    }

    bool takeFrame() {
        const auto taken = client_.take(kCapture);
        if (taken.error == EAGAIN) return false;
        REQUIRE((taken.error == 0 || taken.error == EPIPE));
        if (taken.error == 0) {
            const bool error = (taken.buffer.flags & V4L2_BUF_FLAG_ERROR) != 0;
            const bool picture = taken.planes[0].bytesused > 0;
            if (picture || error)
                played_.push_back({picture ? md5Of(taken.buffer.index) : "", error, taken.buffer.timestamp.tv_usec});
            if (!(taken.buffer.flags & V4L2_BUF_FLAG_LAST)) {
                REQUIRE(client_.queue(taken.buffer.index) == 0);
                return true;
            }
        }
        while (takeEvent()) {
        }
        if (!changed_) return ended_ = stopped_;
        REQUIRE(client_.streamOff(kCapture) == 0);
        setUp(changes_ % 2 != 0);
        return true;
    }

    std::string md5Of(uint32_t index) {
        if (format_.pixelformat != V4L2_PIX_FMT_YUV420) return {};
        std::vector<std::byte> samples;
        const auto* plane = reinterpret_cast<const std::byte*>(client_.pixels(index));
        const auto add = [&](uint32_t shift) {
            const uint32_t stride = format_.plane_fmt[0].bytesperline >> shift;
            const auto left = static_cast<uint32_t>(visible_.left) >> shift;
            const auto top = static_cast<uint32_t>(visible_.top) >> shift;
            const uint32_t width = (visible_.width + shift) >> shift;
            for (uint32_t y = top; y < top + ((visible_.height + shift) >> shift); ++y)
                samples.insert(samples.end(), plane + y * stride + left, plane + y * stride + left + width);
            plane += static_cast<size_t>(stride) * (format_.height >> shift);
        };
        add(0);
        add(1);
        add(1);
        return md5(samples);
    }

    V4l2Client client_;
    const std::vector<AccessUnit>* units_ = nullptr;
    size_t next_ = 0;
    long timestampUs_ = 0;
    std::vector<uint32_t> free_;
    uint32_t captures_ = 0;
    unsigned changes_ = 0;
    bool changed_ = false;
    bool sendsStop_ = true;
    bool stopped_ = false;
    bool ended_ = false;
    v4l2_pix_format_mplane format_{};
    v4l2_rect visible_{};
    std::vector<Played> played_;
};

}  // namespace daedalus::test
