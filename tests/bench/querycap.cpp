#include "querycap.h"

#include <fcntl.h>
#include <linux/videodev2.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>

#include "affinity.h"
#include "measured.h"

namespace daedalus::bench {
namespace {

constexpr int kCallsPerBatch = 2000;
/// Bytes of a request and a reply without a body (proto/wire.h).
constexpr size_t kPingBytes = 56;
constexpr size_t kPongBytes = 64 + sizeof(v4l2_capability);

/// The other process of the ping-pong.
[[noreturn]] void answerPings(int socket, unsigned cpu) {
    if (!stayOn(cpu)) ::_exit(1);
    std::array<char, kPongBytes> message{};
    while (::recv(socket, message.data(), message.size(), 0) > 0)
        if (::send(socket, message.data(), message.size(), MSG_NOSIGNAL) < 0) break;
    ::_exit(0);
}

bool pingPong(int socket) {
    std::array<char, kPongBytes> message{};
    return ::send(socket, message.data(), kPingBytes, MSG_NOSIGNAL) == static_cast<ssize_t>(kPingBytes) &&
           ::recv(socket, message.data(), message.size(), 0) == static_cast<ssize_t>(kPongBytes);
}

/// Microseconds of one call, from a batch of them; negative if one failed.
template <class Call>
double batch(const Call& call) {
    const auto began = Clock::now();
    for (int i = 0; i < kCallsPerBatch; ++i)
        if (!call()) return -1;
    return secondsBetween(began, Clock::now()) * 1e6 / kCallsPerBatch;
}

}  // namespace

int measureQuerycap(const std::string& node, const Arguments& arguments) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        std::perror("socketpair");
        return 1;
    }
    if (!stayOn(arguments.ownCpu)) {
        std::perror("sched_setaffinity");
        return 1;
    }
    const pid_t peer = ::fork();
    if (peer == 0) {
        ::close(ends[0]);
        answerPings(ends[1], arguments.pingCpu);
    }
    ::close(ends[1]);
    const int fd = ::open(node.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (peer < 0 || fd < 0) {
        std::perror(node.c_str());
        return 1;
    }
    std::vector<double> calls;
    std::vector<double> pings;
    bool good = true;
    // The first of each warms up.
    for (unsigned i = 0; good && i <= arguments.querycaps; ++i) {
        const double call = batch([&] {
            v4l2_capability capability{};
            return ::ioctl(fd, VIDIOC_QUERYCAP, &capability) == 0;
        });
        const double ping = batch([&] { return pingPong(ends[0]); });
        good = call >= 0 && ping >= 0;
        if (i == 0) continue;
        calls.push_back(call);
        pings.push_back(ping);
    }
    ::close(ends[0]);
    ::waitpid(peer, nullptr, 0);
    ::close(fd);
    if (!good) {
        std::fprintf(stderr, "QUERYCAP or the ping-pong failed: %s\n", std::strerror(errno));
        return 1;
    }
    Measured measured;
    measured.callUs = median(calls);
    measured.pingPongUs = median(pings);
    printMeasured(measured);
    return 0;
}

}  // namespace daedalus::bench
