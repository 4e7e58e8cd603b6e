// H.264: parameter sets, and the start of slice headers as far as 7.4.1.2.4 (first slice of a picture) needs it.
#include <array>
#include <utility>

#include "codecs.h"
#include "conformance.h"
#include "hdr10.h"
#include "sei.h"
#include "start_code.h"
#include "syntax.h"
#include "vui.h"

namespace daedalus::codec::bitstream {
namespace {

constexpr size_t kHeaderLimit = 8192;
constexpr size_t kSliceLimit = 64;

struct Sps {
    StreamHeader header;
    bool frameMbsOnly = true;
    bool separatePlanes = false;
    unsigned frameNumBits = 4;
    unsigned pocType = 0;
    unsigned pocLsbBits = 4;
    bool deltaPocAlwaysZero = false;
    int32_t offsetToBottom = 0;  ///< offset_for_top_to_bottom_field
};

struct Pps {
    unsigned sps = 0;
    bool bottomPocPresent = false;
};

/// The fields of a slice header that are the same in all slices of a picture.
struct PictureId {
    bool valid = false;
    unsigned firstMb = 0;
    unsigned frameNum = 0;
    bool reference = false;
    bool idr = false;
    unsigned idrPicId = 0;
    bool field = false;
    bool bottom = false;
    unsigned pocLsb = 0;
    int32_t deltaPocBottom = 0;
    std::array<int32_t, 2> deltaPoc{};

    [[nodiscard]] bool samePicture(const PictureId& other) const {
        return frameNum == other.frameNum && reference == other.reference && idr == other.idr && idrPicId == other.idrPicId &&
               field == other.field && bottom == other.bottom && pocLsb == other.pocLsb &&
               deltaPocBottom == other.deltaPocBottom && deltaPoc == other.deltaPoc;
    }
    [[nodiscard]] bool isSecondFieldOf(const PictureId& first) const {
        return field && first.field && bottom != first.bottom && frameNum == first.frameNum && reference == first.reference &&
               !(idr && !first.idr);
    }
};

/// Frames that a decoder of this level can hold (table A-1: MaxDpbMbs).
unsigned dpbFrames(unsigned level, bool level1b, unsigned macroblocks) {
    struct Row {
        unsigned level;
        unsigned macroblocks;
    };
    constexpr Row kRows[] = {{9, 396},     {10, 396},    {11, 900},    {12, 2376},   {13, 2376},   {20, 2376},  {21, 4752},
                             {22, 8100},   {30, 8100},   {31, 18000},  {32, 20480},  {40, 32768},  {41, 32768}, {42, 34816},
                             {50, 110400}, {51, 184320}, {52, 184320}, {60, 696320}, {61, 696320}, {62, 696320}};
    constexpr unsigned kMost = 15;
    if (level1b) level = 9;
    for (const Row& row : kRows)
        if (row.level == level) return std::clamp(row.macroblocks / macroblocks, 1U, kMost);
    return kMost;
}

bool isHigh(unsigned profile) {
    constexpr unsigned kProfiles[] = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135, 144};
    return std::ranges::find(kProfiles, profile) != std::end(kProfiles);
}

void skipScalingList(BitReader& in, unsigned size) {
    int last = 8;
    int next = 8;
    for (unsigned i = 0; i < size && in.ok(); ++i) {
        if (next != 0) next = (last + in.se() + 256) % 256;
        last = next == 0 ? last : next;
    }
}

void skipHrd(BitReader& in) {
    const unsigned count = in.ue() + 1;
    in.skip(8);
    for (unsigned i = 0; i < count && count <= 32; ++i) {
        in.ue();
        in.ue();
        in.skip(1);
    }
    in.skip(20);
}

/// Annex E. `declared` becomes true if the reorder depth is given.
void readVui(BitReader& in, StreamHeader& header, unsigned& matrix, bool& declared) {
    readAspect(in, header.format);
    matrix = readColours(in, header.format, Range::Unknown);
    if (in.flag()) {
        in.ue();
        in.ue();
    }
    if (in.flag()) in.skip(65);
    const bool nalHrd = in.flag();
    if (nalHrd) skipHrd(in);
    const bool vclHrd = in.flag();
    if (vclHrd) skipHrd(in);
    if (nalHrd || vclHrd) in.skip(1);
    in.skip(1);
    if (!in.flag()) return;
    in.skip(1);
    for (int i = 0; i < 4; ++i) in.ue();
    const unsigned reorder = in.ue();
    in.ue();
    if (!in.ok()) return;
    declared = true;
    header.reorderDepth = std::min(reorder, 16U);
}

std::optional<Sps> readSps(Bytes payload, unsigned& id) {
    BitReader in(payload);
    Sps sps;
    StreamFormat& format = sps.header.format;
    const unsigned profile = in.bits(8);
    const unsigned constraints = in.bits(8);
    const unsigned level = in.bits(8);
    format.conformance = h264Conformance(profile, constraints, level);
    id = in.ue();
    unsigned chroma = 1;
    if (isHigh(profile)) {
        chroma = in.ue();
        if (chroma == 3) sps.separatePlanes = in.flag();
        format.bitDepth = static_cast<uint8_t>(8 + std::min(in.ue(), 6U));
        in.ue();
        in.skip(1);
        if (in.flag())
            for (unsigned i = 0; i < (chroma == 3 ? 12U : 8U); ++i)
                if (in.flag()) skipScalingList(in, i < 6 ? 16 : 64);
    }
    sps.frameNumBits = in.ue() + 4;
    sps.pocType = in.ue();
    if (sps.pocType == 0) {
        sps.pocLsbBits = in.ue() + 4;
    } else if (sps.pocType == 1) {
        sps.deltaPocAlwaysZero = in.flag();
        in.se();
        sps.offsetToBottom = in.se();
        const unsigned cycle = in.ue();
        if (cycle > 255) return std::nullopt;
        for (unsigned i = 0; i < cycle; ++i) in.se();
    }
    const unsigned references = in.ue();
    in.skip(1);
    const uint64_t mbWidth = uint64_t{in.ue()} + 1;
    const uint64_t mapHeight = uint64_t{in.ue()} + 1;
    sps.frameMbsOnly = in.flag();
    const uint64_t mbHeight = mapHeight * (sps.frameMbsOnly ? 1 : 2);
    if (!sps.frameMbsOnly) in.skip(1);
    in.skip(1);
    if (id > 31 || chroma > 3 || sps.frameNumBits > 16 || sps.pocLsbBits > 16 || !in.ok() ||
        !sizeAllowed(mbWidth * 16, mbHeight * 16))
        return std::nullopt;
    setSize(format, static_cast<uint32_t>(mbWidth * 16), static_cast<uint32_t>(mbHeight * 16));
    format.interlaced = !sps.frameMbsOnly;
    if (in.flag()) readWindow(in, format, chroma, sps.frameMbsOnly ? 1 : 2);
    // Without a word on reordering, what the level allows: a smaller guess would drop pictures that come out of order.
    const bool level1b = level == 11 && (constraints & 0x10) && profile <= 88;
    const bool intraOnly = (constraints & 0x10) && isHigh(profile);
    sps.header.reorderDepth = sps.pocType == 2 || references == 0 || intraOnly
                                  ? 0
                                  : dpbFrames(level, level1b, static_cast<unsigned>(mbWidth * mbHeight));
    unsigned matrix = 2;
    bool declared = false;
    if (in.flag()) readVui(in, sps.header, matrix, declared);
    constexpr unsigned kRgb = 0;
    // Monochrome comes out of the decoder as 4:2:0.
    format.chroma = chroma == 3   ? (matrix == kRgb ? v4l2::Chroma::Rgb : v4l2::Chroma::Yuv444)
                    : chroma == 2 ? v4l2::Chroma::Yuv422
                                  : v4l2::Chroma::Yuv420;
    format.minCaptureBuffers = minCaptureBuffers(sps.header.reorderDepth);
    return sps;
}

class H264Syntax final : public Syntax {
public:
    bool isPicture(Bytes unit) const override {
        const unsigned type = unit.empty() ? 0 : unit[0] & 31U;
        return type == 1 || type == 2 || type == 5;
    }

