// What a call costs.
#include <sys/socket.h>

#include <algorithm>

#include "tests/integration/socket/client.h"

namespace daedalus::test {
namespace {

/// Not a test of right and wrong: what one call costs against the least that two processes can do.
void cost() {
    const int fd = openNode();
    constexpr int kRounds = 50'000;
    v4l2_capability capability{};
    double best = 1;
    double bestPing = 1;
    int ends[2];
    EXPECT(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        char bytes[256];
        ::close(ends[0]);
        ssize_t got = 0;
        while ((got = ::recv(ends[1], bytes, sizeof bytes, 0)) > 0) ::send(ends[1], bytes, 168, 0);
        std::_Exit(0);
    }
    ::close(ends[1]);
    for (int batch = 0; batch < 5; ++batch) {
        double start = nowSeconds();
        for (int i = 0; i < kRounds / 5; ++i) EXPECT(::ioctl(fd, VIDIOC_QUERYCAP, &capability) == 0);
        best = std::min(best, (nowSeconds() - start) / (kRounds / 5));
        start = nowSeconds();
        char bytes[256] = {};
        for (int i = 0; i < kRounds / 5; ++i) {
            ::send(ends[0], bytes, 56, 0);
            ::recv(ends[0], bytes, sizeof bytes, 0);
        }
        bestPing = std::min(bestPing, (nowSeconds() - start) / (kRounds / 5));
    }
    std::printf("QUERYCAP %.2f us, ping-pong %.2f us: %.2f times\n", best * 1e6, bestPing * 1e6, best / bestPing);
}

}  // namespace

void addCostCases(Cases& cases) { cases["cost"] = cost; }

}  // namespace daedalus::test
