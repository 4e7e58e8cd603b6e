// The files of ours that the process has in epoll sets. One that is wanted for EPOLLPRI has its second descriptor in the set as
// well, with the same user data.
#pragma once

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>

#include "src/preload/hidden_fd.h"
#include "src/preload/next.h"

namespace daedalus::preload {

/// One file of ours in an epoll set.
struct EpollEntry {
    int set;
    int fd;
    HiddenFd priority;  ///< in the same set for EPOLLPRI, or none
    uint64_t session;
    epoll_event wanted;
};

/// epoll_ctl() on a file of ours. `priority`: what shows its POLLPRI, or -1 where that is not wanted.
int controlEpoll(By by, int set, int operation, int fd, uint64_t session, epoll_event* event, int priority);
/// The entry of `set` with this user data.
bool findEpoll(int set, uint64_t data, EpollEntry& entry);
/// True if any set holds a file of ours.
bool haveEpoll();
/// Drops the entries of sessions for which `gone` is true.
void sweepEpoll(bool (*gone)(uint64_t session, const void* context), const void* context);
/// Copies up to `max` different sessions of the entries.
size_t listEpollSessions(uint64_t* out, size_t max);

}  // namespace daedalus::preload
