// From decoded frames to CAPTURE buffers.
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstring>

#include "daedalus/base/log.h"
#include "daedalus/m2m/decode_strand.h"
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

bool DecodeStrand::deliver() {
    if (emptyLast_ != EmptyLast::None) {
        if (outputs_.empty()) return false;
        auto buffer = std::move(outputs_.front());
        outputs_.pop_front();
        const queue::Outcome empty = emptyOutcome(false, true);
        if (std::exchange(emptyLast_, EmptyLast::None) == EmptyLast::Drain) {
            give(std::move(buffer), empty);
        } else {
            buffer.done(empty);
        }
        return true;
    }
    if (ready_.empty() || (looksAhead() && ready_.size() < 2)) return false;
    auto* frame = std::get_if<std::unique_ptr<codec::Frame>>(&ready_.front());
    if (frame && (!setup_ || !(*frame)->format().sameSetup(setup_->stream))) {
        announce((*frame)->format());
        return false;
    }
    if (awaitsSetup() || outputs_.empty()) return false;

    Item item = std::move(ready_.front());
    ready_.pop_front();
    auto buffer = std::move(outputs_.front());
    outputs_.pop_front();
    const bool last = drain_ == DrainPhase::Ended && ready_.empty();
    if (const auto* picture = std::get_if<std::unique_ptr<codec::Frame>>(&item)) {
        describe((*picture)->format());
        fill(**picture, std::move(buffer), last);
    } else {
        queue::Outcome damage = emptyOutcome(true, last);
        damage.metadata = metadataOf(std::get<codec::Damaged>(item).tag);
        give(std::move(buffer), damage);
    }
    if (setup_->provisional) given_.push_back(std::move(item));
    if (drain_ == DrainPhase::Abandoned && ready_.empty() && !mayReceive_) endDrain();
    return true;
}

queue::Outcome DecodeStrand::emptyOutcome(bool error, bool last) const {
    queue::Outcome outcome;
    outcome.error = error;
    outcome.last = last;
    if (described_) outcome.field = described_->field();
    return outcome;
}

void DecodeStrand::give(queue::ActiveBuffer buffer, const queue::Outcome& outcome) {
    auto input = std::exchange(heldInput_, std::nullopt);
    if (!outcome.last) {
        if (!input) return buffer.done(outcome);
        return queue::ActiveBuffer::doneTogether(std::move(buffer), outcome, *std::move(input), {});
    }
    if (input) input->done({});
    drain_ = DrainPhase::Stopped;
    // A client that hears of the end first may not look for the frame, and one that has LAST looks for the event.
    post([id = drainId_, last = std::make_shared<queue::ActiveBuffer>(std::move(buffer)), outcome](Listener& listener) {
        if (listener.drained(id)) return last->done(outcome);
        queue::Outcome frame = outcome;
        frame.last = false;
        if (frame.bytesUsed[0] > 0 || frame.error) return last->done(frame);
        last->giveBack();
    });
}

void DecodeStrand::fill(const codec::Frame& frame, queue::ActiveBuffer buffer, bool last) {
    queue::Outcome outcome;
    outcome.last = last;
    outcome.error = frame.damaged();
    outcome.field = frame.format().field();
    outcome.metadata = metadataOf(frame.tag());
    if (const uint32_t flag = frameFlag(frame.pictureType()))
        outcome.metadata.flags = (outcome.metadata.flags & ~v4l2::kFrameFlags) | flag;

    const auto began = std::chrono::steady_clock::now();
    if (auto ok = convert(frame, buffer, outcome); !ok) {
        log::warn("{}: a frame cannot be written to CAPTURE buffer {}: {}", session_, buffer.index(),
                  std::strerror(ok.error().value));
        outcome.error = true;
    }
    if (spdlog::should_log(spdlog::level::debug)) logFrame(frame, std::chrono::steady_clock::now() - began);
    decodeTime_ = {};
    give(std::move(buffer), outcome);
}

Result<> DecodeStrand::convert(const codec::Frame& frame, queue::ActiveBuffer& buffer, queue::Outcome& outcome) {
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

void DecodeStrand::logFrame(const codec::Frame& frame, std::chrono::nanoseconds convertTime) {
    using Microseconds = std::chrono::duration<double, std::micro>;
    const auto& format = frame.format();
    log::debug("{}: frame {} {}x{} visible {}x{}+{}+{} {} fnv1a {:016x} decode {:.0f} us convert {:.0f} us{}", session_,
               v4l2::findCoded(codec_)->name, format.codedWidth, format.codedHeight, format.visible.width,
               format.visible.height, format.visible.left, format.visible.top, frame.pixelFormatName(), frame.digest(),
               Microseconds(decodeTime_).count(), Microseconds(convertTime).count(), frame.damaged() ? " damaged" : "");
}

}  // namespace daedalus::m2m
