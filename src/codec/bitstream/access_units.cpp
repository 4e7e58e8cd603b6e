#include "access_units.h"

#include <utility>

#include "start_code.h"

namespace daedalus::codec::bitstream {
namespace {

/// A lossless 8192x8192 intra picture stays below; without this bound a stream without borders would fill the memory.
constexpr size_t kMostPending = size_t{128} << 20;
/// Bytes of a picture unit that tell what it is.
constexpr size_t kEnough = 64;
/// So many buffers that are whole units show that the next ones are, too.
constexpr unsigned kEnoughTrust = 16;

bool startsWithCode(const std::vector<uint8_t>& bytes, size_t from) {
    size_t zeros = from;
    while (zeros < bytes.size() && bytes[zeros] == 0) ++zeros;
    return zeros >= from + 2 && zeros < bytes.size() && bytes[zeros] == 1;
}

}  // namespace

AccessUnits::AccessUnits(const CodecTraits& traits)
    : traits_(traits), syntax_(traits.makeSyntax ? traits.makeSyntax() : nullptr) {}

bool AccessUnits::push(std::vector<uint8_t> bytes, uint64_t tag) {
    if (bytes.empty()) return true;
    if (!syntax_) {
        pushFrame(std::move(bytes), tag);
        return true;
    }
    if (pending_.size() + bytes.size() > kMostPending) {
        clear();
        first_.reset();
        syntax_->restart();
        return false;
    }
    pushStream(std::move(bytes), tag);
    return true;
}

void AccessUnits::pushFrame(std::vector<uint8_t> bytes, uint64_t tag) {
    if (traits_.takeUnit) return pushLayers(bytes, tag);
    if (auto header = traits_.header(bytes, header_)) header_ = std::move(header);
    ready_.push_back({std::move(bytes), tag, header_});
}

void AccessUnits::pushLayers(Bytes bytes, uint64_t tag) {
    if (auto header = traits_.takeHeader(bytes)) header_ = std::move(header);
    while (!bytes.empty()) {
        const Bytes unit = traits_.takeUnit(bytes);
        ready_.push_back({std::vector<uint8_t>(unit.begin(), unit.end()), tag, header_});
    }
}

void AccessUnits::cutAnywhere() { assembling_ = true; }

size_t AccessUnits::bytes() const {
    size_t sum = pending_.size() + (first_ ? first_->bytes.size() : 0);
    for (const AccessUnit& unit : ready_) sum += unit.bytes.size();
    return sum;
}

bool AccessUnits::tookBack() { return std::exchange(tookBack_, false); }

void AccessUnits::pushStream(std::vector<uint8_t> bytes, uint64_t tag) {
    if (!first_) return append(std::move(bytes), tag);
    AccessUnit first = *std::exchange(first_, std::nullopt);
    const std::vector<uint8_t> copy = bytes;
    append(std::move(bytes), tag);
    if (!evidence_.stray) return;
    ready_.clear();
    clear();
    syntax_->restart();
    assembling_ = true;
    tookBack_ = true;
    append(std::move(first.bytes), first.tag);
    append(copy, tag);
}

void AccessUnits::append(std::vector<uint8_t> bytes, uint64_t tag) {
    const size_t begin = pending_.size();
    marks_.push_back({begin, tag});
    if (pending_.empty())
        pending_ = std::move(bytes);
    else
        pending_.insert(pending_.end(), bytes.begin(), bytes.end());
    evidence_ = {};
    evidence_.stray = !startsWithCode(pending_, begin);
    if (!evidence_.stray || assembling_) scan();
    if (evidence_.stray && !assembling_) scanAgain();
    // It was a unit indeed, if this buffer has not added to it.
    if (held_ && !assembling_ && border_ == held_) emit(*held_);
    held_.reset();
    // A client that sends parameter sets one by one will send slices one by one.
    if (evidence_.units == 1 && evidence_.leading == 1) assembling_ = true;
    // It ends with what begins the next unit.
    if (border_) assembling_ = true;
    if (hasPicture_ && !assembling_) passThrough();
    begun_ = begun_ || hasPicture_ || evidence_.emitted > 0;
    compact();
}

void AccessUnits::passThrough() {
    if (trusted_ < kEnoughTrust) {
        ++trusted_;
        held_ = pending_.size();
        return;
    }
    emit(pending_.size());
}

void AccessUnits::settle() {
    if (!held_) return;
    const bool isFirst = trusted_ == 1;
    emit(*std::exchange(held_, std::nullopt));
    if (isFirst) first_ = ready_.back();
    compact();
}

void AccessUnits::scan() {
    size_t code = findStartCode(pending_, scanned_);
    while (code != kNoStartCode) {
        const size_t next = findStartCode(pending_, code + 3);
        if (next == kNoStartCode) {
            takeLast(code);
            return;
        }
        takeUnit(code, next);
        if (evidence_.stray && !assembling_) return;
        code = next;
        scanned_ = code;
    }
}

/// The client cuts anywhere, and what was taken for whole may be a part.
void AccessUnits::scanAgain() {
    assembling_ = true;
    syntax_->restart();
    scanned_ = start_;
    border_.reset();
    hasPicture_ = false;
    owesPicture_ = false;
    scan();
}

/// The last unit in the buffer: whether it is complete depends on how the client cuts.
void AccessUnits::takeLast(size_t code) {
    if (evidence_.emitted > 0) assembling_ = true;
    const Bytes unit = Bytes(pending_).subspan(code + 3);
    const bool whole = !assembling_ || syntax_->isEnd(unit) || (unit.size() >= kEnough && syntax_->isPicture(unit));
    if (!whole) return;
    const bool little = unit.size() < kEnough;
    const size_t emitted = evidence_.emitted;
    takeUnit(code, pending_.size());
    if (pending_.empty()) return;
    if (evidence_.emitted > 0) assembling_ = true;
    if (little && evidence_.emitted > emitted) {
        // A picture began with it, and more of it may come: then it is looked at again.
        hasPicture_ = false;
        owesPicture_ = false;
        syntax_->restart();
        scanned_ = code;
        return;
    }
    // Two bytes of the next start code may be here already.
    scanned_ = std::max(code + 3, pending_.size() - 2);
}

void AccessUnits::takeUnit(size_t begin, size_t end) {
    const UnitKind kind = syntax_->inspect(Bytes(pending_).subspan(begin + 3, end - begin - 3));
    ++evidence_.units;
    switch (kind) {
        case UnitKind::Other:
            return;
        case UnitKind::Leading:
            ++evidence_.leading;
            if (hasPicture_ && !border_) border_ = begin;
            return;
        case UnitKind::PictureStart:
            if (hasPicture_) emit(border_.value_or(begin));
            break;
        case UnitKind::Picture:
            if (evidence_.pictures == 0 && evidence_.leading == 0) evidence_.stray = true;
            break;
        case UnitKind::Companion:
            break;
        case UnitKind::EndOfStream:
            endStream(end);
            return;
    }
    ++evidence_.pictures;
    hasPicture_ = true;
    owesPicture_ = owesPicture_ || (kind == UnitKind::PictureStart && syntax_->owesPicture());
    awaitsField_ = syntax_->awaitsField();
    isNotCoded_ = syntax_->isNotCoded();
    border_.reset();
    header_ = syntax_->header();
}

void AccessUnits::emit(size_t end) {
    if (!held_ || end > *held_) ++evidence_.emitted;
    while (marks_.size() > 1 && marks_[1].position <= start_) marks_.pop_front();
    AccessUnit unit;
    unit.tag = marks_.front().tag;
    unit.header = header_;
    unit.owesPicture = std::exchange(owesPicture_, false);
    unit.awaitsField = awaitsField_;
    const bool isPacked = unit.tag == std::exchange(lastTag_, unit.tag);
    unit.isPlaceholder = isNotCoded_ && !isPacked && wasPacked_;
    wasPacked_ = isPacked;
    if (start_ == 0 && end == pending_.size()) {
        unit.bytes = std::move(pending_);
        clear();
    } else {
        unit.bytes.assign(pending_.begin() + static_cast<ptrdiff_t>(start_), pending_.begin() + static_cast<ptrdiff_t>(end));
        start_ = end;
    }
    ready_.push_back(std::move(unit));
    hasPicture_ = false;
    border_.reset();
}

/// What is there until `end` is the stream's last unit; without a picture only the fact is.
void AccessUnits::endStream(size_t end) {
    const bool picture = hasPicture_;
    emit(end);
    // It shows nothing of how the client cuts.
    evidence_.emitted = 0;
    AccessUnit& last = ready_.back();
    last.endsStream = true;
    if (!picture) last.bytes.clear();
    syntax_->restart();
}

void AccessUnits::compact() {
    if (start_ == 0) return;
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(start_));
    while (marks_.size() > 1 && marks_[1].position <= start_) marks_.pop_front();
    for (Mark& mark : marks_) mark.position -= std::min(mark.position, start_);
    scanned_ -= std::min(scanned_, start_);
    if (border_) *border_ -= start_;
    if (held_) *held_ -= start_;
    start_ = 0;
}

