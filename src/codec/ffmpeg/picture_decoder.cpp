#include "picture_decoder.h"

extern "C" {
#include <libavutil/error.h>
}

#include <algorithm>
#include <new>
#include <utility>

#include "../units/headers.h"
#include "../units/references.h"
#include "frame.h"
#include "open_context.h"
#include "picture_memory.h"

namespace daedalus::codec {

Result<std::unique_ptr<PictureDecoder>> Factory::openUnits(v4l2::Codec, const DecoderOptions&) { return fail(EINVAL); }

namespace ffmpeg {
namespace {

using v4l2::Codec;

/// A picture in libavcodec's memory.
class AvPicture final : public DecodedPicture {
public:
    explicit AvPicture(FramePtr frame) : frame_(std::move(frame)) {}

    Result<> copyTo(const CaptureTarget& target) const override {
        auto format = formatOf(*frame_, {});
        if (!format || format->codedWidth > target.layout.width || format->codedHeight > target.layout.height)
            return fail(EINVAL);
        // What the picture leaves of the buffer is nobody's to look at.
        format->codedWidth = target.layout.width;
        format->codedHeight = target.layout.height;
        FramePtr frame(av_frame_clone(frame_.get()));
        if (!frame) return fail(ENOMEM);
        return makeFrame(std::move(frame), *format, 0)->copyTo(target);
    }

private:
    FramePtr frame_;
};

/// What libavcodec has allocated for one packet.
struct Taken {
    FramePtr copy;           ///< keeps the picture
    AVFrame* own = nullptr;  ///< libavcodec's, which learns of errors
};

/// libavcodec gives pictures in the order in which they are shown; here they are taken where it allocates them, which is the
/// order in which they are decoded. Without frame threads a packet is done when it was sent.
class AvPictureDecoder final : public PictureDecoder {
public:
    AvPictureDecoder(Codec codec, const AVCodec* decoder, const DecoderOptions& options)
        : codec_(codec), decoder_(decoder), options_(options) {
        options_.threadType = ThreadType::Slice;
    }

    Result<> open() {
        if (options_.memory) memory_.emplace(codec_, options_.memory);
        auto opened = openContext(traitsOf(codec_), decoder_, options_, std::nullopt, memory_ ? &*memory_ : nullptr);
        if (!opened) return fail(opened.error());
        context_ = *std::move(opened);
        context_->opaque = this;
        context_->get_buffer2 = [](AVCodecContext* context, AVFrame* frame, int flags) {
            return static_cast<AvPictureDecoder*>(context->opaque)->allocate(context, frame, flags);
        };
        return {};
    }

    Result<Decoded> decode(const PictureUnit& unit) override {
        try {
            std::vector<uint8_t> bytes(unit.bytes.size());
            std::ranges::copy(std::as_bytes(unit.bytes), std::as_writable_bytes(std::span(bytes)).begin());
            Decoded decoded;
            decoded.damage = prepare(unit, bytes);
            if (auto sent = send(std::move(bytes)); !sent) {
                if (sent.error().value == ENOMEM) return fail(ENOMEM);
                if (decoded.damage.empty()) decoded.damage = "libavcodec cannot decode all of it";
            }
            if (takePicture(unit.picture) && decoded.damage.empty()) decoded.damage = "libavcodec had to conceal errors in it";
            if (open_ && openPicture_ == unit.picture) {
                decoded.picture = open_;
            } else if (decoded.damage.empty()) {
                decoded.damage = "libavcodec gives no picture for it";
            }
            return decoded;
        } catch (const std::bad_alloc&) {
            return fail(ENOMEM);
        }
    }

    void forget() override {
        avcodec_flush_buffers(context_.get());
        open_.reset();
        openPicture_.reset();
        mpeg2_.clear();
        vp9_.clear();
        parameterSets_.clear();
    }

private:
    int allocate(AVCodecContext* context, AVFrame* frame, int flags) {
        const int error =
            memory_ ? memory_->allocate(*context, *frame, flags) : avcodec_default_get_buffer2(context, frame, flags);
        if (error < 0) return error;
        FramePtr copy(av_frame_clone(frame));
        if (!copy) return AVERROR(ENOMEM);
        taken_.push_back({std::move(copy), frame});
        return 0;
    }

    /// Puts headers before the bytes, and says what is wrong with the references.
    std::string prepare(const PictureUnit& unit, std::vector<uint8_t>& bytes) {
        switch (codec_) {
            case Codec::Mpeg2:
                return prepareMpeg2(unit, bytes);
            case Codec::H264:
                return prepareH264(unit, bytes);
            case Codec::Vp9:
                return prepareVp9(unit, bytes);
            default:
                return units::missing(unit.references);
        }
    }

