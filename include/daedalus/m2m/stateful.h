// The stateful decoder of one session: two queues, their formats, and the sequences of the kernel's stateful decoder document.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daedalus/m2m/context.h"
#include "daedalus/m2m/decode_strand.h"
#include "daedalus/m2m/decoder_state.h"
#include "daedalus/m2m/formats.h"
#include "daedalus/queue/queue.h"

namespace daedalus::m2m {

/// One session's decoder. Loop thread.
class StatefulContext final : public Context, private queue::Owner, private DecodeStrand::Listener {
public:
    using Listener = Context::Listener;

    /// `session` names the session in log lines.
    StatefulContext(Resources resources, std::string session, Listener& listener);
    ~StatefulContext() override;

    queue::Queue& output() override { return output_; }
    queue::Queue& capture() override { return capture_; }
    const OutputFormat& outputFormat() const override { return formats_.output(); }
    const CaptureFormat& captureFormat() const override { return formats_.capture(); }
    [[nodiscard]] DecoderState state() const { return machine_.state(); }
    const codec::StreamFormat* stream() const override { return formats_.stream(); }
    /// V4L2_CID_MIN_BUFFERS_FOR_CAPTURE.
    [[nodiscard]] uint32_t minCaptureBuffers() const { return formats_.minCaptureBuffers(); }
    std::vector<const v4l2::RawFormat*> offered() const override { return formats_.offered(); }
    uint32_t captureField(uint32_t wanted) const override { return formats_.captureField(wanted); }
    v4l2::FrameLayout captureLayout(const v4l2::RawFormat& raw, uint32_t width, uint32_t height) const override {
        return formats_.captureLayout(raw, width, height);
    }

    // The rules of the session, in stateful_rules.cpp. Beside colours, OUTPUT's format is fixed while either queue is busy.
    Result<> changeOutput(const OutputFormat& format) override;
    Result<> changeCapture(const v4l2::RawFormat& raw, uint32_t width, uint32_t height, uint32_t field) override;
    void buffersFreed(const queue::Queue& queue) override;
    bool tells(uint32_t eventType) const override;
    const char* stateName() const override { return name(state()); }
    void sourceChangeSeen() override { formats_.seen(); }
    bool expectsHeaders() override;
    bool awaitsSetup() const override { return formats_.awaitsSetup(); }

    /// DECODER_CMD STOP: begins a drain if both queues stream, or if CAPTURE is stopped only to answer a change of format;
    /// EBUSY during one.
    [[nodiscard]] Result<> stop();
    /// DECODER_CMD START: goes on after a drain or a source change (EINVAL if the buffers do not hold the new
    /// format); EBUSY during a drain.
    [[nodiscard]] Result<> start();
    /// To be called every now and then: a decoder that takes too long is given up. A timer of its own does.
    void watchDecoder();

private:
    queue::PlaneSizes planeSizes(const queue::Queue& queue) const override { return formats_.planeSizes(queue.isOutput()); }
    Result<> startStreaming(queue::Queue& queue) override;
    void bufferQueued(queue::Queue& queue) override;
    void stopStreaming(queue::Queue& queue) override;
    void bufferDequeued(queue::Queue& queue) override;
    void queueChanged(queue::Queue&) override { listener_.changed(); }

    void streamFound(const codec::StreamFormat& format) override;
    void headersMissing() override;
    void streamDescribed(uint64_t epoch, const codec::StreamFormat& format) override;
    void starved() override;
    void endMarkFound() override { (void)machine_.on(DecoderEvent::EndMark); }
    void drained(LastBuffer last) override;
    void failed(Errno) override { failBoth(); }

    /// What comes next is a new stream.
    void forgetStream();
    void openStrand();
    Result<> startCapture();
    /// Makes CAPTURE follow the format that was found last, and tells the client of it.
    [[nodiscard]] Formats::Told tell();
    /// tell(), while no queue is being stopped: CAPTURE goes on as it is, or ends with LAST.
    void tellChange();
    /// True if no new setup is needed where CAPTURE streams in the format that was told: it has never been set up, and has
    /// the buffers for it.
    [[nodiscard]] bool mayGoOn() const;
    [[nodiscard]] bool buffersSuit() const { return capture_.buffersHold(planeSizes(capture_)); }
    void setUp(Epoch::Stage stage);
    void failBoth();

    Resources resources_;
    const std::string session_;
    Listener& listener_;
    Formats formats_;
    DecoderMachine machine_;
    queue::Queue output_;
    queue::Queue capture_;
    std::unique_ptr<DecodeStrand> strand_;
    EventLoop::Registration watch_;
    EventLoop::Registration patience_;  ///< runs while OUTPUT has nothing for a starved worker
    std::optional<Clock::Time> fed_;    ///< when OUTPUT, streaming, got its last buffer
    EventLoop::Registration headers_;   ///< runs while somebody waits for headers
};

}  // namespace daedalus::m2m
