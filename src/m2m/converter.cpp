#include "converter.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <numeric>
#include <utility>

#include "daedalus/base/log.h"

namespace daedalus::m2m {

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

Converter::Converter(const Resources& resources, v4l2::Codec codec, std::string session)
    : codec_(codec),
      session_(std::move(session)),
      clock_(resources.clock),
      pool_(resources.pool),
      worthBytes_(resources.conversionWorthAThread),
      strand_(resources.pool, [this] { return step(); }) {}

bool Converter::isWorthAnotherThread(const Handout& handout) const {
    if (!handout.frame || pool_.threads() < 2) return false;
    const auto& sizes = handout.layout.sizeImage;
    const size_t bytes = std::accumulate(sizes.begin(), sizes.begin() + handout.layout.memoryPlanes, size_t{0});
    return bytes >= worthBytes_ && pool_.hasFreeThread();
}

void Converter::hand(Handout handout) {
    if (onTheirWay_ == 0 && !isWorthAnotherThread(handout)) return run(std::move(handout));
    put(std::move(handout));
}

void Converter::after(std::function<void()> call) {
    if (onTheirWay_ == 0) return call();
    put(std::move(call));
}

void Converter::put(Job job) {
    ++onTheirWay_;
    jobs_.push(std::move(job));
    strand_.wake();
}

Strand::Step Converter::step() {
    auto job = jobs_.pop();
    if (!job) return Strand::Step::Idle;
    if (auto* handout = std::get_if<Handout>(&*job)) {
        run(std::move(*handout));
        const size_t before = onTheirWay_.fetch_sub(1);
        if (before == kMost && decoder_) decoder_->wake();
        return before > 1 ? Strand::Step::More : Strand::Step::Idle;
    }
    const auto call = std::get<std::function<void()>>(std::move(*job));
    const size_t before = onTheirWay_.fetch_sub(1);
    if (before == kMost && decoder_) decoder_->wake();
    // Nothing of this object may be used after it.
    call();
    return before > 1 ? Strand::Step::More : Strand::Step::Idle;
}

void Converter::run(Handout handout) {
    if (handout.frame) convert(handout);
    if (handout.before) handout.before();
    if (handout.last) {
        if (handout.input) handout.input->done({});
        return handout.last({std::move(handout.buffer), handout.outcome});
    }
    if (!handout.input) return handout.buffer.done(handout.outcome);
    queue::ActiveBuffer::doneTogether(std::move(handout.buffer), handout.outcome, *std::move(handout.input), {});
}

void Converter::convert(Handout& handout) {
    const auto began = clock_.now();
    if (auto ok = write(handout); !ok) {
        log::warn("{}: a frame cannot be written to CAPTURE buffer {}: {}", session_, handout.buffer.index(),
                  std::strerror(ok.error().value));
        handout.outcome.error = true;
    }
    if (spdlog::should_log(spdlog::level::debug)) logFrame(handout, clock_.now() - began);
}

Result<> Converter::write(Handout& handout) {
    codec::CaptureTarget target{handout.raw, handout.layout, {}};
    const auto planes = handout.buffer.planes();
    const auto& sizes = handout.layout.sizeImage;
    size_t scratchSize = 0;
    for (uint32_t i = 0; i < handout.layout.memoryPlanes; ++i) {
        if (i >= planes.size() || planes[i].length < sizes[i]) return daedalus::fail(EINVAL);
        if (planes[i].memory->bytes().empty()) scratchSize += sizes[i];
    }
    try {
        scratch_.resize(std::max(scratch_.size(), scratchSize));
        size_t scratchUsed = 0;
        for (uint32_t i = 0; i < handout.layout.memoryPlanes; ++i) {
            const auto mapped = planes[i].memory->bytes();
            target.planes[i] = mapped.empty()
                                   ? std::span(scratch_).subspan(std::exchange(scratchUsed, scratchUsed + sizes[i]), sizes[i])
                                   : mapped.first(sizes[i]);
        }
        if (auto ok = handout.frame->copyTo(target); !ok) return ok;
        // What is not there any more ends the session: it did not fail to be written, it was pulled away.
        const auto isIntact = [](const queue::ActivePlane& plane) { return plane.memory->isIntact(); };
        if (!std::ranges::all_of(planes, isIntact)) {
            if (memoryGone_) memoryGone_();
            return daedalus::fail(EIO);
        }
    } catch (const std::bad_alloc&) {
        return daedalus::fail(ENOMEM);
    }
    for (uint32_t i = 0; i < handout.layout.memoryPlanes; ++i) {
        if (planes[i].memory->bytes().empty())
            if (auto ok = planes[i].memory->write(0, target.planes[i]); !ok) return ok;
        handout.outcome.bytesUsed[i] = sizes[i];
    }
    return {};
}

void Converter::logFrame(const Handout& handout, std::chrono::nanoseconds convertTime) {
    using Microseconds = std::chrono::duration<double, std::micro>;
    const codec::Frame& frame = *handout.frame;
    const auto& format = frame.format();
    log::debug("{}: frame {} {}x{} visible {}x{}+{}+{} {} fnv1a {:016x} decode {:.0f} us convert {:.0f} us{}", session_,
               v4l2::findCoded(codec_)->name, format.codedWidth, format.codedHeight, format.visible.width,
               format.visible.height, format.visible.left, format.visible.top, frame.pixelFormatName(), frame.digest(),
               Microseconds(handout.decodeTime).count(), Microseconds(convertTime).count(), frame.damaged() ? " damaged" : "");
}

}  // namespace daedalus::m2m