    std::string prepareMpeg2(const PictureUnit& unit, std::vector<uint8_t>& bytes) {
        const auto picture = unit.controls.get<v4l2_ctrl_mpeg2_picture>(V4L2_CID_STATELESS_MPEG2_PICTURE);
        const auto headers = units::mpeg2Headers(
            unit.controls.get<v4l2_ctrl_mpeg2_sequence>(V4L2_CID_STATELESS_MPEG2_SEQUENCE), picture,
            unit.controls.get<v4l2_ctrl_mpeg2_quantisation>(V4L2_CID_STATELESS_MPEG2_QUANTISATION), temporalReference_);
        if (openPicture_ != unit.picture) ++temporalReference_;
        bytes.insert(bytes.begin(), headers.begin(), headers.end());
        auto wrong = mpeg2_.check(unit, picture);
        mpeg2_.decoded(unit, picture);
        return wrong;
    }

    std::string prepareH264(const PictureUnit& unit, std::vector<uint8_t>& bytes) {
        const auto sps = unit.controls.get<v4l2_ctrl_h264_sps>(V4L2_CID_STATELESS_H264_SPS);
        const auto pps = unit.controls.get<v4l2_ctrl_h264_pps>(V4L2_CID_STATELESS_H264_PPS);
        const auto scaling = unit.controls.get<v4l2_ctrl_h264_scaling_matrix>(V4L2_CID_STATELESS_H264_SCALING_MATRIX);
        const auto slices = units::h264Slices(bytes);
        // A picture from which all begins anew: what libavcodec holds of before is none of the client's references.
        const bool afresh = !slices.predicted && unit.references.empty() && openPicture_ != unit.picture;
        if (afresh && openPicture_) {
            avcodec_flush_buffers(context_.get());
            parameterSets_.clear();
        }
        std::vector<uint8_t> sets = units::h264Sps(sps);
        for (const uint32_t id : slices.ppsIds) {
            const auto set = units::h264Pps(id, pps, sps, scaling);
            sets.insert(sets.end(), set.begin(), set.end());
        }
        if (sets != parameterSets_) {
            bytes.insert(bytes.begin(), sets.begin(), sets.end());
            parameterSets_ = std::move(sets);
        }
        return slices.predicted ? units::missing(unit.references) : std::string();
    }

    std::string prepareVp9(const PictureUnit& unit, std::vector<uint8_t>& bytes) {
        const auto slots = units::vp9Slots(bytes);
        if (!slots) return "it has no frame header";
        auto wrong = vp9_.follow(unit, *slots, bytes);
        vp9_.decoded(unit, *slots);
        return wrong;
    }

    /// EIO for what libavcodec does not take.
    Result<> send(std::vector<uint8_t> bytes) {
        taken_.clear();
        const size_t size = bytes.size();
        if (size == 0) return fail(EIO);
        bytes.resize(size + AV_INPUT_BUFFER_PADDING_SIZE);
        const PacketPtr packet(av_packet_alloc());
        const FramePtr shown(av_frame_alloc());
        if (!packet || !shown) return fail(ENOMEM);
        packet->data = bytes.data();
        packet->size = static_cast<int>(size);
        int worst = avcodec_send_packet(context_.get(), packet.get());
        // What is shown was taken when it was decoded.
        constexpr int kMost = 64;
        for (int i = 0; i < kMost; ++i) {
            const int error = avcodec_receive_frame(context_.get(), shown.get());
            if (error == AVERROR(EAGAIN) || error == AVERROR_EOF) break;
            if (error < 0 && worst >= 0) worst = error;
        }
        if (worst == AVERROR(ENOMEM)) return fail(ENOMEM);
        if (worst < 0) return fail(EIO);
        return {};
    }

    /// Takes the picture of the packet that was sent; none for the second field of one. True if it is damaged.
    bool takePicture(uint64_t picture) {
        // Of MPEG-2 it may be gone by the second field, if that tells of another size.
        if (taken_.empty() && codec_ != Codec::H264) own_ = nullptr;
        if (!taken_.empty()) {
            // Frames that H.264 streams leave out come before the picture; those that MPEG-2 misses come behind it.
            auto& last = codec_ == Codec::Mpeg2 ? taken_.front() : taken_.back();
            own_ = last.own;
            open_ = std::make_shared<AvPicture>(std::move(last.copy));
            openPicture_ = picture;
        }
        taken_.clear();
        return own_ != nullptr && openPicture_ == picture && own_->decode_error_flags != 0;
    }

    const Codec codec_;
    const AVCodec* const decoder_;
    DecoderOptions options_;
    std::optional<PictureMemory> memory_;  ///< outlives the context
    ContextPtr context_;
    std::vector<Taken> taken_;
    std::shared_ptr<const DecodedPicture> open_;  ///< the last picture, whose second field may follow
    std::optional<uint64_t> openPicture_;
    const AVFrame* own_ = nullptr;
    uint32_t temporalReference_ = 0;
    std::vector<uint8_t> parameterSets_;  ///< that libavcodec knows
    units::Mpeg2References mpeg2_;
    units::Vp9References vp9_;
};

}  // namespace

Result<std::unique_ptr<PictureDecoder>> makePictureDecoder(Codec codec, const AVCodec* decoder, const DecoderOptions& options) {
    auto made = std::make_unique<AvPictureDecoder>(codec, decoder, options);
    if (auto ok = made->open(); !ok) return fail(ok.error());
    return made;
}

}  // namespace ffmpeg
}  // namespace daedalus::codec
