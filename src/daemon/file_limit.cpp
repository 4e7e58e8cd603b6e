#include "file_limit.h"

#include <spdlog/fmt/fmt.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "daedalus/base/log.h"

namespace daedalus::daemon {

void raiseFileLimit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) == 0) return;
    log::warn("cannot raise the limit of open files from {} to {}: {}; many sessions at once may fail with EMFILE", before,
              limit.rlim_max, std::strerror(errno));
}

std::string tooFewFiles() {
    // The loop, a connection for each of a client's threads, and some tens of planes.
    constexpr rlim_t kLeast = 64;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max >= kLeast) return {};
    return fmt::format("this process may open {} files only, and one decoder needs {} at least; raise the limit (ulimit -n)",
                       limit.rlim_max, kLeast);
}

void surviveFileSizeLimit() { ::signal(SIGXFSZ, SIG_IGN); }

}  // namespace daedalus::daemon
