// Which access units a decoder can begin with.
#pragma once

#include "bit_reader.h"
#include "daedalus/v4l2/formats.h"

namespace daedalus::codec::bitstream {

/// True if nothing before this access unit is needed to decode it or anything that comes behind it. False also where that is
/// not told by its first bytes.
[[nodiscard]] bool startsAfresh(v4l2::Codec codec, Bytes unit);

}  // namespace daedalus::codec::bitstream