void AccessUnits::finish() {
    if (!syntax_) return;
    first_.reset();
    held_.reset();
    evidence_ = {};
    size_t code = findStartCode(pending_, scanned_);
    while (code != kNoStartCode) {
        const size_t next = findStartCode(pending_, code + 3);
        takeUnit(code, next == kNoStartCode ? pending_.size() : next);
        code = next;
    }
    if (hasPicture_) emit(pending_.size());
    clear();
    syntax_->restart();
}

void AccessUnits::reset() {
    ready_.clear();
    clear();
    assembling_ = false;
    begun_ = false;
    trusted_ = 0;
    first_.reset();
    tookBack_ = false;
    wasPacked_ = false;
    if (syntax_) syntax_->restart();
}

void AccessUnits::clear() {
    pending_.clear();
    marks_.clear();
    start_ = 0;
    scanned_ = 0;
    border_.reset();
    held_.reset();
    hasPicture_ = false;
    owesPicture_ = false;
}

std::optional<AccessUnit> AccessUnits::pop() {
    if (ready_.empty()) return std::nullopt;
    AccessUnit unit;
    std::swap(unit, ready_.front());
    ready_.pop_front();
    return unit;
}

const std::optional<StreamHeader>& AccessUnits::header() const { return header_ || !syntax_ ? header_ : syntax_->header(); }

}  // namespace daedalus::codec::bitstream
