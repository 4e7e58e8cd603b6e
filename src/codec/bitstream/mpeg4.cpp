// MPEG-4 part 2 (ISO/IEC 14496-2): visual object, video object layer and VOP start codes.
#include <bit>

#include "codecs.h"
#include "conformance.h"
#include "syntax.h"
#include "vui.h"

namespace daedalus::codec::bitstream {
namespace {

enum StartCode : uint8_t {
    kFirstLayer = 0x20,
    kLastLayer = 0x2F,
    kSequenceStart = 0xB0,
    kGroup = 0xB3,
    kVisualObject = 0xB5,
    kVop = 0xB6,
};

constexpr size_t kNamedAspects = 6;
constexpr unsigned kExtendedAspect = 15;
constexpr unsigned kSimpleType = 1;
/// The studio types have a syntax of their own: their pictures say what they are.
constexpr unsigned kFirstStudioType = 13;
constexpr unsigned kLastStudioType = 14;

void readLayerAspect(BitReader& in, StreamFormat& format) {
    const unsigned code = in.bits(4);
    PixelAspect aspect = namedAspect(code, kNamedAspects);
    if (code == kExtendedAspect) {
        aspect.num = in.bits(8);
        aspect.den = in.bits(8);
    }
    setAspect(format, aspect);
}

/// What of a layer the headers of its pictures need.
struct Layer {
    StreamHeader header;
    unsigned timeBits = 1;
};

/// A video object layer from behind its start code; nothing if it is not one of rectangular pictures.
std::optional<Layer> readLayer(BitReader& in) {
    in.skip(1);  // random accessible
    const unsigned type = in.bits(8);
    if (type >= kFirstStudioType && type <= kLastStudioType) return std::nullopt;
    unsigned version = 1;
    if (in.flag()) {
        version = in.bits(4);
        in.skip(3);
    }
    Layer layer;
    StreamHeader& header = layer.header;
    readLayerAspect(in, header.format);
    header.reorderDepth = type == kSimpleType ? 0 : 1;
    if (in.flag()) {
        in.skip(2);  // 4:2:0
        header.reorderDepth = in.flag() ? 0 : 1;
        constexpr unsigned kVbvBits = 79;
        if (in.flag()) in.skip(kVbvBits);
    }
    constexpr unsigned kRectangular = 0;
    constexpr unsigned kGreyShape = 3;
    const unsigned shape = in.bits(2);
    if (shape == kGreyShape && version != 1) in.skip(4);
    if (shape != kRectangular) return std::nullopt;
    in.skip(1);
    const unsigned resolution = in.bits(16);
    in.skip(1);
    layer.timeBits = resolution > 1 ? static_cast<unsigned>(std::bit_width(resolution - 1)) : 1;
    if (in.flag()) in.skip(layer.timeBits);
    in.skip(1);
    const uint32_t width = in.bits(13);
    in.skip(1);
    const uint32_t height = in.bits(13);
    in.skip(1);
    header.format.interlaced = in.flag();
    if (!in.ok() || !sizeAllowed(width, height)) return std::nullopt;
    setSize(header.format, width, height);
    header.format.minCaptureBuffers = minCaptureBuffers(header.reorderDepth);
    return layer;
}

class Mpeg4Syntax final : public Syntax {
public:
    bool isPicture(Bytes unit) const override { return !unit.empty() && unit[0] == kVop; }

    UnitKind inspect(Bytes unit) override {
        if (unit.empty()) return UnitKind::Other;
        BitReader in(unit.subspan(1));
        if (unit[0] == kVop) {
            if (header_) picture(in);
            return UnitKind::PictureStart;
        }
        if (unit[0] >= kFirstLayer && unit[0] <= kLastLayer) {
            if (const auto layer = readLayer(in)) {
                header_ = layer->header;
                header_->format.colorimetry = colours_;
                header_->format.conformance = conformance_;
                timeBits_ = layer->timeBits;
            }
            return UnitKind::Leading;
        }
        if (unit[0] == kSequenceStart && unit.size() > 1) conformance_ = mpeg4Conformance(unit[1]);
        if (unit[0] == kVisualObject) {
            visualObject(in);
            return UnitKind::Leading;
        }
        // Codes below the layers' are video objects.
        return unit[0] < kFirstLayer || unit[0] == kSequenceStart || unit[0] == kGroup ? UnitKind::Leading : UnitKind::Other;
    }

    bool owesPicture() const override { return owesPicture_; }
    bool isNotCoded() const override { return isNotCoded_; }
    const std::optional<StreamHeader>& header() const override { return header_; }
    void restart() override {}

private:
    void visualObject(BitReader& in) {
        constexpr unsigned kVideo = 1;
        if (in.flag()) in.skip(7);
        if (in.bits(4) != kVideo || !in.flag()) return;
        in.skip(3);  // video format
        const Range range = in.flag() ? Range::Full : Range::Limited;
        ColourDescription colours;
        if (in.flag()) colours = readColourDescription(in);
        if (in.ok()) colours_ = colorimetry(colours.primaries, colours.transfer, colours.matrix, range);
    }

    /// The start of a picture's header up to its field order. A wrong guess on the way there is put right by the first frame.
    void picture(BitReader& in) {
        constexpr unsigned kIntra = 0;
        constexpr unsigned kBidirectional = 2;
        const unsigned type = in.bits(2);
        while (in.ok() && in.flag()) {
        }
        in.skip(1 + timeBits_ + 1);
        const bool coded = in.flag();
        // B pictures are not shown behind one reference only.
        owesPicture_ = in.ok() && coded && type != kBidirectional;
        isNotCoded_ = in.ok() && !coded;
        if (!coded || !header_->format.interlaced) return;
        if (type != kIntra && type != kBidirectional) in.skip(1);
        in.skip(3);
        const bool topFirst = in.flag();
        if (in.ok()) header_->format.bottomFirst = !topFirst;
    }

    std::optional<StreamHeader> header_;
    v4l2::Conformance conformance_;
    unsigned timeBits_ = 1;
    bool owesPicture_ = false;
    bool isNotCoded_ = false;
    v4l2::Colorimetry colours_ = colorimetry(2, 2, 2, Range::Unknown);
};

}  // namespace

std::unique_ptr<Syntax> makeMpeg4Syntax() { return std::make_unique<Mpeg4Syntax>(); }

bool mpeg4StartsAnew(const StreamHeader& before, const StreamHeader& now, bool) {
    return before.format.visible != now.format.visible;
}

}  // namespace daedalus::codec::bitstream
