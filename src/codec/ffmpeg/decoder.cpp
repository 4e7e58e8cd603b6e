#include "decoder.h"

extern "C" {
#include <libavutil/error.h>
}

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <new>
#include <tuple>
#include <utility>
#include <vector>

#include "../bitstream/access_units.h"
#include "../codec_traits.h"
#include "cost.h"
#include "daedalus/base/log.h"
#include "frame.h"
#include "frame_threads.h"
#include "history.h"
#include "open_context.h"
#include "picture_memory.h"
#include "sent_units.h"

namespace daedalus::codec::ffmpeg {
namespace {

/// A stream without a resume point in so many units has none.
constexpr int64_t kLongestSeek = 256;
/// Errors in a row that receive_frame may give before we stop asking.
constexpr int kMostErrors = 64;
/// A stream whose headers we could not read gets this, before and after its first frame.
constexpr uint8_t kUnknownMinCapture = 4;

std::string errorText(int error) {
    std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
    av_strerror(error, text.data(), text.size());
    return text.data();
}

/// Gives the bytes to a packet without a copy; libavcodec wants zeros behind them.
bool fillPacket(AVPacket& packet, std::vector<uint8_t> bytes, memory::Budget::Share share) {
    const size_t size = bytes.size();
    bytes.resize(size + AV_INPUT_BUFFER_PADDING_SIZE);
    struct Owned {
        std::vector<uint8_t> bytes;
        memory::Budget::Share share;
    };
    std::unique_ptr<Owned> owner(new Owned{std::move(bytes), std::move(share)});
    packet.buf = av_buffer_create(
        owner->bytes.data(), owner->bytes.size(),
        [](void* opaque, uint8_t*) { std::unique_ptr<Owned>(static_cast<Owned*>(opaque)); }, owner.get(), 0);
    if (!packet.buf) return false;
    packet.data = owner.release()->bytes.data();
    packet.size = static_cast<int>(size);
    return true;
}

class AvDecoder final : public Decoder {
public:
    AvDecoder(v4l2::Codec codec, const AVCodec* decoder, const DecoderOptions& options)
        : traits_(traitsOf(codec)), decoder_(decoder), options_(options), units_(traits_), threads_(traits_) {
        if (!options_.memory) return;
        pictures_ = std::make_unique<PictureMemory>(codec, options_.memory);
        kept_ = memory::Budget::take(options_.memory, 0);
        dav1d_ = memory::Budget::take(options_.memory, 0);
    }

    Result<> send(std::span<const std::byte> bytes, uint64_t tag) override {
        if (draining_) return fail(EINVAL);
        settling_ = false;
        return guarded<void>([&]() -> Result<> {
            if (!keep(bytes.size())) return fail(ENOMEM);
            // Once, here: from now on nobody else can change these bytes.
            std::vector<uint8_t> copy;
            copy.reserve(bytes.size() + AV_INPUT_BUFFER_PADDING_SIZE);
            const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
            copy.assign(data, data + bytes.size());
            if (!units_.push(std::move(copy), tag))
                results_.push_back(Damaged{tag, "no border of an access unit in 128 MiB; dropped them"});
            std::ignore = keep(0);
            if (units_.tookBack()) {
                results_.clear();
                forget();
            }
            if (!results_.empty()) return {};
            if (const auto decoded = decodeNext(); !decoded) return fail(decoded.error());
            return {};
        });
    }

    void cutAnywhere() override { units_.cutAnywhere(); }

    Result<Received> receive() override {
        return guarded<Received>([&]() -> Result<Received> {
            for (;;) {
                if (!results_.empty()) {
                    Received result = std::move(results_.front());
                    results_.pop_front();
                    return result;
                }
                const auto decoded = decodeNext();
                if (!decoded) return fail(decoded.error());
                if (history_.rewound()) return Received(Working{});
                if (*decoded) continue;
                if (!draining_ && settling_ && threads_.canPush()) {
                    if (const auto pushed = push(); !pushed) return fail(pushed.error());
                    if (results_.empty()) return Received(Working{});
                    continue;
                }
                if (!draining_) return Received(NeedInput{});
                if (drained_) return Received(EndOfStream{});
                if (const auto result = drainContext(); !result) return fail(result.error());
                drained_ = true;
            }
        });
    }

    void settle() override {
        units_.settle();
        settling_ = true;
    }

    bool holdsBack() const override { return units_.holds() || (threads_.canPush() && !awaitsField_); }

    std::optional<StreamFormat> headers() const override {
        const auto& header = header_ ? header_ : units_.header();
        return header ? std::optional(header->format) : std::nullopt;
    }

    Result<> drain() override {
        if (draining_) return {};
        units_.finish();
        draining_ = true;
        return {};
    }

