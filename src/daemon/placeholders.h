// Files at the nodes' paths for programs whose system calls are served: what looks at a path, and opens nothing, sees them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daedalus/base/result.h"

namespace daedalus::daemon {

/// How a process gets a /dev of its own, in which a device that everybody may open stands at each node's path.
enum class PlaceholderWay : uint8_t {
    None,            ///< not at all: paths of nodes are shown to those alone who open them to read and write
    MountNamespace,  ///< with CAP_SYS_ADMIN; who the program is stays as it was
    UserNamespace,   ///< without privileges; users and groups other than the program's own are nobody to it
};

/// What findPlaceholderWay() found.
struct PlaceholderTier {
    PlaceholderWay way = PlaceholderWay::None;
    std::string obstacle;  ///< what kept us from it, where the way is None
};

/// Tries it on a child. To be called in a process of one thread.
[[nodiscard]] PlaceholderTier findPlaceholderWay();

/// Puts this process, which starts a program next, into namespaces where `paths` ("/dev/videoN") are placeholders; one that the
/// host has stays what it is. What was done before an error stays, so that the program then must not be started. One thread.
[[nodiscard]] Result<> showPlaceholders(PlaceholderWay way, const std::vector<std::string>& paths);

/// One sentence for the user: whether programs see `nodes` without opening them, why not, and what it changes for them.
[[nodiscard]] std::string describe(const PlaceholderTier& tier, const std::string& nodes);

}  // namespace daedalus::daemon
