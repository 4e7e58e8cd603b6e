// What tells one kind of decoder from another, as data.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
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
    std::span<const v4l2::CodedFormat> (*codedFormats)();
    /// Whether a factory makes decoders of that codec for such sessions.
    bool (*decodes)(const codec::Factory& codecs, v4l2::Codec codec);
    /// Those of the coded formats that OUTPUT can have, as far as they are decoded, and those of them that ENUM_FMT tells.
    bool (*takes)(const v4l2::CodedFormat& coded);
    bool (*lists)(const v4l2::CodedFormat& coded);
    /// The colours of all its formats, whatever a client asks for; nothing if those are the client's and the stream's.
    std::optional<v4l2::Colorimetry> colorimetry;
    bool hasRequests;  ///< there is a media device beside the node
    /// Makes the parts of a session of that name. `resources.codecs` and `listener` outlive them.
    SessionParts (*makeParts)(const m2m::Resources& resources, const std::string& name,
                              m2m::StatefulContext::Listener& listener);
};

/// The stateful decoder: streams of many codecs.
extern const DecoderKind kStatefulDecoder;
/// The stateless decoder: pictures by requests, with a media device beside the node.
extern const DecoderKind kStatelessDecoder;
/// The JPEG decoder, as kernel drivers of such hardware are: pictures of one codec, with that codec's colours.
extern const DecoderKind kJpegDecoder;

}  // namespace daedalus::device
