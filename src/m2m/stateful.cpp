#include "daedalus/m2m/stateful.h"

#include <algorithm>
#include <utility>

#include "daedalus/base/log.h"

namespace daedalus::m2m {
namespace {

constexpr uint32_t kCaptureOffsetBase = 1U << 30;

}  // namespace

StatefulContext::StatefulContext(Resources resources, std::string session, Listener& listener)
    : resources_(std::move(resources)),
      session_(std::move(session)),
      listener_(listener),
      output_(resources_.loop, *this, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, 0, resources_.memory),
      capture_(resources_.loop, *this, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE, kCaptureOffsetBase, resources_.memory) {}

StatefulContext::~StatefulContext() {
    if (strand_) DecodeStrand::retire(std::move(strand_));
}

void StatefulContext::on(DecoderEvent event) {
    const auto to = next(state_, event);
    if (!to) return;
    if (*to != state_) log::trace("{}: {} -> {}", session_, name(state_), name(*to));
    state_ = *to;
}

uint32_t StatefulContext::minCaptureBuffers() const {
    // Before the headers tell better, what is said of a stream that does not tell.
    return stream_ ? stream_->minCaptureBuffers : codec::StreamFormat{}.minCaptureBuffers;
}

std::vector<const v4l2::RawFormat*> StatefulContext::offered() const {
    std::vector<const v4l2::RawFormat*> found;
    if (stream_) {
        found = v4l2::formatsFor(stream_->sampling());
    } else {
        for (const auto& raw : v4l2::rawFormats())
            if (std::ranges::any_of(outputFormat_.coded->samplings,
                                    [&raw](const auto& sampling) { return v4l2::fitOf(raw, sampling) == v4l2::Fit::Exact; }))
                found.push_back(&raw);
    }
    std::erase_if(found, [this](const auto* raw) { return !v4l2::hasFormat(resources_.planes, *raw); });
    return found;
}

v4l2::FrameLayout StatefulContext::captureLayout(const v4l2::RawFormat& raw, uint32_t width, uint32_t height) const {
    if (stream_) return v4l2::layoutOf(raw, stream_->codedWidth, stream_->codedHeight);
    const auto step = [](uint32_t size) {
        return (size + v4l2::kDimensionStep - 1) / v4l2::kDimensionStep * v4l2::kDimensionStep;
    };
    return v4l2::layoutOf(raw, step(width), step(height));
}

void StatefulContext::setOutputFormat(const OutputFormat& format) {
    forgetStream();
    outputFormat_ = format;
    followOutput();
}

void StatefulContext::setColorimetry(const v4l2::Colorimetry& colorimetry) {
    outputFormat_.colorimetry = colorimetry;
    describeCapture();
}

uint32_t StatefulContext::captureField(uint32_t wanted) const {
    if (!stream_) return outputFormat_.field;
    return stream_->interlaced && wanted == V4L2_FIELD_INTERLACED ? wanted : stream_->field();
}

void StatefulContext::describeCapture() {
    captureFormat_.field = captureField(wantedField_);
    v4l2::Colorimetry& colours = captureFormat_.colorimetry;
    colours = outputFormat_.colorimetry;
    if (!stream_) return;
    const v4l2::Colorimetry& said = stream_->colorimetry;
    if (said.colorspace != V4L2_COLORSPACE_DEFAULT) colours.colorspace = said.colorspace;
    if (said.xferFunc != V4L2_XFER_FUNC_DEFAULT) colours.xferFunc = said.xferFunc;
    if (said.ycbcrEnc != V4L2_YCBCR_ENC_DEFAULT) colours.ycbcrEnc = said.ycbcrEnc;
    if (said.quantization != V4L2_QUANTIZATION_DEFAULT) colours.quantization = said.quantization;
}

void StatefulContext::followOutput() {
    const auto fitting = offered();
    const bool stays = std::ranges::find(fitting, captureFormat_.raw) != fitting.end();
    chosen_ = chosen_ && stays;
    wantedField_ = V4L2_FIELD_ANY;
    setCaptureFormat(stays ? *captureFormat_.raw : *fitting.front(), outputFormat_.width, outputFormat_.height);
}

void StatefulContext::chooseCaptureFormat(const v4l2::RawFormat& raw, uint32_t width, uint32_t height, uint32_t field) {
    chosen_ = true;
    wantedField_ = field;
    setCaptureFormat(raw, width, height);
}

void StatefulContext::setCaptureFormat(const v4l2::RawFormat& raw, uint32_t width, uint32_t height) {
    describeCapture();
    captureFormat_.raw = &raw;
    captureFormat_.layout = captureLayout(raw, width, height);
    const auto& layout = captureFormat_.layout;
    if (stream_) {
        captureFormat_.visible = stream_->visible;
        return;
    }
    // An odd size that the client knows from a container is rounded up for the buffers only.
    const auto container = captureLayout(raw, outputFormat_.width, outputFormat_.height);
    const bool same = container.width == layout.width && container.height == layout.height;
    captureFormat_.visible =
        same ? v4l2::Rect{0, 0, outputFormat_.width, outputFormat_.height} : v4l2::Rect{0, 0, layout.width, layout.height};
}

void StatefulContext::forgetStream() {
    if (strand_) DecodeStrand::retire(std::move(strand_));
    stream_.reset();
    setUp_.reset();
    untold_.reset();
    provisional_ = false;
    answersChange_ = false;
    on(DecoderEvent::Forget);
}

queue::PlaneSizes StatefulContext::planeSizes(const queue::Queue& queue) const {
    queue::PlaneSizes sizes;
    if (queue.isOutput()) {
        sizes.count = 1;
        sizes.bytes[0] = outputFormat_.sizeImage;
    } else {
        sizes.count = captureFormat_.layout.memoryPlanes;
        sizes.bytes = captureFormat_.layout.sizeImage;
    }
    return sizes;
}

bool StatefulContext::buffersSuit() const { return capture_.buffersHold(planeSizes(capture_)); }

void StatefulContext::sendSetup(bool provisional) {
    strand_->setUp({*stream_, captureFormat_.raw, captureFormat_.layout, provisional});
    setUp_ = stream_;
    provisional_ = provisional;
}

Result<> StatefulContext::startStreaming(queue::Queue& queue) {
    if (queue.isOutput()) {
        if (!strand_) {
            codec::StreamFormat placeholder;
            placeholder.codedWidth = captureFormat_.layout.width;
            placeholder.codedHeight = captureFormat_.layout.height;
            placeholder.visible = {0, 0, placeholder.codedWidth, placeholder.codedHeight};
            strand_ = std::make_unique<DecodeStrand>(resources_, outputFormat_.coded->codec, placeholder, session_,
                                                     static_cast<DecodeStrand::Listener&>(*this));
            const auto limit = resources_.limits.decodeTime;
            const auto period = std::max(limit / 4, std::chrono::milliseconds(10));
            if (limit > limit.zero() && !watch_) watch_ = resources_.loop.timer(period, period, [this] { watchDecoder(); });
        }
        // After a drain or a change of format, a seek is one of the ways to go on.
        if (state_ == DecoderState::Seek) capture_.clearLast();
        on(DecoderEvent::OutputOn);
        if (capture_.isStreaming()) bufferQueued(capture_);
        return {};
    }
    if (stream_ && strand_) {
        if (!buffersSuit()) {
            log::warn(
                "{}: STREAMON(CAPTURE): the buffers are too small for the {}x{} stream; free them with REQBUFS(0) and "
                "request them again after G_FMT",
                session_, stream_->codedWidth, stream_->codedHeight);
            return daedalus::fail(EINVAL);
        }
        // A client that has not seen the first source change yet may answer it by another setup: no frame may be lost then.
        sendSetup(!setUp_ && listener_.sourceChangeUnseen());
    }
    on(DecoderEvent::CaptureOn);
    answersChange_ = false;
    return {};
}

void StatefulContext::bufferQueued(queue::Queue& queue) {
    if (!strand_) return;
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
        untold_.reset();
        if (capture_.isStreaming()) takeBackChange();
        on(DecoderEvent::OutputOff);
        if (!capture_.isStreaming()) on(DecoderEvent::CaptureOff);
    } else {
        tellChange();
        if (strand_) strand_->returnOutputs();
        // The answer to the first source change: a drain that the client asked for before it knew goes on afterwards.
        if (std::exchange(provisional_, false)) on(DecoderEvent::ResolutionChanged);
        answersChange_ = isChanging();
        on(DecoderEvent::CaptureOff);
    }
}

