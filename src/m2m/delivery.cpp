#include "delivery.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "daedalus/base/log.h"
#include "daedalus/v4l2/frame_flags.h"

namespace daedalus::m2m {
namespace {

uint32_t frameFlag(codec::PictureType type) {
    switch (type) {
        case codec::PictureType::Key:
            return V4L2_BUF_FLAG_KEYFRAME;
        case codec::PictureType::P:
            return V4L2_BUF_FLAG_PFRAME;
        case codec::PictureType::B:
            return V4L2_BUF_FLAG_BFRAME;
        case codec::PictureType::Unknown:
            break;
    }
    return 0;
}

}  // namespace

LastBuffer::~LastBuffer() {
    if (!buffer_) return;
    if (outcome_.bytesUsed[0] > 0 || outcome_.error)
        buffer_->done(outcome_);
    else
        buffer_->giveBack();
}

void LastBuffer::deliver() {
    outcome_.last = true;
    buffer_->done(outcome_);
    buffer_.reset();
}

Delivery::Delivery(const Resources& resources, v4l2::Codec codec, std::string session, CallWatch& watch, Reports reports)
    : codec_(codec), session_(std::move(session)), clock_(resources.clock), watch_(watch), reports_(std::move(reports)) {}

void Delivery::accept() {
    given_.clear();
    if (setup_) setup_->keepsFrames = false;
}

void Delivery::takeBack() {
    ready_.insert(ready_.begin(), std::move_iterator(given_.begin()), std::move_iterator(given_.end()));
    given_.clear();
    setup_.reset();
}

void Delivery::returnOutputs() {
    for (auto& output : outputs_) output.giveBack();
    outputs_.clear();
}

const codec::StreamFormat* Delivery::nextIsOfAnother() const {
    const codec::Frame* frame = ready_.front().frame();
    return frame && (!setup_ || !frame->format().sameSetup(setup_->stream)) ? &frame->format() : nullptr;
}

void Delivery::flush() {
    for (auto& item : ready_)
        if (item.input) item.input->giveBack();
    ready_.clear();
    given_.clear();
}

void Delivery::close() {
    ready_.clear();
    given_.clear();
    returnOutputs();
}

queue::ActiveBuffer Delivery::takeOutput() {
    auto buffer = std::move(outputs_.front());
    outputs_.pop_front();
    return buffer;
}

void Delivery::deliver() {
    auto filled = fillNext();
    if (!filled.input) return filled.buffer.done(filled.outcome);
    queue::ActiveBuffer::doneTogether(std::move(filled.buffer), filled.outcome, *std::move(filled.input), {});
}

LastBuffer Delivery::deliverLast() {
    auto filled = fillNext();
    if (filled.input) filled.input->done({});
    return {std::move(filled.buffer), filled.outcome};
}

LastBuffer Delivery::emptyLast() {
    queue::Outcome outcome;
    if (setup_) outcome.field = setup_->stream.field();
    return {takeOutput(), outcome};
}

void Delivery::endEpoch(uint32_t field) {
    queue::Outcome outcome;
    outcome.last = true;
    outcome.field = field;
    takeOutput().done(outcome);
}

Delivery::Filled Delivery::fillNext() {
    Item item = std::move(ready_.front());
    ready_.pop_front();
    Filled filled{takeOutput(), {}, std::exchange(item.input, std::nullopt)};
    filled.outcome.metadata = item.metadata;
    if (const codec::Frame* frame = item.frame()) {
        describe(frame->format());
        fill(item, *frame, filled.buffer, filled.outcome);
    } else {
        filled.outcome.error = true;
        filled.outcome.field = setup_->stream.field();
    }
    if (setup_->keepsFrames) given_.push_back(std::move(item));
    return filled;
}

void Delivery::describe(const codec::StreamFormat& format) {
    if (setup_->stream == format) return;
    setup_->stream = format;
    reports_.post([epoch = setup_->epoch, format](auto& listener) { listener.streamDescribed(epoch, format); });
}

void Delivery::fill(const Item& item, const codec::Frame& frame, queue::ActiveBuffer& buffer, queue::Outcome& outcome) {
    outcome.error = frame.damaged();
    outcome.field = frame.format().field();
    if (const uint32_t flag = frameFlag(frame.pictureType()))
        outcome.metadata.flags = (item.metadata.flags & ~v4l2::kFrameFlags) | flag;

    const auto began = clock_.now();
    if (auto ok = convert(frame, buffer, outcome); !ok) {
        log::warn("{}: a frame cannot be written to CAPTURE buffer {}: {}", session_, buffer.index(),
                  std::strerror(ok.error().value));
        outcome.error = true;
    }
    const auto decodeTime = watch_.takeBusyTime();
    if (spdlog::should_log(spdlog::level::debug)) logFrame(frame, decodeTime, clock_.now() - began);
}

Result<> Delivery::convert(const codec::Frame& frame, queue::ActiveBuffer& buffer, queue::Outcome& outcome) {
    codec::CaptureTarget target{setup_->raw, setup_->layout, {}};
    const auto planes = buffer.planes();
    size_t scratchSize = 0;
    for (uint32_t i = 0; i < setup_->layout.memoryPlanes; ++i) {
        if (i >= planes.size() || planes[i].length < setup_->layout.sizeImage[i]) return daedalus::fail(EINVAL);
        if (planes[i].memory->bytes().empty()) scratchSize += setup_->layout.sizeImage[i];
    }
    scratch_.resize(std::max(scratch_.size(), scratchSize));
    size_t scratchUsed = 0;
    for (uint32_t i = 0; i < setup_->layout.memoryPlanes; ++i) {
        const size_t size = setup_->layout.sizeImage[i];
        const auto mapped = planes[i].memory->bytes();
        target.planes[i] = mapped.empty() ? std::span(scratch_).subspan(std::exchange(scratchUsed, scratchUsed + size), size)
                                          : mapped.first(size);
    }
    if (auto ok = frame.copyTo(target); !ok) return ok;
    for (uint32_t i = 0; i < setup_->layout.memoryPlanes; ++i) {
        if (planes[i].memory->bytes().empty())
            if (auto ok = planes[i].memory->write(0, target.planes[i]); !ok) return ok;
        outcome.bytesUsed[i] = setup_->layout.sizeImage[i];
    }
    return {};
}

void Delivery::logFrame(const codec::Frame& frame, std::chrono::nanoseconds decodeTime, std::chrono::nanoseconds convertTime) {
    using Microseconds = std::chrono::duration<double, std::micro>;
    const auto& format = frame.format();
    log::debug("{}: frame {} {}x{} visible {}x{}+{}+{} {} fnv1a {:016x} decode {:.0f} us convert {:.0f} us{}", session_,
               v4l2::findCoded(codec_)->name, format.codedWidth, format.codedHeight, format.visible.width,
               format.visible.height, format.visible.left, format.visible.top, frame.pixelFormatName(), frame.digest(),
               Microseconds(decodeTime).count(), Microseconds(convertTime).count(), frame.damaged() ? " damaged" : "");
}

}  // namespace daedalus::m2m
