// poll() with what a socket cannot show by itself: POLLPRI, by a second descriptor, and POLLERR, told from IN and OUT.
#pragma once

#include <poll.h>
#include <signal.h>
#include <time.h>

#include <cstdint>

#include "src/preload/next.h"

namespace daedalus::preload {

/// A wait's end. Never ends if it was made from a null timeout.
class Deadline {
public:
    explicit Deadline(const timespec* timeout);
    static timespec fromMs(int timeoutMs);
    /// The time that is left, or nullptr for ever.
    const timespec* left();

private:
    bool endless_;
    timespec end_{};
    timespec left_{};
};

/// As ppoll(). `label`: a file that has nothing to wait for shows POLLERR, instead of IN and OUT.
int pollFiles(By by, pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask, bool label);

/// Corrects what a native wait said of a file of ours. `got` and `wanted` are poll masks; what is returned may be 0.
short labelled(int fd, uint64_t session, short got, short wanted);
/// Adds POLLIN to a POLLPRI that came first: an event and its buffer are two descriptors here, but one step of the daemon, and
/// FFmpeg gives up at an EOS event without a frame.
short withItsBuffer(int fd, uint64_t session, short got, short wanted);

}  // namespace daedalus::preload
