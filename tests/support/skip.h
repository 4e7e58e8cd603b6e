// For tests that cannot run everywhere: none of them passes without a word.
#pragma once

#include <string_view>

namespace daedalus::test {

/// Tells that the running test case, or a part of it, cannot run here, and why. The program then says so at its end and exits
/// with the status that Meson counts as skipped, unless a test failed. scripts/test accepts the reasons in tests/skips.txt
/// only.
void skip(std::string_view reason);

/// For builds of libavcodec that cannot make the stream.
inline void skipWithoutEncoder() { skip("this libavcodec has no encoder for the stream"); }

}  // namespace daedalus::test