    /// An "end of stream" NAL unit, which is its first byte; an "end of sequence" ends no stream.
    bool isEnd(Bytes unit) const override { return isOnly(unit, {11}); }

    UnitKind inspect(Bytes unit) override {
        if (unit.empty()) return UnitKind::Other;
        if (isPicture(unit)) return slice(unit);
        if (isEnd(unit)) return UnitKind::EndOfStream;
        betweenPictures_ = betweenPictures_ || ((unit[0] & 31U) >= 6 && (unit[0] & 31U) <= 9);
        switch (unit[0] & 31U) {
            case 7:
                grain_.parameterSet();
                takeSps(unescape(unit.subspan(1), kHeaderLimit));
                return UnitKind::Leading;
            case 8:
                takePps(unescape(unit.subspan(1), kHeaderLimit));
                return UnitKind::Leading;
            case 6:
                takeSei(unescape(unit.subspan(1), kHeaderLimit));
                return UnitKind::Leading;
            case 9:
                return UnitKind::Leading;
            default:
                return UnitKind::Other;
        }
    }

    bool owesPicture() const override { return true; }
    bool awaitsField() const override { return last_.field && !secondField_; }
    const std::optional<StreamHeader>& header() const override { return header_; }
    void restart() override {
        last_ = {};
        secondField_ = false;
    }

private:
    void takeSps(const std::vector<uint8_t>& payload) {
        unsigned id = 0;
        auto sps = readSps(payload, id);
        if (!sps) return;
        if (!sawPicture_) header_ = sps->header;
        sps_[id] = *sps;
    }

    void takeSei(const std::vector<uint8_t>& payload) {
        forEachSei(payload, [this](uint32_t type, Bytes message) {
            hdr10_.sei(type, message);
            grain_.sei(type, message);
        });
    }

