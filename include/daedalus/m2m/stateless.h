// The stateless decoder of one session: two queues, controls, and requests that decode one unit each. The rows of
// docs/contract/stateless.md say what it does.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daedalus/m2m/context.h"
#include "daedalus/m2m/picture_strand.h"
#include "daedalus/m2m/references.h"
#include "daedalus/media/request.h"

namespace daedalus::m2m {

/// One session's decoder. Loop thread.
class StatelessContext final : public Context, public media::RequestUser, private queue::Owner {
public:
    /// `session` names the session in log lines.
    StatelessContext(Resources resources, std::string session, Listener& listener);
    ~StatelessContext() override;

    queue::Queue& output() override { return output_; }
    queue::Queue& capture() override { return capture_; }
    const OutputFormat& outputFormat() const override { return outputFormat_; }
    const CaptureFormat& captureFormat() const override { return captureFormat_; }
    const codec::StreamFormat* stream() const override { return nullptr; }

    // What a client may change when, in stateless_rules.cpp.
    std::vector<const v4l2::RawFormat*> offered() const override { return fitting(values_); }
    Result<> changeOutput(const OutputFormat& format) override;
    Result<> changeCapture(const v4l2::RawFormat& raw, uint32_t width, uint32_t height, uint32_t field) override;
    uint32_t captureField(uint32_t) const override { return outputFormat_.field; }
    v4l2::FrameLayout captureLayout(const v4l2::RawFormat& raw, uint32_t width, uint32_t height) const override;
    void buffersFreed(const queue::Queue&) override {}
    bool tells(uint32_t) const override { return false; }
    const char* stateName() const override;
    /// Whether these controls can hold: EINVAL for pictures that no CAPTURE format holds, or larger than OUTPUT's size.
    [[nodiscard]] Result<> checkValues(const v4l2::ControlValues& values) const;
    /// Controls set outside of requests; CAPTURE follows. EINVAL as checkValues(); EBUSY if CAPTURE would have to change and
    /// has buffers.
    [[nodiscard]] Result<> setValues(const v4l2::ControlValues& values);
    /// What holds now: what was set outside of requests, or by the last one.
    [[nodiscard]] const v4l2::ControlValues& values() const { return values_; }

    /// QBUF(OUTPUT) into a request. EBUSY unless it is idle; and the queue's errors.
    [[nodiscard]] Result<queue::BufferInfo> bind(const std::shared_ptr<media::Request>& request, int32_t fd,
                                                 const queue::BufferRequest& buffer, memory::ClientMemory* client);
    /// Controls of a request. EINVAL as checkValues(), EBUSY as the request says.
    [[nodiscard]] Result<> setValues(const std::shared_ptr<media::Request>& request, const v4l2::ControlValues& values);
    /// DECODER_CMD FLUSH.
    void flush();

private:
    Result<> check(const media::Request& request) const override;
    void submit(std::shared_ptr<media::Request> request, uint32_t index) override;
    void unbind(uint32_t index) override { output_.unbind(index); }

    queue::PlaneSizes planeSizes(const queue::Queue& queue) const override;
    Result<> startStreaming(queue::Queue&) override { return {}; }
    void bufferQueued(queue::Queue&) override { schedule(); }
    void stopStreaming(queue::Queue& queue) override;
    void bufferDequeued(queue::Queue&) override {}
    void queueChanged(queue::Queue&) override { listener_.changed(); }
    void bufferCancelled(queue::Queue& queue, uint32_t index) override;
    void bufferFreed(queue::Queue& queue, uint32_t index) override;

    /// The unit that a worker has.
    struct Job {
        queue::ActiveBuffer input;
        std::shared_ptr<media::Request> request;
        v4l2::ControlValues held;
        bool holds;  ///< V4L2_BUF_FLAG_M2M_HOLD_CAPTURE_BUF
    };
    /// The CAPTURE buffer of the picture under way.
    struct Destination {
        queue::ActiveBuffer buffer;
        uint64_t timestamp;
        uint64_t picture;
        queue::Outcome outcome;
    };

    /// Starts the next unit, if everything for it is there.
    void schedule();
    [[nodiscard]] bool takeDestination(const queue::BufferInfo& unit);
    void start();
    void unitDone(const std::string& damage);
    void returnDestination();
    void dropDestination();
    void watchDecoder();
    void remember(const std::shared_ptr<media::Request>& request);
    [[nodiscard]] std::vector<const v4l2::RawFormat*> fitting(const v4l2::ControlValues& values) const;
    void setCapture(const v4l2::RawFormat& raw);

    Resources resources_;
    const std::string session_;
    Listener& listener_;
    OutputFormat outputFormat_;
    CaptureFormat captureFormat_;
    v4l2::ControlValues values_;
    queue::Queue output_;
    queue::Queue capture_;
    ReferenceTable references_;
    uint64_t lastPicture_ = 0;
    std::map<uint32_t, std::shared_ptr<media::Request>> queued_;              ///< by the index of the OUTPUT buffer
    std::map<const media::Request*, std::weak_ptr<media::Request>> touched_;  ///< all that may know of this session
    std::optional<Destination> destination_;
    std::optional<Job> job_;
    std::unique_ptr<PictureStrand> strand_;
    EventLoop::Registration watch_;
};

}  // namespace daedalus::m2m
