// HEVC: sequence and picture parameter sets of the base layer, and the first bits of slice segment headers.
#include <array>

#include "codecs.h"
#include "conformance.h"
#include "hdr10.h"
#include "sei.h"
#include "start_code.h"
#include "syntax.h"
#include "vui.h"

namespace daedalus::codec::bitstream {
namespace {

constexpr size_t kHeaderLimit = 16384;
constexpr size_t kSliceLimit = 64;

v4l2::Conformance readProfileTierLevel(BitReader& in, unsigned subLayers) {
    in.skip(2);
    const bool highTier = in.flag();
    const unsigned profileIdc = in.bits(5);
    in.skip(80);
    const auto conformance = hevcConformance(profileIdc, highTier, in.bits(8));
    std::array<bool, 8> profile{};
    std::array<bool, 8> level{};
    for (unsigned i = 0; i + 1 < subLayers; ++i) {
        profile[i] = in.flag();
        level[i] = in.flag();
    }
    if (subLayers > 1)
        for (unsigned i = subLayers - 1; i < 8; ++i) in.skip(2);
    for (unsigned i = 0; i + 1 < subLayers; ++i) {
        if (profile[i]) in.skip(88);
        if (level[i]) in.skip(8);
    }
    return conformance;
}

void skipScalingLists(BitReader& in) {
    for (unsigned size = 0; size < 4; ++size) {
        for (unsigned matrix = 0; matrix < 6; matrix += size == 3 ? 3 : 1) {
            if (!in.flag()) {
                in.ue();
                continue;
            }
            const unsigned count = std::min(64U, 1U << (4 + (size << 1)));
            if (size > 1) in.se();
            for (unsigned i = 0; i < count && in.ok(); ++i) in.se();
        }
    }
}

/// 7.3.7; false if it cannot be.
bool skipReferenceSets(BitReader& in, unsigned count) {
    if (count > 64) return false;
    std::array<unsigned, 64> pictures{};
    for (unsigned set = 0; set < count && in.ok(); ++set) {
        if (set > 0 && in.flag()) {
            in.skip(1);
            in.ue();
            unsigned kept = 0;
            for (unsigned i = 0; i <= pictures[set - 1]; ++i) {
                const bool used = in.flag();
                const bool useDelta = used || in.flag();
                kept += useDelta ? 1 : 0;
            }
            pictures[set] = kept;
        } else {
            const unsigned negative = in.ue();
            const unsigned positive = in.ue();
            if (negative > 16 || positive > 16) return false;
            pictures[set] = negative + positive;
            for (unsigned i = 0; i < pictures[set]; ++i) {
                in.ue();
                in.skip(1);
            }
        }
    }
    return in.ok();
}

/// Reads what stands between the picture size and the VUI only to get past it; false if that failed.
bool skipToVui(BitReader& in, unsigned pocLsbBits) {
    for (int i = 0; i < 6; ++i) in.ue();
    if (in.flag() && in.flag()) skipScalingLists(in);
    in.skip(2);
    if (in.flag()) {
        in.skip(8);
        in.ue();
        in.ue();
        in.skip(1);
    }
    if (!skipReferenceSets(in, in.ue())) return false;
    if (in.flag()) {
        const unsigned count = in.ue();
        if (count > 32) return false;
        in.skip(count * (pocLsbBits + 1));
    }
    in.skip(2);
    return in.ok() && in.flag();
}

std::optional<StreamHeader> readSps(Bytes payload, unsigned& id) {
    BitReader in(payload);
    StreamHeader header;
    StreamFormat& format = header.format;
    in.skip(4);
    const unsigned subLayers = in.bits(3) + 1;
    in.skip(1);
    format.conformance = readProfileTierLevel(in, subLayers);
    id = in.ue();
    unsigned chroma = in.ue();
    if (chroma == 3 && in.flag()) chroma = 0;  // three planes coded apart, each like monochrome
    const uint32_t width = in.ue();
    const uint32_t height = in.ue();
    if (id > 15 || chroma > 3 || !in.ok() || !sizeAllowed(width, height)) return std::nullopt;
    setSize(format, width, height);
    if (in.flag()) readWindow(in, format, chroma);
    format.bitDepth = static_cast<uint8_t>(8 + std::min(in.ue(), 8U));
    in.ue();
    const unsigned pocLsbBits = in.ue() + 4;
    const bool perLayer = in.flag();
    for (unsigned i = perLayer ? 0 : subLayers - 1; i < subLayers; ++i) {
        in.ue();
        header.reorderDepth = std::min(in.ue(), 16U);
        in.ue();
    }
    if (!in.ok()) return std::nullopt;
    format.minCaptureBuffers = minCaptureBuffers(header.reorderDepth);
    format.colorimetry = colorimetry(2, 2, 2, Range::Limited);
    // The VUI is for the colours; a failure on the way there loses nothing else.
    unsigned matrix = 2;
    if (pocLsbBits <= 16 && skipToVui(in, pocLsbBits)) {
        readAspect(in, format);
        matrix = readColours(in, format, Range::Limited);
    }
    constexpr unsigned kRgb = 0;
    constexpr v4l2::Chroma kChroma[] = {v4l2::Chroma::Mono, v4l2::Chroma::Yuv420, v4l2::Chroma::Yuv422, v4l2::Chroma::Yuv444};
    format.chroma = chroma == 3 && matrix == kRgb ? v4l2::Chroma::Rgb : kChroma[chroma];
    return header;
}

class HevcSyntax final : public Syntax {
public:
    bool isPicture(Bytes unit) const override { return unit.size() > 2 && baseLayer(unit) && typeOf(unit) < 32; }

