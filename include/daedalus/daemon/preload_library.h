// Where the library is that `run` loads into programs.
#pragma once

#include <string>

#include "daedalus/base/result.h"

namespace daedalus::daemon {

/// $DAEDALUS_PRELOAD if set, else the one of the build tree or the installation that this executable stands in, wherever
/// that was moved to, else the one of the place it was built for. ENOENT: none of them exists.
[[nodiscard]] Result<std::string> findPreloadLibrary();

/// All places that findPreloadLibrary() looks at now, for messages: "A, B".
[[nodiscard]] std::string preloadLibraryPlaces();

}  // namespace daedalus::daemon
