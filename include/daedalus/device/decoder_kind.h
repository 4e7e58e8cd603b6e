// What tells one kind of decoder from another, as data.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "daedalus/device/controls.h"
#include "daedalus/m2m/context.h"
#include "daedalus/m2m/stateful.h"

namespace daedalus::device {

/// What does a session's work, and its controls, which may refer to it.
struct SessionParts {
    std::unique_ptr<m2m::Context> context;
    std::unique_ptr<Controls> controls;
};

/// What a node's sessions have by the kind of the node.
struct DecoderKind {
    const char* card;       ///< the name in QUERYCAP, where the options give none
    uint32_t capabilities;  ///< V4L2_CAP_*: device_caps
    /// Makes the parts of a session of that name. `resources.codecs` and `listener` outlive them.
    SessionParts (*makeParts)(const m2m::Resources& resources, const std::string& name,
                              m2m::StatefulContext::Listener& listener);
};

/// The stateful decoder: streams of many codecs.
extern const DecoderKind kStatefulDecoder;

}  // namespace daedalus::device
