// The stateful decoder of one session: two queues, their formats, and the sequences of the kernel's stateful decoder document.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daedalus/m2m/context.h"
#include "daedalus/m2m/decode_strand.h"
#include "daedalus/m2m/decoder_state.h"
#include "daedalus/queue/queue.h"
#include "daedalus/v4l2/formats.h"

namespace daedalus::m2m {

/// What OUTPUT carries. Sizes in pixels and bytes.
struct OutputFormat {
    const v4l2::CodedFormat* coded = nullptr;
    uint32_t width = 0;
    uint32_t height = 0;
    uint32_t sizeImage = 0;
    v4l2::Colorimetry colorimetry;
    uint32_t field = V4L2_FIELD_NONE;  ///< as the client says; CAPTURE repeats it until the stream is known
    friend bool operator==(const OutputFormat&, const OutputFormat&) = default;
};

/// What CAPTURE delivers.
struct CaptureFormat {
    const v4l2::RawFormat* raw = nullptr;
    v4l2::FrameLayout layout;
    v4l2::Rect visible;  ///< inside the coded frame
    uint32_t field = V4L2_FIELD_NONE;
    v4l2::Colorimetry colorimetry;
};

/// One session's decoder. Loop thread.
class StatefulContext final : public Context, private queue::Owner, private DecodeStrand::Listener {
public:
    /// What the session hears, on the loop thread.
    class Listener : public Context::Listener {
    public:
        /// Whether the client has not fetched the event of a sourceChanged() yet.
        [[nodiscard]] virtual bool sourceChangeUnseen() const = 0;
    };

    /// `session` names the session in log lines.
    StatefulContext(Resources resources, std::string session, Listener& listener);
    ~StatefulContext() override;

    [[nodiscard]] queue::Queue& output() override { return output_; }
    [[nodiscard]] queue::Queue& capture() override { return capture_; }
    [[nodiscard]] const OutputFormat& outputFormat() const override { return outputFormat_; }
    [[nodiscard]] const CaptureFormat& captureFormat() const override { return captureFormat_; }
    [[nodiscard]] DecoderState state() const { return state_; }
    /// The stream's format, once its headers were found.
    [[nodiscard]] const codec::StreamFormat* stream() const override { return stream_ ? &*stream_ : nullptr; }
    /// V4L2_CID_MIN_BUFFERS_FOR_CAPTURE.
    [[nodiscard]] uint32_t minCaptureBuffers() const;
    /// What CAPTURE may deliver now, the default first: the formats that fit the stream, or before its headers those that fit
    /// some stream of the coded format.
    [[nodiscard]] std::vector<const v4l2::RawFormat*> offered() const override;

    /// S_FMT(OUTPUT): a new stream; CAPTURE follows. The caller has checked that no buffers are allocated.
    void setOutputFormat(const OutputFormat& format);
    /// Colorimetry alone, which may change at any time.
    void setColorimetry(const v4l2::Colorimetry& colorimetry);
    /// S_FMT(CAPTURE): `width` and `height` count only before the headers; the stream tells them afterwards. `raw` is one of
    /// offered(). It stays through changes of the stream for as long as it fits, and else its depth stays if there is a format
    /// of that depth; so a client gets fewer bits than the stream has only if it chose them. `field`: see captureField().
    void chooseCaptureFormat(const v4l2::RawFormat& raw, uint32_t width, uint32_t height, uint32_t field);
    /// The field of the CAPTURE format for a client that asks for `wanted`: what the stream has, except that INTERLACED stands
    /// for either order of an interlaced one. GStreamer knows no other word, and insists on reading it back.
    [[nodiscard]] uint32_t captureField(uint32_t wanted) const override;
    /// The layout that chooseCaptureFormat() would give.
    [[nodiscard]] v4l2::FrameLayout captureLayout(const v4l2::RawFormat& raw, uint32_t width, uint32_t height) const override;

