// VC-1 (SMPTE 421M): the advanced profile behind start codes (Annex G), simple and main behind frame layers (Annex L).
#include "vc1.h"

#include <algorithm>

#include "syntax.h"
#include "vui.h"

namespace daedalus::codec::bitstream {
namespace {

enum StartCode : uint8_t { kSlice = 0x0B, kField = 0x0C, kFrame = 0x0D, kEntryPoint = 0x0E, kSequence = 0x0F };

/// Headers are shorter than this.
constexpr size_t kMostHeader = 512;

std::vector<uint8_t> withStartCode(Bytes unit) {
    const Bytes head = unit.first(std::min(unit.size(), kMostHeader));
    std::vector<uint8_t> bytes(3 + head.size());
    bytes[2] = 1;
    std::ranges::copy(head, bytes.begin() + 3);
    return bytes;
}

/// The sizes and colours that are meant for the display, not for the decoder.
void readDisplay(BitReader& in, StreamFormat& format) {
    constexpr size_t kNamedAspects = 14;
    constexpr unsigned kExtended = 15;
    in.skip(14 + 14);
    if (in.flag()) {
        const unsigned code = in.bits(4);
        PixelAspect aspect = namedAspect(code, kNamedAspects);
        if (code == kExtended) {
            aspect.num = in.bits(8) + 1;
            aspect.den = in.bits(8) + 1;
        }
        setAspect(format, aspect);
    }
    if (in.flag()) in.skip(in.flag() ? 16 : 8 + 4);  // frame rate
    if (!in.flag()) return;
    const auto colours = readColourDescription(in);
    if (in.ok()) format.colorimetry = colorimetry(colours.primaries, colours.transfer, colours.matrix, Range::Unknown);
}

class Vc1Syntax final : public Syntax {
public:
    bool isPicture(Bytes unit) const override {
        return !unit.empty() && (unit[0] == kFrame || unit[0] == kField || unit[0] == kSlice);
    }

    UnitKind inspect(Bytes unit) override {
        if (unit.empty()) return UnitKind::Other;
        switch (unit[0]) {
            case kSequence:
                sequence(unit);
                return UnitKind::Leading;
            case kEntryPoint:
                entryPoint(unit);
                return UnitKind::Leading;
            case kFrame:
                if (header_ && header_->format.interlaced) fieldOrder(unit);
                return UnitKind::PictureStart;
            case kField:
            case kSlice:
                return UnitKind::Picture;
            default:
                return UnitKind::Other;
        }
    }

    const std::optional<StreamHeader>& header() const override { return header_; }
    void restart() override {}

private:
    static uint32_t readSize(BitReader& in) { return (in.bits(12) + 1) * 2; }

    void sequence(Bytes unit) {
        constexpr unsigned kAdvanced = 3;
        const auto payload = unescape(unit.subspan(1), kMostHeader);
        BitReader in(payload);
        if (in.bits(2) != kAdvanced) return;
        in.skip(3 + 2 + 3 + 5 + 1);
        StreamHeader read;
        read.reorderDepth = 1;
        read.format.minCaptureBuffers = minCaptureBuffers(read.reorderDepth);
        read.format.colorimetry = colorimetry(2, 2, 2, Range::Unknown);
        width_ = readSize(in);
        height_ = readSize(in);
        pulldown_ = in.flag();
        read.format.interlaced = in.flag();
        frameCounter_ = in.flag();
        in.skip(2);
        segmented_ = in.flag();
        if (in.flag()) readDisplay(in, read.format);
        buckets_ = in.flag() ? in.bits(5) : 0;
        if (!in.ok()) return;
        auto bytes = withStartCode(unit);
        isNew_ = isNew_ || bytes != sequence_;
        sequence_ = std::move(bytes);
        sequenceHeader_ = read;
    }

