// A factory that makes fewer decoders than it could.
#pragma once

#include <memory>
#include <vector>

#include "daedalus/codec/decoder.h"

namespace daedalus::codec {

/// What `all` makes, of `codecs` only; all of it if that is empty.
[[nodiscard]] std::unique_ptr<Factory> narrowed(std::unique_ptr<Factory> all, std::vector<v4l2::Codec> codecs);

}  // namespace daedalus::codec
