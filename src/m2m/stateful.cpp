#include "daedalus/m2m/stateful.h"

#include <algorithm>
#include <utility>

#include "daedalus/base/log.h"
#include "daedalus/queue/mem_offsets.h"

namespace daedalus::m2m {
namespace {

constexpr uint32_t kOutputOffsetBase = queue::kFirstMemOffset;
constexpr uint32_t kCaptureOffsetBase = queue::kFirstMemOffset + (1U << 30);
/// A client that keeps OUTPUT full, or cuts its stream anywhere, queues the next buffer sooner after it got one back.
constexpr std::chrono::milliseconds kPatience{5};

}  // namespace

StatefulContext::StatefulContext(Resources resources, std::string session, Listener& listener)
    : resources_(std::move(resources)),
      session_(std::move(session)),
      listener_(listener),
      formats_(resources_.planes, resources_.limits, session_),
      machine_(session_),
      output_(resources_.loop, *this, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, kOutputOffsetBase, resources_.memory),
      capture_(resources_.loop, *this, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE, kCaptureOffsetBase, resources_.memory) {}

StatefulContext::~StatefulContext() {
    if (strand_) DecodeStrand::retire(std::move(strand_));
}

void StatefulContext::forgetStream() {
    const bool awaited = awaitsSetup();
    if (strand_) DecodeStrand::retire(std::move(strand_));
    formats_.forgetStream();
    (void)machine_.on(DecoderEvent::Forget);
    // No answer is awaited any more, and poll() tells of an error again.
    if (awaited) listener_.changed();
}

void StatefulContext::openStrand() {
    strand_ = std::make_unique<DecodeStrand>(resources_, outputFormat().coded->codec, session_,
                                             static_cast<DecodeStrand::Listener&>(*this));
    const auto limit = resources_.limits.decodeTime;
    const auto period = std::max(limit / 4, std::chrono::milliseconds(10));
    if (limit > limit.zero() && !watch_) watch_ = resources_.loop.timer(period, period, [this] { watchDecoder(); });
}

void StatefulContext::setUp(Epoch::Stage stage) {
    const Epoch& epoch = formats_.setUp(stage);
    strand_->setUp({.epoch = epoch.number,
                    .stream = epoch.format,
                    .raw = epoch.capture.raw,
                    .layout = epoch.capture.layout,
                    .keepsFrames = stage == Epoch::Stage::Provisional});
}

Result<> StatefulContext::startStreaming(queue::Queue& queue) {
    if (!queue.isOutput()) return startCapture();
    if (!strand_) openStrand();
    // After a drain or a change of format, a seek is one of the ways to go on.
    if (state() == DecoderState::Seek) capture_.clearLast();
    (void)machine_.on(DecoderEvent::OutputOn);
    if (capture_.isStreaming()) bufferQueued(capture_);
    return {};
}

Result<> StatefulContext::startCapture() {
    if (stream()) {
        if (!buffersSuit()) {
            log::warn(
                "{}: STREAMON(CAPTURE): the buffers are too small for the {}x{} stream; free them with REQBUFS(0) and "
                "request them again after G_FMT",
                session_, stream()->codedWidth, stream()->codedHeight);
            return daedalus::fail(EINVAL);
        }
        // A client that has not seen the first source change yet may answer it by another setup: no frame may be lost then.
        setUp(formats_.epochs().firstIsUnseen() ? Epoch::Stage::Provisional : Epoch::Stage::SetUp);
    }
    (void)machine_.on(DecoderEvent::CaptureOn);
    return {};
}

void StatefulContext::bufferQueued(queue::Queue& queue) {
    if (!strand_) return;
    if (queue.isOutput()) {
        patience_ = {};
        fed_ = resources_.clock.now();
    }
    while (auto buffer = queue.take()) {
        if (queue.isOutput()) {
            strand_->input(*std::move(buffer));
        } else {
            strand_->output(*std::move(buffer));
        }
    }
}

void StatefulContext::stopStreaming(queue::Queue& queue) {
    if (queue.isOutput()) {
        if (strand_) strand_->flush();
        fed_.reset();
        if (formats_.giveUpChanges(capture_.isStreaming())) listener_.streamDescribed();
        (void)machine_.on(DecoderEvent::OutputOff);
        return;
    }
    // What was not dequeued is lost, and a change need not be held back for it any more.
    const bool told = tell() >= Formats::Told::Change;
    const bool takesBack = formats_.takeBack();
    (void)machine_.on(told || takesBack ? DecoderEvent::CaptureOffForChange : DecoderEvent::CaptureOff);
    const bool changes = state() == DecoderState::ChangeSetup || state() == DecoderState::DrainChangeSetup;
    if (!strand_) return;
    strand_->returnOutputs(takesBack ? CaptureStop::TakeBack : changes ? CaptureStop::ForChange : CaptureStop::Plain);
}

void StatefulContext::bufferDequeued(queue::Queue& queue) {
    if (queue.isOutput()) return;
    if (formats_.accept()) strand_->accept();
    if (!capture_.hasDone()) tellChange();
}

bool StatefulContext::expectsHeaders() {
    if (stream() || capture_.isBusy() || !fed_ || !output_.isStreaming() || output_.hasFailed()) return false;
    const auto left = *fed_ + resources_.limits.headersTime - resources_.clock.now();
    if (left <= left.zero()) return false;
    headers_ = resources_.loop.timer(std::chrono::ceil<std::chrono::milliseconds>(left), std::chrono::milliseconds::zero(),
                                     [this] { listener_.changed(); });
    return true;
}

void StatefulContext::streamFound(const codec::StreamFormat& format) {
    formats_.found(format);
    // GStreamer 1.22 and FFmpeg stop CAPTURE as soon as they see the event, and with it what they have not dequeued.
    if (formats_.epochs().setUp() && capture_.isStreaming() && capture_.hasDone()) return;
    tellChange();
}

void StatefulContext::headersMissing() {
    formats_.headersMissing();
    tellChange();
}

Formats::Told StatefulContext::tell() {
    const auto told = formats_.tell();
    if (told == Formats::Told::Refused) failBoth();
    // Before any buffer that follows from it: a client that finds LAST looks for the event that explains it.
    if (told >= Formats::Told::Change) listener_.sourceChanged();
    return told;
}

bool StatefulContext::mayGoOn() const {
    const bool isFirst =
        state() == DecoderState::EarlyCapture || state() == DecoderState::Decoding || state() == DecoderState::Drain;
    return isFirst && !formats_.epochs().setUp() && capture_.bufferCount() >= minCaptureBuffers() && buffersSuit();
}

void StatefulContext::tellChange() {
    const auto told = tell();
    if (told == Formats::Told::SameSetup && mayGoOn()) {
        (void)machine_.on(DecoderEvent::StreamMatches);
        return setUp(Epoch::Stage::Provisional);
    }
    if (told < Formats::Told::Change) return;
    (void)machine_.on(DecoderEvent::SourceChange);
    if (capture_.isStreaming()) strand_->markLast(stream()->field());
}

void StatefulContext::streamDescribed(uint64_t epoch, const codec::StreamFormat& format) {
    if (formats_.describe(epoch, format)) listener_.streamDescribed();
}

void StatefulContext::drained(LastBuffer last) {
    if (!machine_.on(DecoderEvent::Drained).value_or(false)) return;
    listener_.endOfStream();
    last.deliver();
}

void StatefulContext::starved() {
    patience_ = resources_.loop.timer(kPatience, std::chrono::milliseconds::zero(), [this] {
        if (strand_) strand_->settle();
    });
}

void StatefulContext::watchDecoder() {
    if (!strand_ || !strand_->writeOffIfStuck()) return;
    log::warn(
        "{}: the decoder has been busy with one access unit for more than {} ms and is given up; the session answers EIO until "
        "its queues are stopped; raise --frame-time if the stream is right",
        session_, resources_.limits.decodeTime.count());
    output_.writeOff();
    capture_.writeOff();
    forgetStream();
    failBoth();
}

void StatefulContext::failBoth() {
    output_.fail();
    capture_.fail();
}

Result<> StatefulContext::stop() {
    // Without a strand OUTPUT waits for its STREAMOFF: the decoder was given up.
    const bool idle = !output_.isStreaming() || !strand_;
    const auto began = machine_.on(idle ? DecoderEvent::StopIdle : DecoderEvent::Stop);
    if (!began) return daedalus::fail(began.error());
    if (*began) strand_->drain();
    return {};
}

Result<> StatefulContext::start() {
    const bool drained = state() == DecoderState::Stopped;
    const auto went = machine_.on(buffersSuit() ? DecoderEvent::Start : DecoderEvent::StartUnfit);
    if (!went) return daedalus::fail(went.error());
    if (drained)
        strand_->resume();
    else if (*went)
        setUp(Epoch::Stage::SetUp);
    capture_.clearLast();
    listener_.changed();
    return {};
}

}  // namespace daedalus::m2m
