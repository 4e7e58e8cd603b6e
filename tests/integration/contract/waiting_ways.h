// poll(), select() and epoll as one: each way of asking gives poll()'s events.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include <array>
#include <span>
#include <string>

#include "daedalus/base/unique_fd.h"
#include "v4l2_client.h"

namespace daedalus::test {

/// One way of waiting for an open file.
struct Way {
    const char* name;
    /// The events that are set of POLLIN, POLLOUT, POLLPRI (and POLLERR, where the way can tell of it); 0 after `timeoutMs`.
    short (*ask)(Client& file, short events, int timeoutMs);
    /// Whether POLLERR has a name of its own; to select() a file with an error is readable and writable.
    bool namesErrors;

    /// What it says of a file with nothing but an error, to a caller that asks for `events`.
    [[nodiscard]] short error(short events) const { return namesErrors ? short{POLLERR} : events; }
};

inline short byPoll(Client& file, short events, int timeoutMs) { return file.poll(events, timeoutMs); }

inline short bySelect(Client& file, short events, int timeoutMs) {
    constexpr std::array<short, 3> kKinds = {POLLIN, POLLOUT, POLLPRI};
    std::array<fd_set, 3> sets;
    for (size_t i = 0; i < sets.size(); ++i) {
        FD_ZERO(&sets[i]);
        if (events & kKinds[i]) FD_SET(file.fd(), &sets[i]);
    }
    timeval timeout{timeoutMs / 1000, timeoutMs % 1000 * 1000};
    if (::select(file.fd() + 1, &sets[0], &sets[1], &sets[2], &timeout) <= 0) return 0;
    int got = 0;
    for (size_t i = 0; i < sets.size(); ++i)
        if (FD_ISSET(file.fd(), &sets[i])) got |= kKinds[i];
    return static_cast<short>(got);
}

/// A set with this one file, wanted for `events` (of poll(), or EPOLLET with them).
inline UniqueFd epollSet(Client& file, uint32_t events) {
    UniqueFd set(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event wanted{.events = events, .data = {.fd = file.fd()}};
    if (::epoll_ctl(set.get(), EPOLL_CTL_ADD, file.fd(), &wanted) != 0) return {};
    return set;
}

inline short inEpoll(const UniqueFd& set, int timeoutMs) {
    epoll_event event{};
    return ::epoll_wait(set.get(), &event, 1, timeoutMs) > 0 ? static_cast<short>(event.events) : short{0};
}

inline short byEpoll(Client& file, short events, int timeoutMs) {
    return inEpoll(epollSet(file, static_cast<uint16_t>(events)), timeoutMs);
}

inline short byEdge(Client& file, short events, int timeoutMs) {
    return inEpoll(epollSet(file, EPOLLET | static_cast<uint16_t>(events)), timeoutMs);
}

/// All ways that the transport in use has: in process there is no descriptor, and where system calls are served epoll tells of
/// an event apart from the queues, and of an error as of both.
inline std::span<const Way> waysOfWaiting() {
    static constexpr std::array<Way, 4> kWays = {{{"poll", byPoll, true},
                                                  {"select", bySelect, false},
                                                  {"epoll", byEpoll, true},
                                                  {"epoll, edge-triggered", byEdge, true}}};
    const std::string transport = TestNode::transport();
    return std::span(kWays).first(transport == "inproc" ? 1 : transport == "notify" ? 2 : kWays.size());
}

}  // namespace daedalus::test
