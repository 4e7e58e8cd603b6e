// Pictures by libavcodec in decode order.
#pragma once

#include <memory>

#include "av.h"
#include "daedalus/codec/picture_decoder.h"

namespace daedalus::codec::ffmpeg {

/// ENOMEM, EIO.
[[nodiscard]] Result<std::unique_ptr<PictureDecoder>> makePictureDecoder(v4l2::Codec codec, const AVCodec* decoder,
                                                                         const DecoderOptions& options);

}  // namespace daedalus::codec::ffmpeg
