// A stream's decoder by libavcodec.
#pragma once

#include <memory>

#include "av.h"
#include "daedalus/codec/decoder.h"

namespace daedalus::codec::ffmpeg {

/// The software decoder for `codec` in this libavcodec, or nullptr.
[[nodiscard]] const AVCodec* findDecoder(v4l2::Codec codec);

/// `decoder` is findDecoder(codec). libavcodec is opened with the first access unit, when its headers are known.
[[nodiscard]] std::unique_ptr<Decoder> makeDecoder(v4l2::Codec codec, const AVCodec* decoder, const DecoderOptions& options);

}  // namespace daedalus::codec::ffmpeg