void StatefulContext::bufferDequeued(queue::Queue& queue) {
    if (queue.isOutput()) return;
    if (std::exchange(provisional_, false)) strand_->accept();
    if (!capture_.hasDone()) tellChange();
}

void StatefulContext::queueChanged(queue::Queue&) { listener_.changed(); }

bool StatefulContext::streamsAlready(const CaptureFormat& before) const {
    const auto& layout = captureFormat_.layout;
    return capture_.isStreaming() && before.raw == captureFormat_.raw && before.layout.width == layout.width &&
           before.layout.height == layout.height && captureFormat_.visible == before.visible &&
           capture_.bufferCount() >= minCaptureBuffers();
}

const v4l2::RawFormat& StatefulContext::bestOf(std::span<const v4l2::RawFormat* const> fitting) const {
    const v4l2::RawFormat& current = *captureFormat_.raw;
    const v4l2::Fit fit = v4l2::fitOf(current, stream_->sampling());
    if (fit == v4l2::Fit::Exact || (chosen_ && fit == v4l2::Fit::Reduced)) return current;
    // Clients that choose before they know the stream may not know deeper formats at all (GStreamer 1.22).
    if (chosen_) {
        const auto sameDepth = std::ranges::find(fitting, current.bitDepth, &v4l2::RawFormat::bitDepth);
        if (sameDepth != fitting.end()) return **sameDepth;
    }
    return *fitting.front();
}

