// libavcodec's context for one stream.
#pragma once

#include <optional>

#include "../bitstream/stream_header.h"
#include "../codec_traits.h"
#include "av.h"
#include "daedalus/codec/decoder.h"
#include "picture_memory.h"

namespace daedalus::codec::ffmpeg {

/// Streams that do not declare their reordering, of codecs that learn it. No effect on others.
void raiseReorderDepth(AVCodecContext& context, const CodecTraits& traits, const bitstream::StreamHeader& header);

/// Opens `decoder` for a stream of these headers (which there must be where traits.leastSetup says so). `pictures` (may be
/// null) counts. Null if it refuses them: they are the stream's fault. ENOMEM, EIO.
[[nodiscard]] Result<ContextPtr> openContext(const CodecTraits& traits, const AVCodec* decoder, const DecoderOptions& options,
                                             const std::optional<bitstream::StreamHeader>& header, PictureMemory* pictures);

}  // namespace daedalus::codec::ffmpeg