    void flush() override {
        results_.clear();
        units_.reset();
        postponed_.reset();
        draining_ = false;
        drained_ = false;
        if (context_) seekUntil_ = sent_.last() + kLongestSeek;
        forget();
    }

    void resume() override {
        draining_ = false;
        drained_ = false;
        if (!holdsFrames()) return;
        // It takes nothing more before this, and forgets its references: they are decoded again if they are needed.
        avcodec_flush_buffers(context_.get());
        threads_.clear();
        mustCatchUp_ = true;
        givenUntil_ = sent_.last();
    }

private:
    /// Memory that is not there is an errno on every thread.
    template <class T, class Work>
    static Result<T> guarded(const Work& work) {
        try {
            return work();
        } catch (const std::bad_alloc&) {
            return fail(ENOMEM);
        }
    }

    /// What is kept of the stream before it is decoded, and so many bytes more, are taken from the budget; false: it does not
    /// have them.
    [[nodiscard]] bool keep(size_t more) {
        if (!options_.memory || kept_.resize(units_.bytes() + more)) return true;
        log::warn("{} MiB of a stream to be decoded: {}", more >> 20, options_.memory->shortage(more));
        return false;
    }

    /// Ends libavcodec's context, and what it is charged with.
    void closeContext() {
        context_.reset();
        if (pictures_) pictures_->forget();
        std::ignore = dav1d_.resize(0);
    }

    /// libavcodec starts anew.
    void forget() {
        if (context_) avcodec_flush_buffers(context_.get());
        threads_.clear();
        sent_.forgive();
        history_.clear();
        mustCatchUp_ = false;
        settling_ = false;
        sawKeyFrame_ = false;
    }

    /// True if libavcodec may hold pictures that it gives at the end only.
    [[nodiscard]] bool holdsFrames() const {
        if (!context_ || traits_.delaysByNameOnly) return false;
        return (decoder_->capabilities & AV_CODEC_CAP_DELAY) != 0 || hasFrameThreads();
    }

    [[nodiscard]] bool hasFrameThreads() const { return (context_->active_thread_type & FF_THREAD_FRAME) != 0; }

    /// Decodes one access unit, or one of the history again; false if there is none.
    Result<bool> decodeNext() {
        if (const AVPacket* packet = history_.next()) {
            const auto result = decode(*packet);
            // They were given before.
            results_.clear();
            if (!result) return fail(result.error());
            return true;
        }
        auto unit = postponed_ ? std::exchange(postponed_, std::nullopt) : units_.pop();
        if (!unit) return false;
        std::ignore = keep(0);
        if (std::exchange(mustCatchUp_, false) && !traits_.startsAfresh(unit->bytes)) {
            history_.rewind();
            postponed_ = std::move(unit);
            return true;
        }
        const bool endsStream = unit->endsStream;
        if (!unit->bytes.empty())
            if (const auto result = decodeUnit(std::move(*unit)); !result) return fail(result.error());
        // In a drain the end comes anyway.
        if (endsStream && !draining_)
            if (const auto result = endAtMark(); !result) return fail(result.error());
        return true;
    }

    Result<> decodeUnit(bitstream::AccessUnit unit) {
        // FFmpeg 6.0 and newer repeat the last picture at the end of a stream that ends with one.
        if (unit.isPlaceholder) return {};
        if (unit.header) {
            if (const auto result = noteHeader(*unit.header); !result) return result;
        }
        if (traits_.leastSetup && !setupKnown()) {
            results_.push_back(Damaged{unit.tag, "no sequence header before it that libavcodec can use"});
            return {};
        }
        if (!context_) {
            if (const auto result = open(); !result) return result;
            if (!context_) {
                results_.push_back(Damaged{unit.tag, "libavcodec refuses its sequence header"});
                return {};
            }
        }
        return decode(std::move(unit));
    }

    /// The stream says that it ends: gives all its frames, and is ready for another.
    Result<> endAtMark() {
        if (const auto result = drainContext(); !result) return result;
        forget();
        results_.emplace_back(EndOfStream{});
        return {};
    }

    Result<> noteHeader(const bitstream::StreamHeader& header) {
        if (context_ && header_ && traits_.startsAnew(*header_, header, hasFrameThreads())) {
            if (const auto result = drainContext(); !result) return result;
            forget();
            if (traits_.leastSetup || header_->filmGrain != header.filmGrain) closeContext();
        }
        if (context_ && header.maxPixels > (header_ ? header_->maxPixels : 0)) {
            // libdav1d learns how large frames may be when it is opened.
            if (const auto result = drainContext(); !result) return result;
            forget();
            closeContext();
        }
        if (header_ && header_->setup != header.setup) setupRefused_ = false;
        header_ = header;
        if (context_) raiseReorderDepth(*context_, traits_, header);
        return {};
    }