bool StatefulContext::adopt(const codec::StreamFormat& format) {
    const auto& limits = resources_.limits;
    if (format.codedWidth > limits.maxWidth || format.codedHeight > limits.maxHeight) {
        log::warn("{}: the stream is {}x{}, and {}x{} is the limit; raise --max-frame-size", session_, format.codedWidth,
                  format.codedHeight, limits.maxWidth, limits.maxHeight);
        stream_.reset();
        return false;
    }
    stream_ = format;
    const auto fitting = offered();
    if (fitting.empty()) {
        log::warn(
            "{}: no V4L2 pixel format holds this stream's pictures ({}, {} bits per sample); re-encode it, or decode it "
            "without this node",
            session_, v4l2::nameOf(format.chroma), format.bitDepth);
        stream_.reset();
        return false;
    }
    wantedField_ = V4L2_FIELD_ANY;
    setCaptureFormat(bestOf(fitting), format.codedWidth, format.codedHeight);
    return true;
}

bool StatefulContext::isChanging() const {
    return state_ == DecoderState::DynamicResolutionChange || state_ == DecoderState::DrainResolutionChange;
}

void StatefulContext::takeBackChange() {
    if (!isChanging() || !setUp_) return;
    if (adopt(*setUp_)) log::debug("{}: the seek gives up the change of format", session_);
}

void StatefulContext::streamFound(const codec::StreamFormat& format, uint64_t flushes) {
    if (flushes != strand_->flushes()) return;
    untold_ = format;
    // GStreamer 1.22 and FFmpeg stop CAPTURE as soon as they see the event, and with it what they have not dequeued.
    if (setUp_ && capture_.isStreaming() && capture_.hasDone()) return;
    tellChange();
}

void StatefulContext::tellChange() {
    const auto format = std::exchange(untold_, std::nullopt);
    if (!format) return;
    const CaptureFormat before = captureFormat_;
    if (!adopt(*format)) return failBoth();

    // Before any buffer that follows from it: a client that finds LAST looks for the event that explains it.
    listener_.sourceChanged();
    if (!setUp_ && streamsAlready(before)) {
        on(DecoderEvent::StreamMatches);
        sendSetup(true);
    } else if (capture_.isStreaming()) {
        on(DecoderEvent::ResolutionChanged);
        strand_->markLast();
    } else {
        on(DecoderEvent::SetupNeeded);
    }
}

void StatefulContext::streamDescribed(const codec::StreamFormat& format) {
    if (!stream_ || !stream_->sameSetup(format)) return;
    stream_ = format;
    describeCapture();
    listener_.streamDescribed();
}

void StatefulContext::endMarkFound(uint64_t flushes) {
    if (flushes == strand_->flushes()) on(DecoderEvent::EndMark);
}

bool StatefulContext::drained(uint64_t drainId) {
    const bool awaited = drainId == DecodeStrand::kMarkDrain || drainId == drainId_;
    if (!awaited || (state_ != DecoderState::Drain && state_ != DecoderState::EndOfStream)) return false;
    on(DecoderEvent::Drained);
    listener_.endOfStream();
    return true;
}

void StatefulContext::failed(Errno, uint64_t flushes) {
    if (strand_ && flushes == strand_->flushes()) failBoth();
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
    if (state_ == DecoderState::Drain || state_ == DecoderState::DrainResolutionChange) return daedalus::fail(EBUSY);
    // GStreamer answers a source change in one thread and may end the stream in another meanwhile, once.
    const bool captureReady = capture_.isStreaming() || answersChange_;
    if (!output_.isStreaming() || !captureReady || state_ == DecoderState::Stopped) return {};
    on(DecoderEvent::Stop);
    strand_->drain(++drainId_);
    return {};
}

Result<> StatefulContext::start() {
    if (state_ == DecoderState::Drain || state_ == DecoderState::EndOfStream) return daedalus::fail(EBUSY);
    // A drain that met a change of format goes on by START, as long as CAPTURE was not stopped for the change.
    if (state_ == DecoderState::DrainResolutionChange && !capture_.isStreaming()) return daedalus::fail(EBUSY);
    if (isChanging()) {
        if (!buffersSuit()) return daedalus::fail(EINVAL);
        sendSetup();
    } else if (state_ == DecoderState::Stopped) {
        strand_->resume();
    }
    capture_.clearLast();
    on(DecoderEvent::Start);
    listener_.changed();
    return {};
}

}  // namespace daedalus::m2m
