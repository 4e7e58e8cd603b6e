// What a codec is to the rest: bytes in, frames in display order out. Knows no queue and no ioctl.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>

#include "daedalus/base/result.h"
#include "daedalus/memory/budget.h"
#include "daedalus/v4l2/formats.h"
#include "daedalus/v4l2/stream_facts.h"

namespace daedalus::codec {

/// What the stream's headers say. The first group is what a client sets itself up for: a difference in it is a source change.
/// The rest may change from one frame to the next without one.
struct StreamFormat {
    uint32_t codedWidth = 0;  ///< pixels, multiples of v4l2::kDimensionStep
    uint32_t codedHeight = 0;
    v4l2::Rect visible;  ///< inside the coded frame; exact in all four directions
    v4l2::Chroma chroma = v4l2::Chroma::Yuv420;
    uint8_t bitDepth = 8;
    uint8_t zeroBits = 0;           ///< as in v4l2::Sampling
    uint8_t minCaptureBuffers = 2;  ///< V4L2_CID_MIN_BUFFERS_FOR_CAPTURE
    bool interlaced = false;        ///< frames may hold two fields, interleaved line by line

    bool bottomFirst = false;  ///< of such a frame's fields the bottom one is the older
    v4l2::Colorimetry colorimetry;
    uint32_t pixelAspectNum = 1;
    uint32_t pixelAspectDen = 1;
    v4l2::Conformance conformance;
    v4l2::Hdr10 hdr10;

