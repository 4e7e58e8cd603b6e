// A stream's decoder by libavcodec.
#pragma once

#include <memory>

#include "av.h"
#include "daedalus/codec/decoder.h"

namespace daedalus::codec::ffmpeg {

/// `decoder` is libavcodec's software decoder for `codec`. libavcodec is opened with the first access unit, when its headers
/// are known.
[[nodiscard]] std::unique_ptr<Decoder> makeDecoder(v4l2::Codec codec, const AVCodec* decoder, const DecoderOptions& options);

}  // namespace daedalus::codec::ffmpeg
