#include "../codec_traits.h"
#include "daedalus/base/log.h"
#include "daedalus/codec/decoder.h"
#include "daedalus/codec/picture_decoder.h"
#include "decoder.h"
#include "picture_decoder.h"

extern "C" {
#include <libavutil/log.h>
}

#include <cstdarg>
#include <cstdio>
#include <new>
#include <string_view>

namespace daedalus::codec {
namespace {

/// libavcodec's messages are about the bitstream, which is the client's: debug at most. Any thread.
void logLine(void* object, int level, const char* format, va_list arguments) {
    if (level > AV_LOG_VERBOSE || !spdlog::should_log(spdlog::level::debug)) return;
    char text[512];
    const int length = std::vsnprintf(text, sizeof text, format, arguments);
    if (length <= 0) return;
    std::string_view line(text, std::min(static_cast<size_t>(length), sizeof text - 1));
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
    const AVClass* type = object ? *static_cast<const AVClass**>(object) : nullptr;
    if (!line.empty()) log::debug("libavcodec: {}: {}", type ? type->item_name(object) : "-", line);
}

/// The software decoder for `codec` in this libavcodec, or nullptr.
const AVCodec* findDecoder(v4l2::Codec codec) {
    for (const char* name : traitsOf(codec).decoders)
        if (const AVCodec* found = name ? avcodec_find_decoder_by_name(name) : nullptr) return found;
    return nullptr;
}

class FfmpegFactory final : public Factory {
public:
    FfmpegFactory() { av_log_set_callback(&logLine); }

    bool supports(v4l2::Codec codec) const override { return findDecoder(codec) != nullptr; }

    const char* decoderName(v4l2::Codec codec) const override {
        const AVCodec* decoder = findDecoder(codec);
        return decoder ? decoder->name : nullptr;
    }

    Result<std::unique_ptr<Decoder>> open(v4l2::Codec codec, const DecoderOptions& options) override {
        const AVCodec* decoder = findDecoder(codec);
        if (!decoder) return fail(EINVAL);
        try {
            return ffmpeg::makeDecoder(codec, decoder, options);
        } catch (const std::bad_alloc&) {
            return fail(ENOMEM);
        }
    }

    // By other decoders than libavcodec's own no picture could be had before it is shown.
    bool supportsUnits(v4l2::Codec codec) const override {
        const AVCodec* decoder = findDecoder(codec);
        return decoder && mandatoryControl(codec) != 0 && !std::string_view(decoder->name).starts_with("lib");
    }

    Result<std::unique_ptr<PictureDecoder>> openUnits(v4l2::Codec codec, const DecoderOptions& options) override {
        if (!supportsUnits(codec)) return fail(EINVAL);
        try {
            return ffmpeg::makePictureDecoder(codec, findDecoder(codec), options);
        } catch (const std::bad_alloc&) {
            return fail(ENOMEM);
        }
    }
};

}  // namespace

std::unique_ptr<Factory> makeFfmpegFactory() { return std::make_unique<FfmpegFactory>(); }

}  // namespace daedalus::codec
