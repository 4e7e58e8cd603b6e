#include "codec_traits.h"

#include <algorithm>

#include "bitstream/codecs.h"
#include "bitstream/colorimetry.h"
#include "bitstream/vc1.h"

namespace daedalus::codec {
namespace {

using namespace bitstream;
using v4l2::Codec;

/// A header that each unit has for itself.
template <auto Read>
std::optional<StreamHeader> alone(Bytes unit, const std::optional<StreamHeader>&) {
    return Read(unit);
}

// Access unit delimiters.
constexpr uint8_t kH264Filler[] = {0, 0, 1, 9, 0xF0};
constexpr uint8_t kHevcFiller[] = {0, 0, 1, 35 << 1, 1, 0x50};
/// An inter frame that is neither shown nor kept, and leaves the probabilities: the 3 bytes say so and that a header of 40
/// bytes follows, which is zeros.
constexpr std::array<uint8_t, 3 + 40 + 8> kVp8Filler = {0x01, 40 >> 3, 0};
/// Shows an older frame, which is dropped by its pts.
constexpr uint8_t kVp9Filler[] = {0x88};

/// In the order of v4l2::Codec. What is measured: which threads are faster on one stream.
constexpr CodecTraits kTable[] = {
    {
        .codec = Codec::H264,
        .decoders = {"h264"},
        .makeSyntax = makeH264Syntax,
        .startsAfresh = h264StartsAfresh,
        .threading = Threading::FramesFaster,
        .filler = kH264Filler,
        .startsAnew = h264StartsAnew,
        .learnsReordering = true,
    },
    {
        .codec = Codec::Hevc,
        .decoders = {"hevc"},
        .makeSyntax = makeHevcSyntax,
        .startsAfresh = hevcStartsAfresh,
        // Slice threads decode pictures of several slices with wavefronts wrongly.
        .threading = Threading::FramesOnly,
        .filler = kHevcFiller,
    },
    {
        .codec = Codec::Vp8,
        .decoders = {"vp8", "libvpx"},
        .header = alone<vp8Header>,
        .startsAfresh = vp8StartsAfresh,
        .threading = Threading::FramesFaster,
        .filler = kVp8Filler,
    },
    {
        .codec = Codec::Vp9,
        .decoders = {"vp9", "libvpx-vp9"},
        .header = alone<vp9Header>,
        .filler = kVp9Filler,
        .picturesIn = vp9PicturesIn,
    },
    {
        .codec = Codec::Av1,
        // libavcodec's own "av1" only drives hardware.
        .decoders = {"libdav1d", "libaom-av1"},
        .header = av1Header,
        .startsAfresh = av1StartsAfresh,
        .toldNotToDelay = true,
        .allocatesPictures = true,
    },
    {
        .codec = Codec::Mpeg2,
        .decoders = {"mpeg2video"},
        .makeSyntax = makeMpeg2Syntax,
        .startsAnew = mpeg2StartsAnew,
        .needsKeyFrame = true,
        .showsAll = true,
    },
    {
        .codec = Codec::Mpeg1,
        .decoders = {"mpeg1video"},
        .makeSyntax = makeMpeg2Syntax,
        .startsAnew = mpeg2StartsAnew,
        .needsKeyFrame = true,
        .showsAll = true,
    },
    {
        .codec = Codec::Mpeg4,
        .decoders = {"mpeg4"},
        .makeSyntax = makeMpeg4Syntax,
        // Frame threads do not wait for all that interlaced pictures refer to; there are no slice threads for it.
        .threading = Threading::SlicesOnly,
        .startsAnew = mpeg4StartsAnew,
        .needsKeyFrame = true,
    },
    {
        .codec = Codec::Xvid,
        .decoders = {"mpeg4"},
        .makeSyntax = makeMpeg4Syntax,
        .threading = Threading::SlicesOnly,
        .startsAnew = mpeg4StartsAnew,
        .needsKeyFrame = true,
        .tag = v4l2_fourcc('X', 'V', 'I', 'D'),
    },
    {
        .codec = Codec::H263,
        .decoders = {"h263"},
        .header = alone<h263Header>,
        .needsKeyFrame = true,
        .delaysByNameOnly = true,
    },
    {
        .codec = Codec::Flv1,
        .decoders = {"flv"},
        .header = alone<flv1Header>,
        .needsKeyFrame = true,
        .delaysByNameOnly = true,
    },
    {
        .codec = Codec::Mjpeg,
        .decoders = {"mjpeg"},
        .header = alone<jpegHeader>,
        .colorimetry = jpegColorimetry,
    },
    {
        .codec = Codec::Vc1G,
        .decoders = {"vc1"},
        .makeSyntax = makeVc1Syntax,
        .leastSetup = 16,
    },
    {
        .codec = Codec::Vc1L,
        .decoders = {"wmv3"},
        .takeHeader = takeVc1SequenceLayer,
        .takeUnit = takeVc1Frame,
        .leastSetup = 0,
    },
};

constexpr bool isInOrder() {
    for (size_t i = 0; i < std::size(kTable); ++i)
        if (static_cast<size_t>(kTable[i].codec) != i) return false;
    return true;
}
static_assert(isInOrder() && static_cast<size_t>(Codec::Vc1L) + 1 == std::size(kTable));

}  // namespace

const CodecTraits& traitsOf(v4l2::Codec codec) { return kTable[static_cast<size_t>(codec)]; }

}  // namespace daedalus::codec
