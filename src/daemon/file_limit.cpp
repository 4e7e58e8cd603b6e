#include "file_limit.h"

#include <sys/resource.h>

#include <cerrno>
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

}  // namespace daedalus::daemon
