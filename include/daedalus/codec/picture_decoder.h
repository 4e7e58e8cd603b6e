// A decoder that is told what it needs picture by picture, by a stateless decoder's controls.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daedalus/base/result.h"
#include "daedalus/codec/decoder.h"
#include "daedalus/v4l2/control_values.h"

namespace daedalus::codec {

/// What a client names as a reference.
struct NamedReference {
    std::optional<uint64_t> picture;  ///< nothing: there is no picture of that timestamp
    bool damaged = false;
};

/// What one request brings: a frame, or one field of it.
struct PictureUnit {
    std::span<const std::byte> bytes;  ///< may change while they are looked at
    const v4l2::ControlValues& controls;
    /// The pictures behind referencesOf() these controls, in their order.
    std::span<const NamedReference> references;
    uint64_t picture;  ///< names what is decoded; the units of one picture have the same
};

/// A picture in decode order, in the codec's memory.
class DecodedPicture {
public:
    virtual ~DecodedPicture() = default;
    /// Writes it to the upper left corner of the target. EINVAL if it is larger, or of another kind.
    [[nodiscard]] virtual Result<> copyTo(const CaptureTarget& target) const = 0;
};

struct Decoded {
    std::shared_ptr<const DecodedPicture> picture;  ///< null if the unit shows none
    /// What is wrong with the unit or what it refers to; empty if nothing is.
    std::string damage;
};

/// One stream's decoder. Used by one thread at a time (not always the same).
class PictureDecoder {
public:
    virtual ~PictureDecoder() = default;
    /// Decodes at once. Never fails for the contents; ENOMEM.
    [[nodiscard]] virtual Result<Decoded> decode(const PictureUnit& unit) = 0;
    /// No picture that was decoded till now is a reference any more.
    virtual void forget() = 0;
};

/// The timestamps (ns) that the controls of a unit name as references, as far as the unit needs them.
[[nodiscard]] std::vector<uint64_t> referencesOf(v4l2::Codec codec, const v4l2::ControlValues& controls);
/// The control that each unit of the codec must bring.
[[nodiscard]] uint32_t mandatoryControl(v4l2::Codec codec);
/// What the pictures are made of, by the controls; 8 bits of 4:2:0 where they say nothing.
[[nodiscard]] v4l2::Sampling samplingOf(v4l2::Codec codec, const v4l2::ControlValues& controls);
/// The size in pixels that the controls tell of all pictures; nothing where each picture tells its own, or none is told yet.
struct PictureSize {
    uint32_t width = 0;
    uint32_t height = 0;
};
[[nodiscard]] std::optional<PictureSize> sizeOf(v4l2::Codec codec, const v4l2::ControlValues& controls);

}  // namespace daedalus::codec