    [[nodiscard]] bool setupKnown() const { return header_ && !header_->setup.empty() && !setupRefused_; }

    /// libdav1d allocates its pictures by itself, so that what they may need at most is taken for as long as it is open.
    Result<> takeForDav1d() {
        if (!traits_.allocatesPictures || !options_.memory || !header_) return {};
        const unsigned frameThreads = options_.threadType == ThreadType::Frame ? options_.threads : 1;
        const StreamFormat& format = header_->format;
        const uint64_t needed = bytesOfDav1d(format, std::min(header_->maxPixels, options_.maxPixels), frameThreads);
        if (dav1d_.resize(needed)) return {};
        log::warn("an AV1 stream of {}x{} needs {} MiB: {}", format.codedWidth, format.codedHeight, needed >> 20,
                  options_.memory->shortage(needed));
        return fail(ENOMEM);
    }

    Result<> open() {
        if (const auto taken = takeForDav1d(); !taken) return taken;
        auto opened = openContext(traits_, decoder_, options_, header_, pictures_.get());
        if (!opened) return fail(opened.error());
        context_ = *std::move(opened);
        // A header that it does not take is the stream's fault.
        setupRefused_ = !context_;
        return {};
    }

    Result<> decode(bitstream::AccessUnit unit) {
        const bool kept = holdsFrames();
        const bool afresh = kept && traits_.startsAfresh(unit.bytes);
        const PacketPtr packet(av_packet_alloc());
        memory::Budget::Share share;
        if (options_.memory) share = memory::Budget::take(options_.memory, unit.bytes.size());
        if (!packet || (options_.memory && !share)) return fail(ENOMEM);
        if (!fillPacket(*packet, std::move(unit.bytes), std::move(share))) return fail(ENOMEM);
        packet->pts = sent_.add(describe(unit), unit.owesPicture && sent_.last() >= seekUntil_);
        awaitsField_ = unit.awaitsField;
        if (kept && !history_.add(*packet, afresh)) return fail(ENOMEM);
        if (const auto decoded = decode(*packet); !decoded) return decoded;
        reportLost(sent_.longAgo());
        return {};
    }

    /// Brings out what frame threads hold. Between the fields of a picture there is no place for it.
    Result<> push() {
        settling_ = !awaitsField_;
        if (!settling_) return {};
        const PacketPtr packet = threads_.filler();
        if (!packet) return fail(ENOMEM);
        context_->skip_frame = AVDISCARD_ALL;
        const auto pushed = decode(*packet);
        context_->skip_frame = AVDISCARD_DEFAULT;
        return pushed;
    }

    Result<> decode(const AVPacket& packet) {
        outcomeOf_ = threads_.sent(*context_, packet);
        int error = avcodec_send_packet(context_.get(), &packet);
        while (error == AVERROR(EAGAIN)) {
            const size_t before = results_.size();
            if (const auto result = collect(); !result) return result;
            if (results_.size() == before) break;
            error = avcodec_send_packet(context_.get(), &packet);
        }
        if (error == AVERROR(ENOMEM)) return fail(ENOMEM);
        if (error < 0) damaged(errorText(error));
        return collect();
    }

    /// The outcome at hand is an error.
    void damaged(std::string reason) {
        const int64_t pts = outcomeOf_.value_or(sent_.last());
        if (pts == FrameThreads::kFiller) return;
        sent_.answered(pts);
        results_.push_back(Damaged{sent_.infoOf(pts).tag, std::move(reason)});
    }

    /// No unit that owes a picture passes without a word.
    void reportLost(int64_t before) {
        while (const auto lost = sent_.takeLost(before))
            results_.push_back(Damaged{sent_.infoOf(*lost).tag, "libavcodec gives no picture for it"});
    }

    /// Takes all frames that are there.
    Result<> collect() {
        for (int errors = 0; errors < kMostErrors;) {
            FramePtr frame(av_frame_alloc());
            if (!frame) return fail(ENOMEM);
            const int error = avcodec_receive_frame(context_.get(), frame.get());
            if (error == AVERROR(EAGAIN) || error == AVERROR_EOF) return {};
            if (error == AVERROR(ENOMEM)) return fail(ENOMEM);
            if (error < 0) {
                damaged(errorText(error));
                ++errors;
                continue;
            }
            take(std::move(frame));
        }
        return {};
    }

