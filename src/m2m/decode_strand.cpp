// Messages, and what the worker does next. Filling CAPTURE buffers is in delivery.cpp.
#include "daedalus/m2m/decode_strand.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <new>
#include <utility>

#include "daedalus/base/log.h"
#include "link.h"

namespace daedalus::m2m {
namespace {

/// More access units than any decoder holds back; what is older will not come out any more.
constexpr size_t kRememberedUnits = 512;

/// DecodeStrand::busySince_ of a strand that was written off.
constexpr int64_t kWrittenOff = -1;

int64_t steadyNs() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

DecodeStrand::DecodeStrand(Resources resources, v4l2::Codec codec, const codec::StreamFormat& placeholder, std::string session,
                           Listener& listener)
    : resources_(std::move(resources)),
      codec_(codec),
      placeholder_(placeholder),
      session_(std::move(session)),
      decoderOptions_(resources_.decoderOptions()),
      link_(std::make_shared<Link>(&listener)),
      strand_(resources_.pool, [this] { return step(); }) {}

DecodeStrand::~DecodeStrand() = default;

void DecodeStrand::retire(std::unique_ptr<DecodeStrand> strand) {
    auto* raw = strand.get();
    raw->link_->listener = nullptr;
    if (const auto graveyard = raw->resources_.graveyard.lock()) {
        graveyard->emplace(raw, std::move(strand));
        raw->send(Quit{});
    }
}

void DecodeStrand::send(Message message) {
    mailbox_.push(std::move(message));
    strand_.wake();
}

void DecodeStrand::post(std::function<void(Listener&)> call) {
    resources_.loop.post([link = link_, call = std::move(call)] {
        if (link->listener) call(*link->listener);
    });
}

Strand::Step DecodeStrand::step() {
    for (auto& message : mailbox_.takeAll()) std::visit([this](auto& m) { handle(m); }, message);
    if (quit_) {
        // Closing the codec may take a while: here, not on the loop thread.
        inputs_.clear();
        heldInput_.reset();
        ready_.clear();
        given_.clear();
        decoder_.reset();
        while (!outputs_.empty()) {
            outputs_.front().giveBack();
            outputs_.pop_front();
        }
        resources_.loop.post([graveyard = resources_.graveyard, self = this] {
            if (const auto alive = graveyard.lock()) alive->erase(self);
        });
        quit_ = false;
        failed_ = true;
        return Strand::Step::Idle;
    }
    if (failed_) return Strand::Step::Idle;
    try {
        return deliver() || fetch() ? Strand::Step::More : Strand::Step::Idle;
    } catch (const std::bad_alloc&) {
        if (busySince_.exchange(0) == kWrittenOff) failed_ = true;
        fail(Errno{ENOMEM}, "the daemon is out of memory");
        return Strand::Step::Idle;
    }
}

bool DecodeStrand::writeOffIfStuck() {
    const auto limit = std::chrono::nanoseconds(resources_.limits.decodeTime).count();
    int64_t since = busySince_;
    if (since <= 0 || steadyNs() - since <= limit) return false;
    if (!busySince_.compare_exchange_strong(since, kWrittenOff)) return false;
    strand_.replaceWorker();
    return true;
}

template <class Call>
auto DecodeStrand::timed(const Call& call) -> decltype(call()) {
    const int64_t began = steadyNs();
    busySince_ = began;
    auto result = call();
    decodeTime_ += std::chrono::nanoseconds(steadyNs() - began);
    if (busySince_.exchange(0) != kWrittenOff) return result;
    failed_ = true;
    log::info("{}: the decoder that was given up came back after {} ms", session_, (steadyNs() - began) / 1'000'000);
    return daedalus::fail(ECANCELED);
}

void DecodeStrand::handle(Input& message) { inputs_.emplace_back(std::move(message.buffer)); }

void DecodeStrand::handle(Output& message) { outputs_.push_back(std::move(message.buffer)); }

void DecodeStrand::handle(CaptureSetup& message) {
    setup_ = message;
    announced_ = message.stream;
    emptyLast_ = emptyLast_ == EmptyLast::SourceChange ? EmptyLast::None : emptyLast_;
    if (drain_ == DrainPhase::Stopped) endDrain();
}

void DecodeStrand::handle(MarkLast&) { emptyLast_ = EmptyLast::SourceChange; }

void DecodeStrand::handle(DrainMark& message) { inputs_.emplace_back(message); }

void DecodeStrand::handle(Resume&) {
    if (drain_ == DrainPhase::Stopped) endDrain();
}

void DecodeStrand::handle(Flush&) {
    while (!inputs_.empty()) {
        if (auto* buffer = std::get_if<queue::ActiveBuffer>(&inputs_.front())) buffer->giveBack();
        inputs_.pop_front();
    }
    if (heldInput_) heldInput_->giveBack();
    heldInput_.reset();
    ready_.clear();
    given_.clear();
    metadata_.clear();
    emptyLast_ = EmptyLast::None;
    drain_ = DrainPhase::None;
    mayReceive_ = false;
    fed_ = 0;
    failed_ = false;
    ++flushesSeen_;
    // A change of format that the client has not answered is given up: it is found again where the stream goes on.
    announced_ = setup_ ? std::optional(setup_->stream) : std::nullopt;
    if (decoder_) decoder_->flush();
}

void DecodeStrand::handle(Accept&) {
    given_.clear();
    if (setup_) setup_->provisional = false;
}

void DecodeStrand::takeGivenBack() {
    ready_.insert(ready_.begin(), std::move_iterator(given_.begin()), std::move_iterator(given_.end()));
    given_.clear();
    setup_.reset();
    if (drain_ != DrainPhase::Stopped && drain_ != DrainPhase::Ended) return;
    // LAST goes behind the frames that are given again, whether it was delivered already or was about to be.
    drain_ = DrainPhase::Ended;
    emptyLast_ = ready_.empty() ? EmptyLast::Drain : EmptyLast::None;
}

void DecodeStrand::handle(ReturnOutputs&) {
    while (!outputs_.empty()) {
        outputs_.front().giveBack();
        outputs_.pop_front();
    }
    if (setup_ && setup_->provisional) takeGivenBack();
    emptyLast_ = emptyLast_ == EmptyLast::SourceChange ? EmptyLast::None : emptyLast_;
    // A client that sets CAPTURE up for a new format in the middle of a drain wants the drain to go on.
    if (awaitsSetup()) return;
    dropDrainMarks();
    switch (drain_) {
        case DrainPhase::Draining:
            drain_ = DrainPhase::Abandoned;
            break;
        case DrainPhase::Ended:
            drain_ = DrainPhase::Abandoned;
            if (ready_.empty() || drainId_ == kMarkDrain) endDrain();
            break;
        case DrainPhase::Stopped:
            endDrain();
            break;
        case DrainPhase::None:
        case DrainPhase::Abandoned:
            break;
    }
}

void DecodeStrand::handle(Quit&) { quit_ = true; }

bool DecodeStrand::headerless() const { return setup_ && !sawFrame_ && headerlessBytes_ >= kPatienceBytes; }

bool DecodeStrand::awaitsSetup() const { return announced_ && (!setup_ || !announced_->sameSetup(setup_->stream)); }

void DecodeStrand::announce(const codec::StreamFormat& format) {
    if (announced_ && awaitsSetup() && announced_->sameSetup(format)) return;
    announced_ = format;
    described_ = format;
    post([format, flushes = flushesSeen_](Listener& listener) { listener.streamFound(format, flushes); });
}

void DecodeStrand::describe(const codec::StreamFormat& format) {
    if (described_ == format) return;
    described_ = format;
    post([format](Listener& listener) { listener.streamDescribed(format); });
}

bool DecodeStrand::looksAhead() const {
    const bool drainIsNext =
        drain_ == DrainPhase::None && !inputs_.empty() && std::holds_alternative<DrainMark>(inputs_.front());
    return drain_ == DrainPhase::Draining || drainIsNext;
}

/// A client that cuts the stream anywhere shows it by how its second buffer begins; what the first gave is wrong then.
bool DecodeStrand::nextTellsOfFirst() const {
    return fed_ == 1 && !headerless() && !inputs_.empty() && std::holds_alternative<queue::ActiveBuffer>(inputs_.front());
}

bool DecodeStrand::fetch() {
    if (awaitsSetup()) return false;
    const size_t enough = looksAhead() ? 2 : 1;
    if (ready_.size() >= enough || drain_ == DrainPhase::Stopped || drain_ == DrainPhase::Ended) return false;
    if (mayReceive_ && !nextTellsOfFirst()) return receive();
    if (inputs_.empty()) return false;
    auto next = std::move(inputs_.front());
    inputs_.pop_front();
    if (auto* mark = std::get_if<DrainMark>(&next)) {
        beginDrain(mark->id);
    } else {
        feed(std::get<queue::ActiveBuffer>(std::move(next)));
    }
    return true;
}

bool DecodeStrand::opened() {
    if (decoder_) return true;
    auto decoder = resources_.codecs.open(codec_, decoderOptions_);
    if (!decoder) {
        fail(decoder.error(), "the codec cannot be opened");
        return false;
    }
    decoder_ = *std::move(decoder);
    return true;
}

void DecodeStrand::feed(queue::ActiveBuffer buffer) {
    if (!opened()) return buffer.error();
    const auto& plane = buffer.planes()[0];
    const uint32_t used = std::min(plane.bytesUsed, plane.length);
    const uint32_t start = std::min(plane.dataOffset, used);
    std::span<const std::byte> bytes;
    if (const auto mapped = plane.memory->bytes(); !mapped.empty()) {
        bytes = mapped.subspan(start, used - start);
    } else {
        scratch_.resize(used - start);
        if (auto ok = plane.memory->read(start, scratch_); !ok) {
            log::warn("{}: cannot read {} bytes of the client's OUTPUT buffer {}: {}", session_, scratch_.size(),
                      buffer.index(), std::strerror(ok.error().value));
            return buffer.error();
        }
        bytes = scratch_;
    }

    const uint64_t tag = nextTag_++;
    metadata_.emplace(tag, buffer.metadata());
    if (metadata_.size() > kRememberedUnits) metadata_.erase(metadata_.begin());

    ++fed_;
    // Nothing else fills a buffer to the last byte.
    if (used == plane.length) decoder_->cutAnywhere();
    const auto sent = timed([&] { return decoder_->send(bytes, tag); });
    if (!sent) {
        buffer.error();
        return fail(sent.error(), "the decoder failed");
    }
    mayReceive_ = true;
    unitGaveItem_ = false;
    if (!sawFrame_) lookForHeaders(bytes.size());
    if (headerless()) {
        heldInput_ = std::move(buffer);
    } else {
        buffer.done({});
    }
}

void DecodeStrand::lookForHeaders(size_t bytes) {
    if (const auto headers = decoder_->headers()) {
        headerlessBytes_ = 0;
        // Once CAPTURE is set up the frames tell: those from before a change may still be in the codec.
        if (!setup_) announce(*headers);
        return;
    }
    headerlessBytes_ += bytes;
    if (headerlessBytes_ < kPatienceBytes || announced_) return;
    log::warn("{}: {} bytes without {} headers; the OUTPUT format may be another than the stream's", session_, headerlessBytes_,
              v4l2::findCoded(codec_)->name);
    announce(placeholder_);
}

bool DecodeStrand::receive() {
    auto received = timed([this] { return decoder_->receive(); });
    if (!received) {
        fail(received.error(), "the decoder failed");
        return false;
    }
    if (auto* frame = std::get_if<std::unique_ptr<codec::Frame>>(&*received)) {
        sawFrame_ = true;
        unitGaveItem_ = true;
        if (heldInput_) heldInput_->done({});
        heldInput_.reset();
        ready_.emplace_back(std::move(*frame));
    } else if (auto* damaged = std::get_if<codec::Damaged>(&*received)) {
        log::debug("{}: an access unit cannot be decoded: {}", session_, damaged->reason);
        // Before the stream is known there is no CAPTURE buffer that could tell of it.
        if (!setup_) return true;
        unitGaveItem_ = true;
        ready_.emplace_back(std::move(*damaged));
    } else if (std::holds_alternative<codec::EndOfStream>(*received)) {
        codecEnded();
    } else if (std::holds_alternative<codec::NeedInput>(*received)) {
        mayReceive_ = false;
        if (headerless() && !unitGaveItem_) ready_.emplace_back(codec::Damaged{nextTag_ - 1, "no headers"});
    }
    return true;
}

void DecodeStrand::codecEnded() {
    if (drain_ == DrainPhase::None) return beginMarkDrain();
    mayReceive_ = false;
    if (drain_ == DrainPhase::Draining) {
        drain_ = DrainPhase::Ended;
        if (ready_.empty()) emptyLast_ = EmptyLast::Drain;
    } else if (drain_ == DrainPhase::Abandoned && ready_.empty()) {
        endDrain();
    }
}

void DecodeStrand::beginMarkDrain() {
    // Before CAPTURE is set up there is no buffer that could tell of it; a drain that was asked for tells of its own end.
    const auto isDrain = [](const auto& entry) { return std::holds_alternative<DrainMark>(entry); };
    if (!setup_ || std::ranges::any_of(inputs_, isDrain)) return;
    drainId_ = kMarkDrain;
    drain_ = DrainPhase::Ended;
    if (ready_.empty()) emptyLast_ = EmptyLast::Drain;
    post([flushes = flushesSeen_](Listener& listener) { listener.endMarkFound(flushes); });
}

void DecodeStrand::dropDrainMarks() {
    std::erase_if(inputs_, [](const auto& entry) { return std::holds_alternative<DrainMark>(entry); });
}

void DecodeStrand::beginDrain(uint64_t id) {
    drainId_ = id;
    drain_ = DrainPhase::Draining;
    if (!decoder_) {
        drain_ = DrainPhase::Ended;
        emptyLast_ = EmptyLast::Drain;
        return;
    }
    if (auto ok = decoder_->drain(); !ok) return fail(ok.error(), "the decoder cannot be drained");
    mayReceive_ = true;
}

void DecodeStrand::endDrain() {
    drain_ = DrainPhase::None;
    if (emptyLast_ == EmptyLast::Drain) emptyLast_ = EmptyLast::None;
    if (drainId_ == kMarkDrain) {
        // The codec has got over the mark by itself, and may hold what came behind it. A drain that the client asked for in the
        // meantime was answered by the same LAST.
        mayReceive_ = true;
        return dropDrainMarks();
    }
    mayReceive_ = false;
    if (decoder_) decoder_->resume();
}

queue::Metadata DecodeStrand::metadataOf(uint64_t tag) const {
    const auto found = metadata_.find(tag);
    return found == metadata_.end() ? queue::Metadata{} : found->second;
}

void DecodeStrand::fail(Errno error, const std::string& reason) {
    if (std::exchange(failed_, true)) return;
    log::warn("{}: {}: {}; the session answers EIO until its queues are stopped", session_, reason, std::strerror(error.value));
    if (error.value == ENOMEM && resources_.memory)
        log::info("{}: {} of its {} MiB are in use; --session-memory sets how many it may have", session_,
                  resources_.memory->used() >> 20, resources_.memory->limit() >> 20);
    post([error, flushes = flushesSeen_](Listener& listener) { listener.failed(error, flushes); });
}

}  // namespace daedalus::m2m
