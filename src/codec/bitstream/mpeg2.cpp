// MPEG-2 (and MPEG-1) video: sequence, picture and extension headers.
#include <array>
#include <numeric>
#include <utility>

#include "codecs.h"
#include "conformance.h"
#include "syntax.h"
#include "vui.h"

namespace daedalus::codec::bitstream {
namespace {

enum StartCode : uint8_t { kPicture = 0x00, kLastSlice = 0xAF, kSequence = 0xB3, kExtension = 0xB5, kGroup = 0xB8 };
enum Extension : uint8_t { kSequenceExtension = 1, kSequenceDisplay = 2, kPictureCoding = 8 };

class Mpeg2Syntax final : public Syntax {
public:
    bool isPicture(Bytes unit) const override { return !unit.empty() && unit[0] > kPicture && unit[0] <= kLastSlice; }

    UnitKind inspect(Bytes unit) override {
        if (unit.empty()) return UnitKind::Other;
        if (isPicture(unit)) return slice();
        BitReader in(unit.subspan(1));
        switch (unit[0]) {
            case kSequence:
                sequence(in);
                return UnitKind::Leading;
            case kGroup:
                return UnitKind::Leading;
            case kPicture:
                pictureBegun_ = true;
                pictureType(in);
                structure_ = kFrame;
                return UnitKind::Leading;
            case kExtension:
                extension(in);
                return UnitKind::Other;
            default:
                return UnitKind::Other;
        }
    }

    /// B pictures behind one reference only, at an open group's start, are not shown.
    bool owesPicture() const override { return type_ != kBidirectional || references_ > 1; }
    const std::optional<StreamHeader>& header() const override { return header_; }
    void restart() override {
        pictureBegun_ = false;
        firstField_ = 0;
        references_ = 0;
    }

private:
    static constexpr unsigned kBottomField = 2;
    static constexpr unsigned kFrame = 3;
    static constexpr unsigned kBidirectional = 3;
    enum class Standard : uint8_t { Mpeg1, Mpeg2 };

    UnitKind slice() {
        if (!std::exchange(pictureBegun_, false)) return UnitKind::Picture;
        if (structure_ == kFrame) {
            firstField_ = 0;
            if (type_ != kBidirectional) ++references_;
            return UnitKind::PictureStart;
        }
        if (firstField_ != 0 && firstField_ != structure_) {
            firstField_ = 0;
            return UnitKind::Companion;
        }
        firstField_ = structure_;
        bottomFirst_ = structure_ == kBottomField;
        noteFieldOrder();
        if (type_ != kBidirectional) ++references_;
        return UnitKind::PictureStart;
    }

    void pictureType(BitReader& in) {
        in.skip(10);
        type_ = in.bits(3);
    }

    void sequence(BitReader& in) {
        width_ = in.bits(12);
        height_ = in.bits(12);
        aspect_ = in.bits(4);
        // Without a sequence extension it is MPEG-1: progressive 4:2:0.
        StreamHeader header;
        header.reorderDepth = 1;
        header.format.minCaptureBuffers = minCaptureBuffers(header.reorderDepth);
        header.format.colorimetry = colorimetry(2, 2, 2, Range::Limited);
        publish(in, header, Standard::Mpeg1);
    }

    void pictureCoding(BitReader& in) {
        in.skip(16 + 2);
        structure_ = in.bits(2);
        const bool topFirst = in.flag();
        in.skip(7);
        const bool progressive = in.flag();
        // Of a field picture the flag is 0 in any case; of a progressive one it is about repeated fields.
        if (in.ok() && structure_ == kFrame && !progressive) bottomFirst_ = !topFirst;
        noteFieldOrder();
    }

    void noteFieldOrder() {
        if (header_) header_->format.bottomFirst = bottomFirst_ && header_->format.interlaced;
    }

