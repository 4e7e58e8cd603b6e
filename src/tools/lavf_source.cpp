#include "lavf_source.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/error.h>
#include <libavutil/mem.h>
}

#include <algorithm>
#include <array>
#include <climits>
#include <vector>

#include "container_traits.h"
#include "extradata.h"
#include "length_prefixed.h"

namespace daedalus::tools {
namespace {

std::span<const std::byte> asBytes(const uint8_t* data, int size) {
    return {reinterpret_cast<const std::byte*>(data), data != nullptr && size > 0 ? static_cast<size_t>(size) : 0};
}

Fraction orElse(AVRational value, Fraction fallback) {
    return value.num > 0 && value.den > 0 ? Fraction{value.num, value.den} : fallback;
}

/// What makes start codes of lengths.
Outcome<FilterPtr> makeFilter(v4l2::Codec codec, const AVStream& stream, const std::string& path) {
    const char* const name = containerTraitsOf(codec).startCodeFilter;
    AVBSFContext* raw = nullptr;
    const AVBitStreamFilter* kind = av_bsf_get_by_name(name);
    if (kind == nullptr || av_bsf_alloc(kind, &raw) < 0)
        return failure("{}: libavcodec lacks the filter {}; install a complete one", path, name);
    FilterPtr filter(raw);
    filter->time_base_in = stream.time_base;
    if (avcodec_parameters_copy(filter->par_in, stream.codecpar) < 0 || av_bsf_init(filter.get()) < 0)
        return failure("{}: its {} parameters are damaged; repair or re-mux the file", path,
                       avcodec_get_name(stream.codecpar->codec_id));
    return filter;
}

class LavfSource : public PacketSource {
public:
    /// `filter` makes Annex B of units behind lengths of `lengthBytes`; null, and 0, if there are none.
    LavfSource(FormatPtr format, int stream, FilterPtr filter, size_t lengthBytes, std::string path)
        : format_(std::move(format)),
          stream_(format_->streams[stream]),
          filter_(std::move(filter)),
          lengthBytes_(lengthBytes),
          packet_(av_packet_alloc()),
          path_(std::move(path)) {}

    void setInfo(v4l2::Codec codec, uint64_t fileSize) {
        info_.codec = codec;
        info_.fileSize = fileSize;
        info_.width = static_cast<uint32_t>(std::max(0, stream_->codecpar->width));
        info_.height = static_cast<uint32_t>(std::max(0, stream_->codecpar->height));
        info_.timeBase = orElse(stream_->time_base, {1, 25});
        info_.frameRate = orElse(av_guess_frame_rate(format_.get(), stream_, nullptr), {25, 1});
        info_.sampleAspect = orElse(av_guess_sample_aspect_ratio(format_.get(), stream_, nullptr), {1, 1});
    }

    Outcome<std::optional<Packet>> next() override {
        if (!packet_) return failure("{}: out of memory; close other programs", path_);
        while (true) {
            const int error = filter_ ? readFiltered() : readRaw();
            if (error == AVERROR_EOF) return std::optional<Packet>();
            if (error < 0) return failure("{}: cannot be read on: {}; check the file", path_, errorText(error));
            if (packet_->size > 0) return packet();
        }
    }

private:
    int readRaw() {
        while (true) {
            av_packet_unref(packet_.get());
            const int error = av_read_frame(format_.get(), packet_.get());
            // Damage at the end of a file is its end, as for the ffmpeg command.
            if (error == AVERROR_INVALIDDATA) return AVERROR_EOF;
            // Some demuxers take the end of the file for an error.
            if (error == AVERROR(EIO) && avio_feof(format_->pb) != 0) return AVERROR_EOF;
            if (error < 0) return error;
            if (packet_->stream_index != stream_->index) continue;
            takeNewHeaders();
            return 0;
        }
    }

