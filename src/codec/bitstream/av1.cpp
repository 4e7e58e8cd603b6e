// AV1: the sequence header, and the frame header as far as its size.
#include "codecs.h"
#include "conformance.h"
#include "hdr10.h"
#include "obu.h"
#include "stream_header.h"
#include "vui.h"

namespace daedalus::codec::bitstream {
namespace {

/// What of the sequence header the frame header needs.
struct Sequence {
    StreamHeader header;
    bool reduced = false;
    bool decoderModel = false;
    bool equalInterval = false;
    unsigned presentationTimeBits = 0;
    unsigned widthBits = 0;
    unsigned heightBits = 0;
    unsigned frameIdBits = 0;
    unsigned forceScreenContent = 2;
    unsigned forceIntegerMv = 2;
    unsigned orderHintBits = 0;
};

/// uvlc()
uint32_t readUvlc(BitReader& in) {
    unsigned zeros = 0;
    while (in.ok() && !in.flag()) ++zeros;
    return zeros >= 32 ? UINT32_MAX : in.bits(zeros);
}

void readColour(BitReader& in, unsigned profile, StreamFormat& format) {
    const bool deep = in.flag();
    format.bitDepth = profile == 2 && deep ? (in.flag() ? 12 : 10) : (deep ? 10 : 8);
    const bool mono = profile != 1 && in.flag();
    ColourDescription colours;
    if (in.flag()) colours = readColourDescription(in);
    const auto [primaries, transfer, matrix] = colours;
    if (!mono && primaries == 1 && transfer == 13 && matrix == 0) {
        format.chroma = v4l2::Chroma::Rgb;
        format.colorimetry = colorimetry(primaries, transfer, 2, Range::Full);
        return;
    }
    format.colorimetry = colorimetry(primaries, transfer, matrix, in.flag() ? Range::Full : Range::Limited);
    if (mono) {
        format.chroma = v4l2::Chroma::Mono;
    } else if (profile == 0) {
        format.chroma = v4l2::Chroma::Yuv420;
    } else if (profile == 1) {
        format.chroma = v4l2::Chroma::Yuv444;
    } else if (format.bitDepth == 12) {
        const bool halfAcross = in.flag();
        const bool halfDown = halfAcross && in.flag();
        format.chroma = halfDown ? v4l2::Chroma::Yuv420 : halfAcross ? v4l2::Chroma::Yuv422 : v4l2::Chroma::Yuv444;
    } else {
        format.chroma = v4l2::Chroma::Yuv422;
    }
    constexpr unsigned kIdentity = 0;
    if (format.chroma == v4l2::Chroma::Yuv444 && matrix == kIdentity) format.chroma = v4l2::Chroma::Rgb;
}

/// timing_info() to operating points. Gives the level of the first of these, which is the one that is decoded.
unsigned readOperatingPoints(BitReader& in, Sequence& sequence) {
    unsigned delayBits = 0;
    if (in.flag()) {
        in.skip(64);
        sequence.equalInterval = in.flag();
        if (sequence.equalInterval) readUvlc(in);
        sequence.decoderModel = in.flag();
        if (sequence.decoderModel) {
            delayBits = in.bits(5) + 1;
            in.skip(32 + 5);
            sequence.presentationTimeBits = in.bits(5) + 1;
        }
    }
    const bool displayDelay = in.flag();
    const unsigned points = in.bits(5) + 1;
    unsigned firstLevel = 0;
    for (unsigned i = 0; i < points; ++i) {
        in.skip(12);
        const unsigned level = in.bits(5);
        if (i == 0) firstLevel = level;
        if (level > 7) in.skip(1);
        if (sequence.decoderModel && in.flag()) in.skip(2 * delayBits + 1);
        if (displayDelay && in.flag()) in.skip(4);
    }
    return firstLevel;
}

std::optional<Sequence> readSequence(Bytes payload) {
    BitReader in(payload);
    Sequence sequence;
    const unsigned profile = in.bits(3);
    in.skip(1);
    sequence.reduced = in.flag();
    const unsigned level = sequence.reduced ? in.bits(5) : readOperatingPoints(in, sequence);
    sequence.header.format.conformance = av1Conformance(profile, level);
    sequence.widthBits = in.bits(4) + 1;
    sequence.heightBits = in.bits(4) + 1;
    const uint32_t width = in.bits(sequence.widthBits) + 1;
    const uint32_t height = in.bits(sequence.heightBits) + 1;
    if (!sequence.reduced && in.flag()) {
        sequence.frameIdBits = in.bits(4) + 2;
        sequence.frameIdBits += in.bits(3) + 1;
    }
    in.skip(3);
    if (!sequence.reduced) {
        in.skip(4);
        const bool orderHint = in.flag();
        if (orderHint) in.skip(2);
        if (!in.flag()) sequence.forceScreenContent = in.bits(1);
        if (sequence.forceScreenContent > 0 && !in.flag()) sequence.forceIntegerMv = in.bits(1);
        if (orderHint) sequence.orderHintBits = in.bits(3) + 1;
    }
    in.skip(3);
    if (profile > 2) return std::nullopt;
    readColour(in, profile, sequence.header.format);
    if (!in.ok() || !sizeAllowed(width, height)) return std::nullopt;
    setSize(sequence.header.format, width, height);
    sequence.header.maxPixels = uint64_t{width} * height;
    sequence.header.format.minCaptureBuffers = minCaptureBuffers(0);
    return sequence;
}

/// The size of a shown key frame where it differs from the sequence's.
void readFrameSize(Bytes payload, Sequence& sequence) {
    if (sequence.reduced) return;
    BitReader in(payload);
    constexpr unsigned kKeyFrame = 0;
    const bool existing = in.flag();
    const unsigned type = in.bits(2);
    const bool shown = in.flag();
    if (existing || type != kKeyFrame || !shown) return;
    if (sequence.decoderModel && !sequence.equalInterval) in.skip(sequence.presentationTimeBits);
    in.skip(1);
    const bool screenContent = sequence.forceScreenContent == 2 ? in.flag() : sequence.forceScreenContent != 0;
    if (screenContent && sequence.forceIntegerMv == 2) in.skip(1);
    in.skip(sequence.frameIdBits);
    const bool ownSize = in.flag();
    in.skip(sequence.orderHintBits);
    // Buffer removal times come in between and are not worth understanding here.
    if (!ownSize || (sequence.decoderModel && in.flag())) return;
    const uint32_t width = in.bits(sequence.widthBits) + 1;
    const uint32_t height = in.bits(sequence.heightBits) + 1;
    if (in.ok() && sizeAllowed(width, height)) setSize(sequence.header.format, width, height);
}

/// Metadata holds until another sequence begins, not until the header is said again.
bool sameSequence(const StreamHeader& one, const StreamHeader& other) {
    return one.format.conformance == other.format.conformance && one.format.bitDepth == other.format.bitDepth &&
           one.format.chroma == other.format.chroma && one.format.colorimetry == other.format.colorimetry;
}

}  // namespace

std::optional<StreamHeader> av1Header(Bytes temporalUnit, const std::optional<StreamHeader>& before) {
    std::optional<Sequence> sequence;
    v4l2::Hdr10 hdr10 = before ? before->format.hdr10 : v4l2::Hdr10{};
    while (const auto obu = takeObu(temporalUnit)) {
        if (obu->type == kSequenceHeader) {
            sequence = readSequence(obu->payload);
            if (sequence && before && !sameSequence(sequence->header, *before)) hdr10 = {};
        } else if (obu->type == kMetadata) {
            readHdr10Obu(obu->payload, hdr10);
        } else if ((obu->type == kFrame || obu->type == kFrameHeader) && sequence) {
            readFrameSize(obu->payload, *sequence);
            break;
        }
    }
    std::optional<StreamHeader> header = sequence ? std::optional(sequence->header) : before;
    if (header) header->format.hdr10 = hdr10;
    return header;
}

/// A shown key frame with its sequence header.
bool av1StartsAfresh(Bytes unit) {
    bool sequence = false;
    while (const auto obu = takeObu(unit)) {
        if (obu->type == kSequenceHeader) sequence = true;
        if (obu->type != kFrame && obu->type != kFrameHeader) continue;
        // show_existing_frame, frame_type and show_frame.
        constexpr unsigned kShownKey = 0b0001;
        return sequence && !obu->payload.empty() && obu->payload[0] >> 4U == kShownKey;
    }
    return false;
}

}  // namespace daedalus::codec::bitstream