    void extension(BitReader& in) {
        const unsigned type = in.bits(4);
        if (type == kPictureCoding) {
            pictureCoding(in);
            return;
        }
        if (!header_) return;
        StreamHeader header = *header_;
        if (type == kSequenceExtension) {
            header.format.conformance = mpeg2Conformance(in.bits(8));
            header.format.interlaced = !in.flag();
            const unsigned chroma = in.bits(2);
            header.format.chroma = chroma == 3   ? v4l2::Chroma::Yuv444
                                   : chroma == 2 ? v4l2::Chroma::Yuv422
                                                 : v4l2::Chroma::Yuv420;
            width_ |= in.bits(2) << 12;
            height_ |= in.bits(2) << 12;
            in.skip(12 + 1 + 8);
            header.reorderDepth = in.flag() ? 0 : 1;
            header.format.minCaptureBuffers = minCaptureBuffers(header.reorderDepth);
            publish(in, header, Standard::Mpeg2);
        } else if (type == kSequenceDisplay) {
            in.skip(3);
            if (!in.flag()) return;
            const auto colours = readColourDescription(in);
            if (in.ok())
                header_->format.colorimetry = colorimetry(colours.primaries, colours.transfer, colours.matrix, Range::Limited);
        }
    }

    void publish(const BitReader& in, StreamHeader header, Standard standard) {
        if (!in.ok() || !sizeAllowed(width_, height_)) return;
        setSize(header.format, width_, height_);
        header.format.pixelAspectNum = 1;
        header.format.pixelAspectDen = 1;
        if (standard == Standard::Mpeg1) {
            // The height of a pixel in units of 1/10000 of its width.
            constexpr std::array<uint32_t, 15> kHeights = {10000, 10000, 6735,  7031,  7615,  8055,  8437, 8935,
                                                           9157,  9815,  10255, 10695, 10950, 11575, 12015};
            if (aspect_ < kHeights.size()) {
                header.format.pixelAspectNum = kHeights[0];
                header.format.pixelAspectDen = kHeights[aspect_];
            }
            if (aspect_ <= 1) header.format.pixelAspectNum = header.format.pixelAspectDen = 1;
            header_ = header;
            return;
        }
        // Codes 2 to 4 give the shape of the picture, not of the pixel.
        constexpr std::array<std::array<uint32_t, 2>, 5> kShapes = {{{0, 0}, {0, 0}, {4, 3}, {16, 9}, {221, 100}}};
        if (aspect_ < kShapes.size() && kShapes[aspect_][0]) {
            const uint64_t num = uint64_t{kShapes[aspect_][0]} * height_;
            const uint64_t den = uint64_t{kShapes[aspect_][1]} * width_;
            const uint64_t common = std::gcd(num, den);
            header.format.pixelAspectNum = static_cast<uint32_t>(num / common);
            header.format.pixelAspectDen = static_cast<uint32_t>(den / common);
        }
        header_ = header;
    }

    std::optional<StreamHeader> header_;
    uint32_t width_ = 0;
    uint32_t height_ = 0;
    unsigned aspect_ = 1;
    bool pictureBegun_ = false;
    bool bottomFirst_ = false;
    unsigned structure_ = kFrame;
    unsigned type_ = 0;
    unsigned references_ = 0;  ///< pictures since the start that others refer to
    unsigned firstField_ = 0;  ///< structure of a first field whose second is awaited
};

}  // namespace

std::unique_ptr<Syntax> makeMpeg2Syntax() { return std::make_unique<Mpeg2Syntax>(); }

bool mpeg2StartsAnew(const StreamHeader& before, const StreamHeader& now, bool) {
    const auto aspect = [](const StreamFormat& format) { return std::pair(format.pixelAspectNum, format.pixelAspectDen); };
    const bool fieldRows = before.format.interlaced != now.format.interlaced && (now.format.visible.height + 15) / 16 % 2 != 0;
    return before.format.visible != now.format.visible || aspect(before.format) != aspect(now.format) || fieldRows;
}

}  // namespace daedalus::codec::bitstream