    [[nodiscard]] v4l2::Sampling sampling() const { return {chroma, bitDepth, zeroBits}; }
    /// True if a client that set itself up for `other` can go on with this stream without a source change.
    [[nodiscard]] bool sameSetup(const StreamFormat& other) const;
    /// V4L2_FIELD_* of its frames.
    [[nodiscard]] uint32_t field() const;
    friend bool operator==(const StreamFormat&, const StreamFormat&) = default;
};

/// Picture type, for V4L2_BUF_FLAG_{KEY,P,B}FRAME.
enum class PictureType : uint8_t { Unknown, Key, P, B };

/// A CAPTURE buffer as the codec sees it: the spans of its V4L2 planes, each at least layout.sizeImage[i] long.
struct CaptureTarget {
    const v4l2::RawFormat* format = nullptr;
    v4l2::FrameLayout layout;
    std::array<std::span<std::byte>, 3> planes;
};

/// One decoded picture, held by reference in the codec's memory. One thread at a time; may outlive its Decoder.
class Frame {
public:
    virtual ~Frame() = default;
    [[nodiscard]] virtual const StreamFormat& format() const = 0;
    /// The tag of the access unit it came from.
    [[nodiscard]] virtual uint64_t tag() const = 0;
    [[nodiscard]] virtual PictureType pictureType() const = 0;
    /// True if the decoder had to conceal errors in it.
    [[nodiscard]] virtual bool damaged() const = 0;
    /// Writes the whole coded frame in the target's format, by v4l2::fitOf() exact or reduced. EINVAL if the target does not
    /// fit this frame (size, chroma, depth, spans).
    [[nodiscard]] virtual Result<> copyTo(const CaptureTarget& target) const = 0;
    /// FNV-1a (64 bit) over the visible samples, for the debug log; costs a pass over the frame.
    [[nodiscard]] virtual uint64_t digest() const = 0;
    /// Name of the decoder's own pixel format, for the debug log: "yuv420p".
    [[nodiscard]] virtual const char* pixelFormatName() const = 0;
};

/// There is no frame now; send more.
struct NeedInput {};
/// Has worked, and has nothing to give yet: receive() goes on. So that no call lasts much longer than one access unit.
struct Working {};
/// Everything was drained: no frame will come before resume() or flush(). Without drain() before it: the stream itself says
/// that it ends here; all its frames have been given, and what comes behind the mark is a stream of its own, decoded as usual.
struct EndOfStream {};
/// What receive() gives: a frame, NeedInput, Working, EndOfStream, or Damaged.
/// Damaged: the access unit of this tag could not be decoded and gives no frame; decoding goes on.
struct Damaged {
    uint64_t tag = 0;
    std::string reason;
};
using Received = std::variant<std::unique_ptr<Frame>, NeedInput, Working, EndOfStream, Damaged>;

/// One stream's decoder. Used by one thread at a time (not always the same).
class Decoder {
public:
    virtual ~Decoder() = default;
    /// Takes the next bytes of the stream (copied before return; may hold a whole access unit, several, or a part). `tag` comes
    /// back with the frames whose access unit starts in these bytes. Decodes: may take a frame's time. Receive everything
    /// before the next send(); only between the first two, what the second shows of the first may still change it. Never fails
    /// for the contents of the bytes; ENOMEM, EIO are fatal until flush().
    [[nodiscard]] virtual Result<> send(std::span<const std::byte> bytes, uint64_t tag) = 0;
    /// The bytes that are sent next, and all behind them until flush(), are cut anywhere, not between access units. Without it
    /// the decoder finds out, and may take a first part for a unit.
    virtual void cutAnywhere() = 0;
    /// The next frame in display order.
    [[nodiscard]] virtual Result<Received> receive() = 0;
    /// No more bytes are at hand for now: receive() goes on with what was held back only because more could come (by threads,
    /// or because the next bytes show whether the last ones were a whole access unit), each call as long as one access unit at
    /// most. The next send() ends that, received to its end or not. Nothing is lost by it, and the order stays.
    virtual void settle() {}
    /// True if settle() would bring out something.
    [[nodiscard]] virtual bool holdsBack() const { return false; }
    /// What is known of the stream before its first frame came out; nothing until the headers were found. After the first
    /// frame the frames' own format counts.
    [[nodiscard]] virtual std::optional<StreamFormat> headers() const = 0;
    /// The end of the stream: receive() now gives all frames that are left, then EndOfStream.
    [[nodiscard]] virtual Result<> drain() = 0;
    /// Ends a drain that was received to its EndOfStream: the next bytes go on where the stream was, and may refer to what came
    /// before the drain.
    virtual void resume() = 0;
    /// Forgets all bytes and frames: the next bytes start at a resume point. Ends a drain.
    virtual void flush() = 0;
};

/// How FFmpeg shares one stream's work between threads.
enum class ThreadType : uint8_t { Auto, Frame, Slice };

struct DecoderOptions {
    unsigned threads = 1;  ///< for this one stream; 1 = decode on the calling thread
    ThreadType threadType = ThreadType::Auto;
    /// Largest picture in samples; a larger one is damage.
    uint64_t maxPixels = uint64_t{v4l2::kMaxDimension} * v4l2::kMaxDimension;
    /// Pictures that the decoder holds are taken from it, as far as it allocates them in a way that can be counted (libdav1d
    /// does not); null: no limit.
    std::shared_ptr<memory::Budget> memory{};
};

class PictureDecoder;

/// Makes decoders. Any thread.
class Factory {
public:
    virtual ~Factory() = default;
    /// True if this build decodes the codec.
    [[nodiscard]] virtual bool supports(v4l2::Codec codec) const = 0;
    /// What decodes it, by its own name ("libdav1d"), or nullptr if nothing does.
    [[nodiscard]] virtual const char* decoderName(v4l2::Codec codec) const = 0;
    /// EINVAL for a codec that is not supported, ENOMEM.
    [[nodiscard]] virtual Result<std::unique_ptr<Decoder>> open(v4l2::Codec codec, const DecoderOptions& options) = 0;
    /// The same for decoders by the controls of each picture (picture_decoder.h).
    [[nodiscard]] virtual bool supportsUnits(v4l2::Codec) const { return false; }
    [[nodiscard]] virtual Result<std::unique_ptr<PictureDecoder>> openUnits(v4l2::Codec codec, const DecoderOptions& options);
};

/// Decoders by libavcodec.
[[nodiscard]] std::unique_ptr<Factory> makeFfmpegFactory();
/// A decoder for tests that needs no bitstream: see src/codec/fake/fake_decoder.h for its toy syntax.
[[nodiscard]] std::unique_ptr<Factory> makeFakeFactory();

}  // namespace daedalus::codec
