// What keeps a program from the node.
#pragma once

#include <string>

namespace daedalus::daemon {

/// Why the preload library will not be loaded into `program` (found as execvp() finds it), as a sentence for the user; empty if
/// nothing speaks against it. Of a script, its interpreter is judged.
[[nodiscard]] std::string unreachableBecause(const std::string& program);

}  // namespace daedalus::daemon
