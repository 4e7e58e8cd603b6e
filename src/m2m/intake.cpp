#include "intake.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "daedalus/base/log.h"

namespace daedalus::m2m {
namespace {

/// More access units than any decoder holds back; what is older will not come out any more.
constexpr size_t kRememberedUnits = 512;

}  // namespace

Intake::Intake(const Resources& resources, v4l2::Codec codec, std::string session, CallWatch& watch)
    : codecs_(resources.codecs),
      codec_(codec),
      options_(resources.decoderOptions()),
      session_(std::move(session)),
      watch_(watch) {}

template <class Call>
auto Intake::timed(const Call& call) -> decltype(call()) {
    auto result = watch_.run(call);
    if (watch_.givenUp()) return fail(ECANCELED);
    return result;
}

bool Intake::drainIsNext() const { return !inputs_.empty() && std::holds_alternative<DrainMark>(inputs_.front()); }

bool Intake::hasDrain() const {
    return std::ranges::any_of(inputs_, [](const auto& entry) { return std::holds_alternative<DrainMark>(entry); });
}

void Intake::dropDrains() {
    std::erase_if(inputs_, [](const auto& entry) { return std::holds_alternative<DrainMark>(entry); });
}

Result<> Intake::open() {
    if (decoder_) return {};
    auto decoder = codecs_.open(codec_, options_);
    if (!decoder) {
        log::warn("{}: the {} decoder cannot be opened: {}", session_, v4l2::findCoded(codec_)->name,
                  std::strerror(decoder.error().value));
        return fail(decoder.error());
    }
    decoder_ = *std::move(decoder);
    return {};
}

Result<std::span<const std::byte>> Intake::bytesOf(const queue::ActiveBuffer& buffer) {
    const auto& plane = buffer.planes()[0];
    const uint32_t used = std::min(plane.bytesUsed, plane.length);
    const uint32_t start = std::min(plane.dataOffset, used);
    if (const auto mapped = plane.memory->bytes(); !mapped.empty()) return mapped.subspan(start, used - start);
    scratch_.resize(used - start);
    if (auto ok = plane.memory->read(start, scratch_); !ok) return fail(ok.error());
    return scratch_;
}

Result<Intake::Shown> Intake::feed(bool isSetUp) {
    auto buffer = std::get<queue::ActiveBuffer>(std::move(inputs_.front()));
    inputs_.pop_front();
    if (auto ok = open(); !ok) {
        buffer.error();
        return fail(ok.error());
    }
    const auto bytes = bytesOf(buffer);
    if (!bytes) {
        log::warn("{}: cannot read the client's OUTPUT buffer {}: {}", session_, buffer.index(),
                  std::strerror(bytes.error().value));
        buffer.error();
        return NothingNew{};
    }

    const uint64_t tag = nextTag_++;
    metadata_.emplace(tag, buffer.metadata());
    if (metadata_.size() > kRememberedUnits) metadata_.erase(metadata_.begin());

    ++fed_;
    // Nothing else fills a buffer to the last byte.
    const auto& plane = buffer.planes()[0];
    if (plane.bytesUsed >= plane.length) decoder_->cutAnywhere();
    const size_t size = bytes->size();
    if (const auto sent = timed([&] { return decoder_->send(*bytes, tag); }); !sent) {
        buffer.error();
        return fail(sent.error());
    }
    if (!plane.memory->isIntact()) {
        log::warn("{}: the memory of the client's OUTPUT buffer {} is gone", session_, buffer.index());
        buffer.error();
        return fail(EIO);
    }
    unit_ = Unit::Open;
    dry_ = Dry::No;
    held_ = std::move(buffer);
    return lookForHeaders(size, isSetUp);
}

void Intake::giveBack(bool isSetUp) {
    if (!held_ || headerless(isSetUp)) return;
    held_->done({});
    held_.reset();
}

Intake::Shown Intake::lookForHeaders(size_t bytes, bool isSetUp) {
    if (headers_ == Headers::Confirmed) return NothingNew{};
    if (const auto found = decoder_->headers()) {
        headerlessBytes_ = 0;
        headers_ = Headers::Searched;
        // Once CAPTURE is set up the frames tell: those from before a change may still be in the codec.
        if (isSetUp) return NothingNew{};
        return *found;
    }
    headerlessBytes_ += bytes;
    if (headerlessBytes_ < kPatienceBytes) return NothingNew{};
    headers_ = Headers::Missing;
    if (isSetUp) return NothingNew{};
    log::warn("{}: {} bytes without {} headers; the OUTPUT format may be another than the stream's", session_, headerlessBytes_,
              v4l2::findCoded(codec_)->name);
    return HeadersMissing{};
}

bool Intake::nextTellsOfFirst(bool isSetUp) const {
    return fed_ == 1 && !headerless(isSetUp) && !inputs_.empty() && !drainIsNext();
}

bool Intake::runsDry() {
    if (dry_ == Dry::Told || !inputs_.empty() || unit_ != Unit::Consumed || !decoder_ || !decoder_->holdsBack()) return false;
    dry_ = Dry::Told;
    return true;
}

void Intake::starve(bool goesOn) {
    dry_ = Dry::No;
    if (!goesOn || !inputs_.empty() || unit_ != Unit::Consumed || !decoder_) return;
    decoder_->settle();
    unit_ = Unit::Settling;
}

queue::Metadata Intake::metadataOf(uint64_t tag) const {
    const auto found = metadata_.find(tag);
    return found == metadata_.end() ? queue::Metadata{} : found->second;
}

Result<Intake::Yield> Intake::receive(bool isSetUp) {
    auto received = timed([this] { return decoder_->receive(); });
    if (!received) return fail(received.error());
    if (auto* frame = std::get_if<std::unique_ptr<codec::Frame>>(&*received)) {
        headers_ = Headers::Confirmed;
        gaveItem();
        if (held_) held_->done({});
        held_.reset();
        const auto metadata = metadataOf((*frame)->tag());
        return Item{std::shared_ptr<const codec::Frame>(std::move(*frame)), metadata};
    }
    if (auto* damaged = std::get_if<codec::Damaged>(&*received)) {
        log::debug("{}: an access unit cannot be decoded: {}", session_, damaged->reason);
        // Before the stream is known there is no CAPTURE buffer that could tell of it.
        if (!isSetUp) return Working{};
        gaveItem();
        const auto metadata = metadataOf(damaged->tag);
        return Item{std::move(*damaged), metadata, std::exchange(held_, std::nullopt)};
    }
    if (std::holds_alternative<codec::EndOfStream>(*received)) return codec::EndOfStream{};
    if (std::holds_alternative<codec::NeedInput>(*received)) return consumed(isSetUp);
    return Working{};
}

Intake::Yield Intake::consumed(bool isSetUp) {
    const bool gaveNone = std::exchange(unit_, Unit::Consumed) == Unit::Open;
    if (headerless(isSetUp) && gaveNone) {
        const uint64_t tag = nextTag_ - 1;
        return Item{codec::Damaged{tag, "no headers"}, metadataOf(tag), std::exchange(held_, std::nullopt)};
    }
    if (held_) held_->done({});
    held_.reset();
    return Hungry{};
}

Result<bool> Intake::drain() {
    inputs_.pop_front();
    if (!decoder_) return false;
    if (auto ok = decoder_->drain(); !ok) return fail(ok.error());
    unit_ = Unit::GaveItem;
    return true;
}

void Intake::resume() {
    unit_ = Unit::Consumed;
    if (decoder_) watch_.run([this] { decoder_->resume(); });
}

void Intake::passMark() {
    unit_ = Unit::GaveItem;
    dropDrains();
}

Intake::Returned Intake::flush() {
    Returned returned;
    for (auto& input : inputs_)
        if (auto* buffer = std::get_if<queue::ActiveBuffer>(&input)) returned.push_back(std::move(*buffer));
    inputs_.clear();
    if (held_) returned.push_back(*std::exchange(held_, std::nullopt));
    metadata_.clear();
    unit_ = Unit::Consumed;
    dry_ = Dry::No;
    fed_ = 0;
    // It waits for the codec's own threads, which may be stuck.
    if (decoder_) watch_.run([this] { decoder_->flush(); });
    return returned;
}

void Intake::close() {
    inputs_.clear();
    held_.reset();
    // It waits for the codec's own threads, too.
    watch_.run([this] { decoder_.reset(); });
}

}  // namespace daedalus::m2m
