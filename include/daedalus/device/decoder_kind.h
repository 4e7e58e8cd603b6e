// What tells one kind of decoder from another, as data.
#pragma once

#include <cstdint>

namespace daedalus::device {

/// What a node's sessions have by the kind of the node.
struct DecoderKind {
    const char* card;       ///< the name in QUERYCAP, where the options give none
    uint32_t capabilities;  ///< V4L2_CAP_*: device_caps
};

/// The stateful decoder: streams of many codecs.
extern const DecoderKind kStatefulDecoder;

}  // namespace daedalus::device
