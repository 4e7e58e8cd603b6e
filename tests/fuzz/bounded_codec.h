// Codecs that cannot take long, whatever the fuzzer feeds them.
#pragma once

#include <memory>

#include "daedalus/codec/decoder.h"

namespace daedalus::fuzz {

/// The fake codec without pauses and with frames smaller than 100x100.
[[nodiscard]] std::unique_ptr<codec::Factory> makeBoundedFakeFactory();
/// FFmpeg's codecs; a stream with large frames ends with a fatal error.
[[nodiscard]] std::unique_ptr<codec::Factory> makeBoundedFfmpegFactory();

}  // namespace daedalus::fuzz
