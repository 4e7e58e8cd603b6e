#include "progress.h"

#include <unistd.h>

#include <cinttypes>
#include <cstdio>

namespace daedalus::tools {

using namespace std::chrono_literals;

Progress::Progress() : terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
    if (shown_) std::fputs("\r\x1b[K", stderr);
}

void Progress::frames(uint64_t count) {
    const auto now = Clock::now();
    if (!terminal_ || now < next_) return;
    next_ = now + 200ms;
    shown_ = true;
    std::fprintf(stderr, "\r%" PRIu64 " frames, %.1f fps\x1b[K", count, static_cast<double>(count) / seconds());
}

double Progress::seconds() const {
    const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
    return elapsed > 0 ? elapsed : 1e-9;
}

}  // namespace daedalus::tools
