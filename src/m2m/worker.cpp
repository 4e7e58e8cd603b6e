#include "worker.h"

#include <cstring>
#include <new>
#include <utility>

#include "daedalus/base/log.h"

namespace daedalus::m2m {

using phase::DrainBy;

Worker::Worker(const Resources& resources, v4l2::Codec codec, const std::string& session, CallWatch& watch,
               const Reports& reports)
    : session_(session),
      memory_(resources.memory),
      watch_(watch),
      reports_(reports),
      intake_(resources, codec, session, watch),
      converter_(resources, codec, session),
      delivery_(watch, reports, converter_) {
    converter_.onMemoryGone([reports] { reports.post([](auto& listener) { listener.failed(Errno{EIO}); }); });
}

template <class Work>
void Worker::guarded(const Work& work) {
    try {
        work();
    } catch (const std::bad_alloc&) {
        fail(Errno{ENOMEM}, "the daemon is out of memory");
    }
}

Strand::Step Worker::step(std::deque<Message> messages) {
    // Each for itself: one that found no memory takes no other along, on which a STREAMOFF may wait.
    for (auto& message : messages) guarded([&] { hear(message); });
    bool more = false;
    guarded([&] {
        more = deliver() || decode();
        if (!more && is<phase::Running>() && intake_.runsDry())
            reports_.postOfStream(heard_, [](auto& listener) { listener.starved(); });
    });
    noticeGivenUp();
    return more && !is<phase::WrittenOff>() ? Strand::Step::More : Strand::Step::Idle;
}

void Worker::hear(Message& message) {
    // What a worker that was written off still hears is for the session's buffers of before.
    if (is<phase::WrittenOff>() && !std::holds_alternative<message::Close>(message)) return;
    std::visit([this](auto& heard) { handle(heard); }, message);
    noticeGivenUp();
}

void Worker::noticeGivenUp() {
    if (!watch_.givenUp() || is<phase::WrittenOff>() || isClosed()) return;
    log::info("{}: the decoder that was given up came back", session_);
    phase_ = phase::WrittenOff{};
}

void Worker::handle(message::SetUp& setUp) {
    heard_ = setUp.moment;
    delivery_.setUp(setUp.setup);
    if (const auto* awaiting = std::get_if<phase::AwaitingEpoch>(&phase_)) {
        const auto then = awaiting->then;
        std::visit([this](const auto& goesOn) { phase_ = goesOn; }, then);
    } else if (const auto* drained = std::get_if<phase::Drained>(&phase_)) {
        endDrain(drained->by);
    }
}

void Worker::handle(message::MarkLast& mark) {
    if (auto* awaiting = std::get_if<phase::AwaitingEpoch>(&phase_)) awaiting->lastField = mark.field;
}

void Worker::handle(message::Resume&) {
    if (const auto* drained = std::get_if<phase::Drained>(&phase_)) endDrain(drained->by);
}

void Worker::handle(message::Flush& flush) {
    heard_ = flush.moment;
    // The client learns of the seek by these, and no frame that is on its way may come after them.
    afterDelivery([inputs = std::make_shared<Intake::Returned>(intake_.flush())] {
        for (auto& input : *inputs) input.giveBack();
    });
    delivery_.flush();
    // A change of format that the client has not answered is found again where the stream goes on.
    phase_ = phase::Running{};
}

void Worker::handle(message::ReturnOutputs& stopped) {
    heard_ = stopped.moment;
    delivery_.returnOutputs();
    if (auto* awaiting = std::get_if<phase::AwaitingEpoch>(&phase_)) awaiting->lastField.reset();
    if (stopped.stop == CaptureStop::TakeBack) takeBack();
    if (stopped.stop == CaptureStop::Plain) giveUpDrain();
}

void Worker::giveUpDrain() {
    intake_.dropDrains();
    const auto without = phase::withoutDrain(phase_);
    phase_ = without.phase;
    if (without.ended) goOn(*without.ended);
}

void Worker::takeBack() {
    delivery_.takeBack();
    // The loop has overtaken what it heard of that mark.
    if (phase::endedDrain(phase_) == DrainBy::Mark)
        reports_.postOfDrain(heard_, [](auto& listener) { listener.endMarkFound(); });
    phase_ = phase::awaitingEpoch(phase_);
}

void Worker::handle(message::Close&) {
    // The codec may take a while to close: here, not on the loop thread.
    intake_.close();
    delivery_.close();
    phase_ = phase::Closed{};
}

void Worker::found(const codec::StreamFormat& format) {
    phase_ = phase::awaitingEpoch(phase_);
    reports_.postOfFormat(heard_, [format](auto& listener) { listener.streamFound(format); });
}

bool Worker::deliver() {
    if (auto* awaiting = std::get_if<phase::AwaitingEpoch>(&phase_)) {
        if (!awaiting->lastField || !delivery_.hasOutput()) return false;
        delivery_.endEpoch(*std::exchange(awaiting->lastField, std::nullopt));
        return true;
    }
    const auto* pending = std::get_if<phase::LastPending>(&phase_);
    if (!pending && !is<phase::Running>() && !is<phase::Draining>()) return false;
    if (delivery_.ready() == 0) {
        if (!pending || !delivery_.hasOutput()) return false;
        delivery_.emptyLast(finish());
        return true;
    }
    if (looksAhead() && delivery_.ready() < 2) return false;
    if (const auto* another = delivery_.nextIsOfAnother()) {
        found(*another);
        return false;
    }
    if (!delivery_.hasOutput()) return false;
    if (pending && delivery_.ready() == 1) {
        delivery_.deliverLast(finish());
    } else {
        delivery_.deliver();
    }
    return true;
}

Delivery::Last Worker::finish() {
    phase_ = phase::Drained{std::get<phase::LastPending>(phase_).by};
    return [reports = reports_, heard = heard_](LastBuffer last) {
        // A client that hears of the end first may not look for the frame, and one that has LAST looks for the event.
        reports.postOfDrain(heard, [shared = std::make_shared<LastBuffer>(std::move(last))](auto& listener) {
            listener.drained(std::move(*shared));
        });
    };
}

bool Worker::looksAhead() const {
    if (const auto* draining = std::get_if<phase::Draining>(&phase_)) return draining->by != DrainBy::Nobody;
    return is<phase::Running>() && intake_.drainIsNext();
}

bool Worker::decode() {
    if (!is<phase::Running>() && !is<phase::Draining>()) return false;
    const size_t enough = looksAhead() ? 2 : 1;
    if (delivery_.ready() >= enough) return false;
    // What stands behind a drain tells nothing.
    const bool nextTells = is<phase::Running>() && intake_.nextTellsOfFirst(delivery_.isSetUp());
    if (intake_.mayReceive() && !nextTells && !intake_.hasBetterThanSettling()) return receive();
    if (intake_.isEmpty()) return false;
    if (intake_.drainIsNext()) return beginDrain();
    feed();
    return true;
}

void Worker::feed() {
    const auto shown = intake_.feed(delivery_.isSetUp());
    if (!shown) return fail(shown.error(), "the decoder failed");
    if (const auto* format = std::get_if<codec::StreamFormat>(&*shown)) {
        found(*format);
    } else if (std::holds_alternative<Intake::HeadersMissing>(*shown)) {
        phase_ = phase::awaitingEpoch(phase_);
        reports_.postOfFormat(heard_, [](auto& listener) { listener.headersMissing(); });
    }
    intake_.giveBack(delivery_.isSetUp());
}

bool Worker::receive() {
    auto received = intake_.receive(delivery_.isSetUp());
    if (!received) {
        fail(received.error(), "the decoder failed");
        return false;
    }
    if (auto* item = std::get_if<Item>(&*received)) delivery_.put(std::move(*item));
    if (std::holds_alternative<codec::EndOfStream>(*received)) codecEnded();
    return true;
}

bool Worker::beginDrain() {
    const auto began = intake_.drain();
    if (!began) {
        fail(began.error(), "the decoder cannot be drained");
        return false;
    }
    phase_ = *began ? Phase(phase::Draining{DrainBy::Command}) : Phase(phase::LastPending{DrainBy::Command});
    return true;
}

void Worker::codecEnded() {
    if (const auto* draining = std::get_if<phase::Draining>(&phase_)) {
        if (draining->by == DrainBy::Nobody) return endDrain(DrainBy::Nobody);
        phase_ = phase::LastPending{draining->by};
        return;
    }
    // Before CAPTURE is set up there is no buffer that could tell of a mark; a drain that was asked for tells of its own end.
    if (!delivery_.isSetUp() || intake_.hasDrain()) return;
    phase_ = phase::LastPending{DrainBy::Mark};
    reports_.postOfDrain(heard_, [](auto& listener) { listener.endMarkFound(); });
}

void Worker::endDrain(DrainBy by) {
    phase_ = phase::Running{};
    goOn(by);
}

void Worker::goOn(DrainBy by) {
    // A drain that the client asked for before it knew of a mark was answered by the same LAST.
    if (by == DrainBy::Mark) return intake_.passMark();
    intake_.resume();
}

void Worker::fail(Errno error, const char* reason) {
    if (watch_.givenUp() || is<phase::Failed>()) return;
    phase_ = phase::Failed{};
    log::warn("{}: {}: {}; the session answers EIO until its queues are stopped", session_, reason, std::strerror(error.value));
    if (error.value == ENOMEM && memory_)
        log::info("{}: {} of its {} MiB are in use; --session-memory sets how many it may have", session_,
                  memory_->used() >> 20, memory_->limit() >> 20);
    reports_.postOfStream(heard_, [error](auto& listener) { listener.failed(error); });
}

}  // namespace daedalus::m2m
