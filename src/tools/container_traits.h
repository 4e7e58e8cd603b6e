// How containers keep each codec: a row each.
#pragma once

extern "C" {
#include <libavcodec/codec_par.h>
}

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "daedalus/v4l2/formats.h"

namespace daedalus::tools {

/// One codec in containers, as libavformat reads them. What most codecs are is the default.
struct ContainerTraits {
    using Bytes = std::span<const std::byte>;

    v4l2::Codec codec;
    std::array<AVCodecID, 2> ids;
    /// If not empty: the names that tell it from other codecs of the same id.
    std::span<const uint32_t> tags{};

    /// The part of the container's headers that could stand in the stream itself; empty if there is none.
    Bytes (*streamable)(Bytes headers) = [](Bytes) { return Bytes{}; };
    /// Bytes of a first unit that stay before the headers that it is given.
    size_t (*ahead)(Bytes unit) = [](Bytes) { return size_t{0}; };
    /// Such headers can come with a key frame only.
    bool headersWithKeyOnly = false;
    /// What becomes of the container's headers and frames before that; null where nothing has to.
    std::vector<std::byte> (*sequence)(Bytes headers, uint32_t width, uint32_t height) = nullptr;
    std::vector<std::byte> (*framed)(Bytes frame, bool isKey) = nullptr;

    /// Of a codec that containers have behind lengths: which byte of its record tells how long these are, and libavcodec's
    /// filter that makes start codes of them. Null where there are none.
    size_t lengthsAt = 0;
    const char* startCodeFilter = nullptr;
};

/// The row of a codec.
[[nodiscard]] const ContainerTraits& containerTraitsOf(v4l2::Codec codec);
/// The codec of a container's stream; nothing if it is none of ours.
[[nodiscard]] std::optional<v4l2::Codec> codecOf(const AVCodecParameters& parameters);

}  // namespace daedalus::tools
