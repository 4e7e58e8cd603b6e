// VP8 and VP9 frame headers.
#include "codecs.h"
#include "colorimetry.h"
#include "conformance.h"
#include "stream_header.h"

namespace daedalus::codec::bitstream {
namespace {

constexpr size_t kMostFrames = 8;

/// color_config() of the VP9 specification; false for reserved values.
bool readColour(BitReader& in, unsigned profile, StreamFormat& format) {
    format.bitDepth = profile >= 2 ? (in.flag() ? 12 : 10) : 8;
    const unsigned space = in.bits(3);
    constexpr unsigned kRgb = 7;
    constexpr unsigned kMatrix[] = {2, 5, 1, 6, 7, 9, 2, 0};
    if (space == kRgb) {
        format.chroma = v4l2::Chroma::Rgb;
        format.colorimetry = colorimetry(2, 2, 2, Range::Full);
        if (profile & 1) in.skip(1);
        return (profile & 1) != 0;
    }
    format.colorimetry = colorimetry(2, 2, kMatrix[space], in.flag() ? Range::Full : Range::Limited);
    format.chroma = v4l2::Chroma::Yuv420;
    if (profile & 1) {
        const bool halfAcross = in.flag();
        const bool halfDown = in.flag();
        in.skip(1);
        format.chroma = halfDown ? v4l2::Chroma::Yuv440 : halfAcross ? v4l2::Chroma::Yuv422 : v4l2::Chroma::Yuv444;
    }
    return true;
}

void readSize(BitReader& in, StreamFormat& format) {
    const uint32_t width = in.bits(16) + 1;
    const uint32_t height = in.bits(16) + 1;
    if (sizeAllowed(width, height)) setSize(format, width, height);
}

/// One frame's uncompressed_header(). Keeps in `header` what is known; true if the frame is shown.
bool readVp9Frame(Bytes frame, std::optional<StreamHeader>& header) {
    BitReader in(frame);
    if (in.bits(2) != 2) return false;
    unsigned profile = in.bits(1);
    profile |= in.bits(1) << 1;
    if (profile == 3) in.skip(1);
    if (in.flag()) return true;  // shows an older frame
    const bool inter = in.flag();
    const bool shown = in.flag();
    const bool resilient = in.flag();
    constexpr uint32_t kSyncCode = 0x498342;
    StreamHeader read = header.value_or(StreamHeader{});
    if (!inter) {
        if (in.bits(24) != kSyncCode || !readColour(in, profile, read.format)) return false;
        readSize(in, read.format);
    } else {
        const bool intraOnly = !shown && in.flag();
        if (!resilient) in.skip(2);
        if (intraOnly) {
            if (in.bits(24) != kSyncCode) return false;
            if (profile > 0 && !readColour(in, profile, read.format)) return false;
            in.skip(8);
            readSize(in, read.format);
        } else {
            // The colours of an inter frame are those of the key frame before it: without that one nothing is known.
            if (!header) return shown;
            in.skip(8 + 3 * 4);
            bool likeReference = false;
            for (int i = 0; i < 3 && !likeReference; ++i) likeReference = in.flag();
            if (!likeReference) readSize(in, read.format);
        }
    }
    if (!in.ok() || !read.format.codedWidth) return shown;
    header = read;
    header->format.conformance = vp9Conformance(profile, read.format.visible.width, read.format.visible.height);
    return shown;
}

}  // namespace

std::optional<StreamHeader> vp8Header(Bytes frame) {
    constexpr size_t kKeyHeader = 10;
    if (frame.size() < kKeyHeader || (frame[0] & 1) || frame[3] != 0x9D || frame[4] != 0x01 || frame[5] != 0x2A)
        return std::nullopt;
    const uint32_t width = (frame[6] | frame[7] << 8) & 0x3FFF;
    const uint32_t height = (frame[8] | frame[9] << 8) & 0x3FFF;
    if (!sizeAllowed(width, height)) return std::nullopt;
    StreamHeader header;
    setSize(header.format, width, height);
    header.format.minCaptureBuffers = minCaptureBuffers(0);
    header.format.colorimetry = colorimetry(2, 2, 5, Range::Limited);
    header.format.conformance.profile = frame[0] >> 1 & 3;
    return header;
}

std::optional<StreamHeader> vp9Header(Bytes superframe) {
    std::optional<StreamHeader> header;
    if (superframe.empty()) return header;
    const uint8_t marker = superframe.back();
    const size_t frames = (marker & 7U) + 1;
    const size_t sizeBytes = (marker >> 3 & 3U) + 1;
    const size_t indexSize = 2 + frames * sizeBytes;
    const bool indexed = (marker & 0xE0) == 0xC0 && superframe.size() > indexSize && frames <= kMostFrames &&
                         superframe[superframe.size() - indexSize] == marker;
    if (!indexed) {
        readVp9Frame(superframe, header);
        return header;
    }
    Bytes index = superframe.last(indexSize).subspan(1);
    Bytes rest = superframe.first(superframe.size() - indexSize);
    for (size_t i = 0; i < frames; ++i) {
        size_t size = 0;
        for (size_t byte = 0; byte < sizeBytes; ++byte) size |= static_cast<size_t>(index[i * sizeBytes + byte]) << (8 * byte);
        if (size > rest.size()) break;
        readVp9Frame(rest.first(size), header);
        rest = rest.subspan(size);
    }
    return header;
}

bool vp8StartsAfresh(Bytes unit) { return !unit.empty() && (unit[0] & 1U) == 0; }

size_t vp9PicturesIn(Bytes packet) {
    constexpr uint8_t kMarkerMask = 0xE0;
    constexpr uint8_t kMarker = 0xC0;
    if (packet.empty()) return 1;
    const uint8_t last = packet.back();
    if ((last & kMarkerMask) != kMarker) return 1;
    const size_t frames = (last & 7U) + 1;
    const size_t index = 2 + frames * ((last >> 3 & 3U) + 1);
    return packet.size() >= index && packet[packet.size() - index] == last ? frames : 1;
}

}  // namespace daedalus::codec::bitstream