    /// The start of an interlaced or progressive picture's header up to its field order.
    void fieldOrder(Bytes unit) {
        const auto payload = unescape(unit.subspan(1), kMostHeader);
        BitReader in(payload);
        const bool interlaced = in.flag();
        if (!interlaced || !pulldown_ || segmented_) return;
        const bool fields = in.flag();
        constexpr unsigned kLongestType = 4;
        if (fields) in.skip(3);
        for (unsigned i = 0; !fields && i < kLongestType && in.flag(); ++i) {
        }
        if (frameCounter_) in.skip(8);
        const bool topFirst = in.flag();
        if (in.ok()) header_->format.bottomFirst = !topFirst;
    }

    void entryPoint(Bytes unit) {
        if (sequence_.empty()) return;
        const auto payload = unescape(unit.subspan(1), kMostHeader);
        BitReader in(payload);
        in.skip(13 + 8 * buckets_);
        uint32_t width = width_;
        uint32_t height = height_;
        if (in.flag()) {
            width = readSize(in);
            height = readSize(in);
        }
        if (!in.ok() || !sizeAllowed(width, height)) return;
        StreamHeader read = sequenceHeader_;
        setSize(read.format, width, height);
        if (isNew_) {
            setup_ = sequence_;
            const auto entry = withStartCode(unit);
            setup_.insert(setup_.end(), entry.begin(), entry.end());
            isNew_ = false;
        }
        read.setup = setup_;
        header_ = std::move(read);
    }

    std::optional<StreamHeader> header_;
    StreamHeader sequenceHeader_;
    std::vector<uint8_t> sequence_;
    std::vector<uint8_t> setup_;  ///< the sequence header and the first entry point after it
    uint32_t width_ = 0;
    uint32_t height_ = 0;
    unsigned buckets_ = 0;
    bool pulldown_ = false;      ///< pictures tell which field is first, or how often they are shown
    bool frameCounter_ = false;  ///< pictures have a counter
    bool segmented_ = false;     ///< progressive pictures sent as fields
    bool isNew_ = false;         ///< this sequence header has had no entry point yet
};

uint32_t littleEndian(Bytes bytes, size_t at) {
    return bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | static_cast<uint32_t>(bytes[at + 3]) << 24;
}

}  // namespace

std::unique_ptr<Syntax> makeVc1Syntax() { return std::make_unique<Vc1Syntax>(); }

std::optional<StreamHeader> takeVc1SequenceLayer(Bytes& rest) {
    constexpr size_t kSize = 36;
    constexpr uint8_t kMark = 0xC5;
    constexpr uint32_t kStructC = 4;
    constexpr uint32_t kStructB = 12;
    if (rest.size() < kSize || rest[3] != kMark || littleEndian(rest, 4) != kStructC || littleEndian(rest, 20) != kStructB)
        return std::nullopt;
    const Bytes structC = rest.subspan(8, kStructC);
    const uint32_t height = littleEndian(rest, 12);
    const uint32_t width = littleEndian(rest, 16);
    rest = rest.subspan(kSize);
    if (!sizeAllowed(width, height)) return std::nullopt;
    StreamHeader header;
    setSize(header.format, width, height);
    BitReader in(structC);
    in.skip(25);
    header.reorderDepth = in.bits(3) > 0 ? 1 : 0;
    header.format.minCaptureBuffers = minCaptureBuffers(header.reorderDepth);
    header.format.colorimetry = colorimetry(2, 2, 2, Range::Unknown);
    header.setup.assign(structC.begin(), structC.end());
    return header;
}

Bytes takeVc1Frame(Bytes& rest) {
    constexpr size_t kLayer = 8;
    constexpr uint32_t kSizeMask = 0xFFFFFF;
    Bytes frame = rest;
    if (rest.size() >= kLayer) {
        const size_t size = littleEndian(rest, 0) & kSizeMask;
        if (size <= rest.size() - kLayer) {
            frame = rest.subspan(kLayer, size);
            rest = rest.subspan(kLayer + size);
            return frame;
        }
    }
    rest = {};
    return frame;
}

}  // namespace daedalus::codec::bitstream
