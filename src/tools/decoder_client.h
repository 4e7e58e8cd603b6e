// A complete client of a stateful decoder: the initialization, capture setup, decoding, source change and drain sequences of
// the kernel's stateful decoder document, by poll and without waiting calls.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "client_queue.h"
#include "endpoint.h"
#include "outcome.h"
#include "packet_source.h"
#include "picture.h"

namespace daedalus::tools {

/// What a frame is besides its samples.
struct FrameInfo {
    std::optional<int64_t> pts;  ///< in units of StreamInfo::timeBase
    int64_t duration = 0;
    bool damaged = false;
};

/// Where frames go, in display order.
class FrameSink {
public:
    virtual ~FrameSink() = default;
    /// The picture's memory is valid during the call.
    [[nodiscard]] virtual Outcome<> frame(const Picture& picture, const FrameInfo& info) = 0;
};

struct ClientSettings {
    uint32_t memory = V4L2_MEMORY_MMAP;
    /// The CAPTURE format; nullptr: the one that is closest to FFmpeg's native order of the stream.
    const v4l2::RawFormat* capture = nullptr;
    /// Damaged frames before the first key frame are given, too.
    bool outputCorrupt = false;
    /// Ends after so many frames; 0: all.
    uint64_t frames = 0;
    /// Without any progress for so long, the node is given up.
    std::chrono::milliseconds patience{10000};
};

/// What there was.
struct ClientSummary {
    uint64_t frames = 0;
    uint64_t damaged = 0;        ///< frames with the ERROR flag
    uint64_t lost = 0;           ///< buffers with the ERROR flag and no frame
    uint64_t withheld = 0;       ///< damaged frames before the first key frame that were not given
    uint64_t sourceChanges = 0;  ///< after the first
    uint32_t width = 0;          ///< visible, of the last setup
    uint32_t height = 0;
    std::string format;
};

/// Decodes one stream. One thread.
class DecoderClient {
public:
    /// All must outlive it.
    DecoderClient(Endpoint& endpoint, PacketSource& source, FrameSink& sink, const DmabufAllocator& dmabufs,
                  const ClientSettings& settings);

    /// From the first packet to the last frame.
    [[nodiscard]] Outcome<> decode();
    [[nodiscard]] const ClientSummary& summary() const { return summary_; }

private:
    using Clock = std::chrono::steady_clock;

    /// The packet behind a timestamp. Timestamps count packets, so that they are unique and survive any rounding.
    struct Sent {
        uint64_t timestampUs = 0;
        std::optional<int64_t> pts;
        int64_t duration = 0;
        bool discard = false;
    };

    [[nodiscard]] Outcome<> setUpOutput();
    [[nodiscard]] Outcome<> subscribe();
    [[nodiscard]] Outcome<> setUpCapture();
    [[nodiscard]] Outcome<const v4l2::RawFormat*> chooseCaptureFormat(uint32_t current);
    /// What the decoder's own frames are made of, as far as the node tells.
    [[nodiscard]] v4l2::Sampling streamSampling();
    [[nodiscard]] v4l2::Rect visibleRect() const;
    /// `visible`, or less of it: of H.264 pictures FFmpeg shows what the container says, where that ends within their last
    /// macroblocks; until the stream once disagrees.
    [[nodiscard]] v4l2::Rect croppedByContainer(v4l2::Rect visible);
    [[nodiscard]] uint32_t minCaptureBuffers();

    /// Fills OUTPUT; at the end of the input starts the drain.
    [[nodiscard]] Outcome<> feed();
    [[nodiscard]] Outcome<> stop();
    [[nodiscard]] Outcome<> waitForNode();
    [[nodiscard]] Outcome<> takeEvents();
    [[nodiscard]] Outcome<> takeOutput();
    [[nodiscard]] Outcome<> takeCapture();
    [[nodiscard]] Outcome<> deliver(const Dequeued& buffer);
    /// After the LAST buffer: sets up anew, goes on after an end of stream within the input, or is done.
    [[nodiscard]] Outcome<> endOfSequence();
    [[nodiscard]] Outcome<> withoutProgress(short revents);
    [[nodiscard]] int command(uint32_t cmd);
    void progressed() { lastProgress_ = Clock::now(); }

    Endpoint& endpoint_;
    PacketSource& source_;
    FrameSink& sink_;
    ClientSettings settings_;
    ClientSummary summary_;
    bool begun_ = false;  ///< a picture came that needs none from before it
    ClientQueue output_;
    ClientQueue capture_;

    v4l2_pix_format_mplane captureFormat_{};
    const v4l2::RawFormat* rawFormat_ = nullptr;
    v4l2::Sampling sampling_;
    v4l2::Rect visible_;
    bool containerCrops_ = true;

    uint64_t packetsSent_ = 0;
    std::array<Sent, 1024> sent_{};  ///< of the last packets, by timestampUs modulo its size
    bool inputEnded_ = false;
    bool stopSent_ = false;
    bool sourceChanged_ = false;  ///< announced by an event, and not yet acted upon
    bool finished_ = false;
    Clock::time_point lastProgress_;
};

}  // namespace daedalus::tools