    void takePps(const std::vector<uint8_t>& payload) {
        BitReader in(payload);
        const unsigned id = in.ue();
        Pps pps;
        pps.sps = in.ue();
        in.skip(1);
        pps.bottomPocPresent = in.flag();
        if (in.ok() && id < pps_.size() && pps.sps < sps_.size()) pps_[id] = pps;
    }

    UnitKind slice(Bytes unit) {
        const auto payload = unescape(unit.subspan(1), kSliceLimit);
        BitReader in(payload);
        PictureId now;
        now.firstMb = in.ue();
        in.ue();
        const unsigned ppsId = in.ue();
        if (ppsId >= pps_.size() || !pps_[ppsId] || !sps_[pps_[ppsId]->sps]) return unknown(now);
        const Pps& pps = *pps_[ppsId];
        const Sps& sps = *sps_[pps.sps];
        now.reference = unit[0] & 0x60;
        now.idr = (unit[0] & 31) == 5;
        if (sps.separatePlanes) in.skip(2);
        now.frameNum = in.bits(sps.frameNumBits);
        if (!sps.frameMbsOnly) {
            now.field = in.flag();
            if (now.field) now.bottom = in.flag();
        }
        if (now.idr) now.idrPicId = in.ue();
        if (sps.pocType == 0) {
            now.pocLsb = in.bits(sps.pocLsbBits);
            if (pps.bottomPocPresent && !now.field) now.deltaPocBottom = in.se();
        } else if (sps.pocType == 1 && !sps.deltaPocAlwaysZero) {
            now.deltaPoc[0] = in.se();
            if (pps.bottomPocPresent && !now.field) now.deltaPoc[1] = in.se();
        }
        if (!in.ok()) return unknown(now);
        now.valid = true;
        header_ = sps.header;
        sawPicture_ = true;
        noteFieldOrder(sps, now);

        const PictureId before = std::exchange(last_, now);
        const UnitKind kind = kindAfter(before, now);
        if (kind == UnitKind::PictureStart) {
            hdr10_.picture(now.idr);
            grain_.picture(now.idr);
            if (now.field) bottomFirst_ = now.bottom;
        }
        header_->format.hdr10 = hdr10_.inForce();
        header_->filmGrain = grain_.inForce();
        header_->format.bottomFirst = bottomFirst_ && header_->format.interlaced;
        return kind;
    }

    UnitKind kindAfter(const PictureId& before, const PictureId& now) {
        // Macroblocks that go on counting under another number are a damaged or lost slice, not a picture begun.
        if (before.valid && now.firstMb > before.firstMb) return UnitKind::Picture;
        // Two streams put together may have two IDR pictures that look the same, but for what stands between them.
        const bool apart = std::exchange(betweenPictures_, false);
        if (before.valid && before.samePicture(now)) return apart ? UnitKind::PictureStart : UnitKind::Companion;
        secondField_ = before.valid && !secondField_ && now.isSecondFieldOf(before);
        return secondField_ ? UnitKind::Companion : UnitKind::PictureStart;
    }

    /// A frame whose fields have the same place in the order says nothing: it may be progressive.
    void noteFieldOrder(const Sps& sps, const PictureId& now) {
        if (now.field) return;
        const int64_t toBottom = sps.pocType == 1 ? int64_t{sps.offsetToBottom} + now.deltaPoc[1] : now.deltaPocBottom;
        if (toBottom != 0) bottomFirst_ = toBottom < 0;
    }

    /// A slice without usable parameter sets: only the count of macroblocks tells.
    UnitKind unknown(const PictureId& now) {
        const PictureId before = std::exchange(last_, now);
        secondField_ = false;
        return now.firstMb > before.firstMb ? UnitKind::Picture : UnitKind::PictureStart;
    }

    std::array<std::optional<Sps>, 32> sps_;
    std::array<std::optional<Pps>, 256> pps_;
    std::optional<StreamHeader> header_;
    Hdr10Messages hdr10_;
    FilmGrain grain_;
    PictureId last_;
    bool bottomFirst_ = false;
    bool secondField_ = false;
    bool sawPicture_ = false;
    bool betweenPictures_ = false;  ///< a unit has come since the last slice that no picture has inside
};

}  // namespace

std::unique_ptr<Syntax> makeH264Syntax() { return std::make_unique<H264Syntax>(); }

bool h264StartsAfresh(Bytes unit) {
    constexpr unsigned kIdr = 5;
    const auto picture = firstPicture(unit, [](uint8_t byte) { return (byte & 31U) >= 1 && (byte & 31U) <= kIdr; });
    return picture && (*picture & 31U) == kIdr;
}

bool h264StartsAnew(const StreamHeader& before, const StreamHeader& now, bool frameThreads) {
    // Frame threads that get a packet without a picture right behind a change of size lose pictures.
    return (frameThreads && !before.format.sameSetup(now.format)) || before.filmGrain != now.filmGrain;
}

}  // namespace daedalus::codec::bitstream