    static UnitInfo describe(const bitstream::AccessUnit& unit) {
        if (!unit.header) return {unit.tag, kUnknownMinCapture, false, false, {}, {}};
        const StreamFormat& format = unit.header->format;
        return {unit.tag, format.minCaptureBuffers, format.interlaced, format.bottomFirst, format.conformance, format.hdr10};
    }

    void take(FramePtr frame) {
        const bool given = frame->pts != AV_NOPTS_VALUE && frame->pts <= givenUntil_;
        if (given) return;
        sent_.answered(frame->pts);
        const bool isKey = isMarkedKey(*frame);
        // What was decoded before a key frame is shown before it.
        if (isKey && frame->pts != AV_NOPTS_VALUE) reportLost(frame->pts);
        if (isKey && holdsFrames()) history_.keyFrame(frame->pts);
        sawKeyFrame_ = sawKeyFrame_ || isKey;
        if (!sawKeyFrame_ && traits_.needsKeyFrame) frame->flags |= AV_FRAME_FLAG_CORRUPT;
        // Of what stands before a resume point nothing is shown, but where the stream begins, all of it.
        if (frame->pts <= seekUntil_ && (frame->flags & AV_FRAME_FLAG_CORRUPT)) return;
        seekUntil_ = 0;
        UnitInfo unit = sent_.infoOf(frame->pts);
        // A progressive frame among interlaced ones keeps their order: the format is the stream's, not the picture's.
        if (const FieldOrder order = fieldOrderOf(*frame); order != FieldOrder::Unsaid) fieldOrder_ = order;
        if (fieldOrder_ != FieldOrder::Unsaid) unit.bottomFirst = unit.interlaced && fieldOrder_ == FieldOrder::BottomFirst;
        auto format = formatOf(*frame, unit);
        if (format && traits_.colorimetry) complete(*format);
        if (format)
            results_.push_back(makeFrame(std::move(frame), *format, unit.tag));
        else
            results_.push_back(Damaged{unit.tag, "frame size " + std::to_string(frame->width) + "x" +
                                                     std::to_string(frame->height) + " is more than a node can show"});
    }

    /// Of a codec without fields for colours, which is JPEG: deeper samples than 8 bits stand in the high bits of 16, but for
    /// RGB.
    void complete(StreamFormat& format) const {
        format.colorimetry = traits_.colorimetry();
        const int bits = context_->bits_per_raw_sample;
        if (format.chroma != v4l2::Chroma::Rgb && bits > 8 && bits < format.bitDepth)
            format.zeroBits = static_cast<uint8_t>(format.bitDepth - bits);
    }

    /// Gets all frames that libavcodec still holds. It takes nothing more before avcodec_flush_buffers().
    Result<> drainContext() {
        if (!holdsFrames()) return {};
        const int error = avcodec_send_packet(context_.get(), nullptr);
        if (error == AVERROR(ENOMEM)) return fail(ENOMEM);
        outcomeOf_.reset();
        if (const auto collected = collect(); !collected) return collected;
        reportLost(INT64_MAX);
        return {};
    }

    const CodecTraits& traits_;
    const AVCodec* decoder_;
    DecoderOptions options_;
    bitstream::AccessUnits units_;
    SentUnits sent_;
    FrameThreads threads_;
    std::optional<int64_t> outcomeOf_;  ///< pts of the packet whose outcome libavcodec gives now
    memory::Budget::Share kept_;        ///< compressed bytes that wait
    memory::Budget::Share dav1d_;       ///< its pictures and tables
    std::unique_ptr<PictureMemory> pictures_;
    ContextPtr context_;                             ///< ends before what counts for it
    std::optional<bitstream::StreamHeader> header_;  ///< of the last unit that was decoded
    std::deque<Received> results_;
    History history_;
    std::optional<bitstream::AccessUnit> postponed_;  ///< until the history has been decoded again
    bool mustCatchUp_ = false;                        ///< libavcodec has lost what the next unit may refer to
    int64_t givenUntil_ = 0;                          ///< frames of the units until this serial have come out
    FieldOrder fieldOrder_ = FieldOrder::Unsaid;      ///< of the last frame that had one
    bool draining_ = false;
    bool drained_ = false;
    bool settling_ = false;
    bool awaitsField_ = false;   ///< the unit that was sent last does
    bool sawKeyFrame_ = false;   ///< since libavcodec started anew
    int64_t seekUntil_ = 0;      ///< the serials from a flush on among which a resume point is looked for
    bool setupRefused_ = false;  ///< by libavcodec: the one in header_
};

}  // namespace

std::unique_ptr<Decoder> makeDecoder(v4l2::Codec codec, const AVCodec* decoder, const DecoderOptions& options) {
    return std::make_unique<AvDecoder>(codec, decoder, options);
}

}  // namespace daedalus::codec::ffmpeg