    /// From this packet on the container has other parameters.
    void takeNewHeaders() {
        size_t size = 0;
        const uint8_t* data = av_packet_get_side_data(packet_.get(), AV_PKT_DATA_NEW_EXTRADATA, &size);
        if (data == nullptr || size == 0 || size > INT_MAX - AV_INPUT_BUFFER_PADDING_SIZE) return;
        AVCodecParameters& parameters = *stream_->codecpar;
        auto* copy = static_cast<uint8_t*>(av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE));
        if (copy == nullptr) return;
        std::copy_n(data, size, copy);
        av_freep(&parameters.extradata);
        parameters.extradata = copy;
        parameters.extradata_size = static_cast<int>(size);
        awaitsHeaders_ = true;
        // Packets whose parameters are damaged go on with the old ones, as the decoder would.
        const size_t prefix = lengthBytes(info_.codec, asBytes(copy, parameters.extradata_size));
        if (!filter_ || prefix == 0) return;
        if (auto filter = makeFilter(info_.codec, *stream_, path_)) {
            filter_ = *std::move(filter);
            lengthBytes_ = prefix;
        }
    }

    int readFiltered() {
        while (true) {
            av_packet_unref(packet_.get());
            int error = av_bsf_receive_packet(filter_.get(), packet_.get());
            // A unit that the filter cannot take apart is lost, the next may be well.
            if (error == AVERROR_INVALIDDATA) continue;
            if (error != AVERROR(EAGAIN)) return error;
            error = readRaw();
            if (error < 0 && error != AVERROR_EOF) return error;
            if (error == 0 && !hasWholeUnits(asBytes(packet_->data, packet_->size), lengthBytes_)) continue;
            error = av_bsf_send_packet(filter_.get(), error == AVERROR_EOF ? nullptr : packet_.get());
            if (error < 0 && error != AVERROR_INVALIDDATA && error != AVERROR_EOF) return error;
        }
    }

    std::optional<Packet> packet() {
        auto bytes = asBytes(packet_->data, packet_->size);
        const bool isKey = (packet_->flags & AV_PKT_FLAG_KEY) != 0;
        const ContainerTraits& traits = containerTraitsOf(info_.codec);
        if (traits.framed) framed_ = traits.framed(bytes, isKey);
        if (!framed_.empty()) bytes = framed_;
        const bool headersMayCome = !traits.headersWithKeyOnly || isKey;
        if (headersMayCome && std::exchange(awaitsHeaders_, false)) {
            const AVCodecParameters& parameters = filter_ ? *filter_->par_out : *stream_->codecpar;
            auto headers = asBytes(parameters.extradata, parameters.extradata_size);
            std::vector<std::byte> sequence;
            if (traits.sequence) headers = sequence = traits.sequence(headers, info_.width, info_.height);
            extended_ = withExtradata(info_.codec, headers, bytes);
            if (!extended_.empty()) bytes = extended_;
        }
        Packet result;
        result.bytes = bytes;
        if (packet_->pts != AV_NOPTS_VALUE) result.pts = packet_->pts;
        result.duration = packet_->duration;
        result.discard = (packet_->flags & AV_PKT_FLAG_DISCARD) != 0;
        return result;
    }

    FormatPtr format_;
    AVStream* stream_;
    FilterPtr filter_;
    size_t lengthBytes_;
    PacketPtr packet_;
    std::string path_;
    std::vector<std::byte> framed_;
    std::vector<std::byte> extended_;
    bool awaitsHeaders_ = true;  ///< the container's headers were not given yet
};

}  // namespace

std::string errorText(int error) {
    std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
    av_strerror(error, text.data(), text.size());
    return text.data();
}

Outcome<std::unique_ptr<PacketSource>> makeLavfSource(FormatPtr format, int stream, uint64_t fileSize,
                                                      const std::string& path) {
    // Only the chosen stream is wanted of a container with many.
    for (unsigned i = 0; i < format->nb_streams; ++i)
        if (static_cast<int>(i) != stream) format->streams[i]->discard = AVDISCARD_ALL;
    const AVStream* chosen = format->streams[stream];
    const AVCodecParameters& parameters = *chosen->codecpar;
    const auto codec = codecOf(parameters);
    if (!codec)
        return failure("{}: unsupported codec {}; `daedalus codecs` lists those that can be decoded", path,
                       avcodec_get_name(parameters.codec_id));

    FilterPtr filter;
    const size_t prefix = lengthBytes(*codec, asBytes(parameters.extradata, parameters.extradata_size));
    if (prefix > 0) {
        auto made = makeFilter(*codec, *chosen, path);
        if (!made) return failure(made.error());
        filter = *std::move(made);
    }
    auto source = std::make_unique<LavfSource>(std::move(format), stream, std::move(filter), prefix, path);
    source->setInfo(*codec, fileSize);
    return source;
}

}  // namespace daedalus::tools