    /// An "end of bitstream" NAL unit, which is its header; an "end of sequence" ends no stream.
    bool isEnd(Bytes unit) const override { return isOnly(unit, {37 << 1, 1}); }

    UnitKind inspect(Bytes unit) override {
        if (unit.size() < 2 || !baseLayer(unit)) return UnitKind::Other;
        if (isPicture(unit)) return slice(unit);
        if (isEnd(unit)) return UnitKind::EndOfStream;
        const unsigned type = typeOf(unit);
        if (type == 33) grain_.parameterSet();
        if (type == 33) takeSps(unescape(unit.subspan(2), kHeaderLimit));
        if (type == 34) takePps(unescape(unit.subspan(2), kHeaderLimit));
        if (type == 39) takeSei(unescape(unit.subspan(2), kHeaderLimit));
        const bool leading =
            (type >= 32 && type <= 35) || type == 39 || (type >= 41 && type <= 44) || (type >= 48 && type <= 55);
        return leading ? UnitKind::Leading : UnitKind::Other;
    }

    bool owesPicture() const override { return owesPicture_; }
    const std::optional<StreamHeader>& header() const override { return header_; }
    void restart() override {}

private:
    static unsigned typeOf(Bytes unit) { return unit[0] >> 1 & 63U; }
    /// IDR and BLA pictures. A CRA picture starts one only where decoding starts, or where it was spliced in.
    static bool startsSequence(unsigned type) { return type >= 16 && type <= 20; }
    static bool baseLayer(Bytes unit) { return (unit[0] & 1) == 0 && (unit[1] >> 3) == 0; }

    void takeSps(const std::vector<uint8_t>& payload) {
        unsigned id = 0;
        const auto header = readSps(payload, id);
        if (!header) return;
        sps_[id] = *header;
        if (!sawPicture_) header_ = *header;
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
        const unsigned sps = in.ue();
        in.skip(1);
        if (!in.ok() || id >= spsOfPps_.size() || sps >= sps_.size()) return;
        spsOfPps_[id] = sps;
        saysOutput_[id] = in.flag();
    }

    UnitKind slice(Bytes unit) {
        const auto payload = unescape(unit.subspan(2), kSliceLimit);
        BitReader in(payload);
        const bool first = in.flag();
        const unsigned type = typeOf(unit);
        if (type >= 16 && type <= 23) in.skip(1);
        const unsigned ppsId = in.ue();
        if (first) hdr10_.picture(startsSequence(type));
        if (first) grain_.picture(startsSequence(type));
        if (in.ok() && ppsId < spsOfPps_.size() && spsOfPps_[ppsId] && sps_[*spsOfPps_[ppsId]]) {
            header_ = sps_[*spsOfPps_[ppsId]];
            header_->format.hdr10 = hdr10_.inForce();
            header_->filmGrain = grain_.inForce();
            sawPicture_ = true;
            // Skipped leading pictures (RASL) are not shown where decoding starts at their CRA picture.
            owesPicture_ = !saysOutput_[ppsId] && type != 8 && type != 9;
        }
        return first ? UnitKind::PictureStart : UnitKind::Picture;
    }

    std::array<std::optional<StreamHeader>, 16> sps_;
    std::array<std::optional<unsigned>, 64> spsOfPps_;
    std::array<bool, 64> saysOutput_{};  ///< of a PPS: its pictures say whether they are shown
    bool owesPicture_ = false;
    std::optional<StreamHeader> header_;
    Hdr10Messages hdr10_;
    FilmGrain grain_;
    bool sawPicture_ = false;
};

}  // namespace

std::unique_ptr<Syntax> makeHevcSyntax() { return std::make_unique<HevcSyntax>(); }

/// IDR and BLA pictures. Behind a CRA picture there may be some that refer to what is before it.
bool hevcStartsAfresh(Bytes unit) {
    const auto picture = firstPicture(unit, [](uint8_t byte) { return (byte >> 1 & 63U) < 32; });
    return picture && (*picture >> 1 & 63U) >= 16 && (*picture >> 1 & 63U) <= 20;
}

}  // namespace daedalus::codec::bitstream
