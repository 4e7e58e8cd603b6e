// What a fuzzed client puts into its OUTPUT buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "input.h"
#include "stage.h"

namespace daedalus::fuzz {

/// The coded formats, and some that are none.
[[nodiscard]] uint32_t pickCoded(Input& input);
/// The raw formats, and some that are none.
[[nodiscard]] uint32_t pickRaw(Input& input);

/// The first bytes of a stream of `fourcc`, or what stands for them in the fake codec's syntax.
[[nodiscard]] std::vector<std::byte> streamStart(Stage::Codecs codecs, uint32_t fourcc, Input& input);
/// A piece of a stream: lines of the fake codec's syntax, or a real access unit with some bytes changed, or raw bytes.
[[nodiscard]] std::vector<std::byte> streamPiece(Stage::Codecs codecs, uint32_t fourcc, Input& input);

}  // namespace daedalus::fuzz
