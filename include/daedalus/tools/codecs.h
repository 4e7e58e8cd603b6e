// `daedalus codecs`: the coded formats, and what this libavcodec has for them.
#pragma once

namespace daedalus::tools {

/// Prints a table to stdout. Returns the exit status: 0 if at least one can be decoded.
[[nodiscard]] int codecsMain();

}  // namespace daedalus::tools
