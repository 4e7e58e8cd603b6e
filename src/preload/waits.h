// Waiting calls, however they are made. Each returns as its function does.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

#include "src/preload/next.h"

namespace daedalus::preload {

int callPoll(By by, pollfd* fds, nfds_t count, int timeoutMs);
int callPpoll(By by, pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask);
int callSelect(By by, int count, fd_set* reads, fd_set* writes, fd_set* exceptions, timeval* timeout);
int callPselect(By by, int count, fd_set* reads, fd_set* writes, fd_set* exceptions, const timespec* timeout,
                const sigset_t* mask);
int callEpollCtl(By by, int set, int operation, int fd, epoll_event* event);
int callEpollPwait(By by, int set, epoll_event* events, int max, int timeoutMs, const sigset_t* mask);
/// True if one of these may be a file of ours: else the call is none of the library's business. Without a system call.
bool mayConcernUs(const pollfd* fds, nfds_t count);
bool mayConcernUs(int count, const fd_set* exceptions);

}  // namespace daedalus::preload