    // The rules of the session, in stateful_rules.cpp. Beside colours, OUTPUT's format is fixed while either queue has buffers.
    [[nodiscard]] Result<> changeOutput(const OutputFormat& format) override;
    [[nodiscard]] Result<> changeCapture(const v4l2::RawFormat& raw, uint32_t width, uint32_t height, uint32_t field) override;
    void buffersFreed(const queue::Queue& queue) override;
    [[nodiscard]] bool tells(uint32_t eventType) const override;
    [[nodiscard]] const char* stateName() const override { return name(state()); }

    /// OUTPUT's buffers were freed: what comes next is a new stream.
    void forgetStream();
    /// DECODER_CMD STOP: begins a drain if both queues stream, or if CAPTURE is stopped only to answer a change of format;
    /// EBUSY during one.
    [[nodiscard]] Result<> stop();
    /// DECODER_CMD START: goes on after a drain or a source change (EINVAL if the buffers do not hold the new
    /// format); EBUSY during a drain.
    [[nodiscard]] Result<> start();

private:
    queue::PlaneSizes planeSizes(const queue::Queue& queue) const override;
    Result<> startStreaming(queue::Queue& queue) override;
    void bufferQueued(queue::Queue& queue) override;
    void stopStreaming(queue::Queue& queue) override;
    void bufferDequeued(queue::Queue& queue) override;
    void queueChanged(queue::Queue& queue) override;

    void streamFound(const codec::StreamFormat& format, uint64_t flushes) override;
    void streamDescribed(const codec::StreamFormat& format) override;
    void endMarkFound(uint64_t flushes) override;
    bool drained(uint64_t drainId) override;
    void failed(Errno error, uint64_t flushes) override;

    /// Takes the arrow of the state table; events without one leave the state.
    void on(DecoderEvent event);
    void followOutput();
    /// What CAPTURE becomes when the stream is found, of offered().
    [[nodiscard]] const v4l2::RawFormat& bestOf(std::span<const v4l2::RawFormat* const> fitting) const;
    void setCaptureFormat(const v4l2::RawFormat& raw, uint32_t width, uint32_t height);
    /// What CAPTURE tells of colours and fields: what the stream says, and for what it does not, what the client said.
    void describeCapture();
    /// True if CAPTURE streams in the stream's format already, so that no new setup is needed.
    [[nodiscard]] bool streamsAlready(const CaptureFormat& before) const;
    [[nodiscard]] bool buffersSuit() const;
    void sendSetup(bool provisional = false);
    /// Makes CAPTURE follow the format that was found last, and tells the client of it.
    void tellChange();
    /// OUTPUT was stopped before the client answered a change of format: CAPTURE streams on in the format it was set up for.
    void takeBackChange();
    /// True while a change of format waits for the client's answer.
    [[nodiscard]] bool isChanging() const;
    /// Stores the stream's format and makes CAPTURE follow; false if no raw format holds it.
    [[nodiscard]] bool adopt(const codec::StreamFormat& format);
    void failBoth();
    /// Every now and then: a decoder that takes too long is given up.
    void watchDecoder();

    Resources resources_;
    const std::string session_;
    Listener& listener_;
    OutputFormat outputFormat_;
    CaptureFormat captureFormat_;
    uint32_t wantedField_ = V4L2_FIELD_ANY;  ///< by S_FMT(CAPTURE)
    std::optional<codec::StreamFormat> stream_;
    DecoderState state_ = DecoderState::Initialization;
    uint64_t drainId_ = 0;
    bool chosen_ = false;                       ///< the client set CAPTURE's format
    std::optional<codec::StreamFormat> setUp_;  ///< what the strand's CaptureSetup is for
    /// A format that was found while CAPTURE buffers from before it are still to be dequeued.
    std::optional<codec::StreamFormat> untold_;
    bool answersChange_ = false;  ///< CAPTURE was stopped for a change of format, and is to be started again
    bool provisional_ = false;    ///< the setup is CaptureSetup::provisional, and no frame was dequeued yet
    queue::Queue output_;
    queue::Queue capture_;
    std::unique_ptr<DecodeStrand> strand_;
    EventLoop::Registration watch_;
};

}  // namespace daedalus::m2m
