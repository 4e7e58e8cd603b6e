#include "delivery.h"

#include <iterator>
#include <utility>

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

void Delivery::deliverLast(Last last) {
    auto handout = next();
    handout.last = std::move(last);
    converter_.hand(std::move(handout));
}

void Delivery::emptyLast(Last last) {
    Handout handout{.buffer = takeOutput(), .outcome = {}, .last = std::move(last)};
    if (setup_) handout.outcome.field = setup_->stream.field();
    converter_.hand(std::move(handout));
}

void Delivery::endEpoch(uint32_t field) {
    Handout handout{.buffer = takeOutput(), .outcome = {}};
    handout.outcome.last = true;
    handout.outcome.field = field;
    converter_.hand(std::move(handout));
}

Handout Delivery::next() {
    Item item = std::move(ready_.front());
    ready_.pop_front();
    Handout handout{.buffer = takeOutput(), .outcome = {}, .input = std::exchange(item.input, std::nullopt)};
    handout.outcome.metadata = item.metadata;
    if (const codec::Frame* frame = item.frame()) {
        picture(*frame, handout);
        handout.frame = std::get<std::shared_ptr<const codec::Frame>>(item.content);
    } else {
        handout.outcome.error = true;
        handout.outcome.field = setup_->stream.field();
    }
    if (setup_->keepsFrames) given_.push_back(std::move(item));
    return handout;
}

void Delivery::picture(const codec::Frame& frame, Handout& handout) {
    if (setup_->stream != frame.format()) {
        setup_->stream = frame.format();
        handout.before = [reports = reports_, epoch = setup_->epoch, format = frame.format()] {
            reports.post([epoch, format](auto& listener) { listener.streamDescribed(epoch, format); });
        };
    }
    handout.raw = setup_->raw;
    handout.layout = setup_->layout;
    handout.decodeTime = watch_.takeBusyTime();
    handout.outcome.error = frame.damaged();
    handout.outcome.field = frame.format().field();
    if (const uint32_t flag = frameFlag(frame.pictureType())) {
        auto& flags = handout.outcome.metadata.flags;
        flags = (flags & ~v4l2::kFrameFlags) | flag;
    }
}

}  // namespace daedalus::m2m
