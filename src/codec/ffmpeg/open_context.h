// libavcodec's context for one stream, and what of it differs from codec to codec.
#pragma once

#include <optional>

#include "../bitstream/stream_header.h"
#include "av.h"
#include "daedalus/codec/decoder.h"
#include "picture_memory.h"

namespace daedalus::codec::ffmpeg {

/// True if libavcodec reads the sequence header when it is opened, and never again (VC-1).
[[nodiscard]] bool needsSetup(v4l2::Codec codec);

/// True where libavcodec starts anew and forgets the picture that it still holds, or has to.
[[nodiscard]] bool startsAnew(const AVCodecContext& context, v4l2::Codec codec, const bitstream::StreamHeader& before,
                              const bitstream::StreamHeader& now);

/// Codecs whose first pictures libavcodec decodes from nothing, without a word, where there is no key frame before them.
[[nodiscard]] bool needsKeyFrame(v4l2::Codec codec);

/// H.264 streams that do not declare their reordering: libavcodec would start from none and drop pictures while it learns. No
/// effect on other codecs.
void raiseReorderDepth(AVCodecContext& context, v4l2::Codec codec, const bitstream::StreamHeader& header);

/// Opens `decoder` for a stream of these headers (which there must be where needsSetup() says so). `pictures` (may be null)
/// counts. Null if it refuses them: they are the stream's fault. ENOMEM, EIO.
[[nodiscard]] Result<ContextPtr> openContext(v4l2::Codec codec, const AVCodec* decoder, const DecoderOptions& options,
                                             const std::optional<bitstream::StreamHeader>& header, PictureMemory* pictures);

}  // namespace daedalus::codec::ffmpeg
