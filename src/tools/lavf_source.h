// A PacketSource over libavformat.
#pragma once

#include <memory>
#include <string>

#include "lavf_ptr.h"
#include "packet_source.h"

namespace daedalus::tools {

/// What an error of libav* is called.
[[nodiscard]] std::string errorText(int error);

/// Reads one video stream of a file whose stream information is known already.
[[nodiscard]] Outcome<std::unique_ptr<PacketSource>> makeLavfSource(FormatPtr format, int stream, uint64_t fileSize,
                                                                    const std::string& path);

}  // namespace daedalus::tools
