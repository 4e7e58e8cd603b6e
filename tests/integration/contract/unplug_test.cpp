// What a client sees when its node is taken away.
#include <poll.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "v4l2_client.h"

using namespace daedalus;
using namespace daedalus::test;

TEST_CASE("unplugging wakes who waits, and all calls answer ENODEV") {
    TestNode node;
    V4l2Client client(node, 0);
    std::atomic<int> waited = -1;
    std::thread waiting([&] {
        v4l2_event event{};
        waited = client.ioctl(VIDIOC_DQEVENT, &event);
    });
    std::atomic<short> polled = 0;
    V4l2Client other(node);
    v4l2_event_subscription subscription{};
    subscription.type = V4L2_EVENT_EOS;
    REQUIRE(other.ioctl(VIDIOC_SUBSCRIBE_EVENT, &subscription) == 0);
    std::thread polling([&] { polled = other.file().poll(POLLPRI, -1); });
    node.unplug();
    waiting.join();
    polling.join();
    CHECK(waited == ENODEV);
    CHECK((polled & POLLHUP) != 0);

    v4l2_capability capability{};
    CHECK(client.ioctl(VIDIOC_QUERYCAP, &capability) == ENODEV);
    CHECK(client.ioctl(_IO('V', 250), nullptr) == ENODEV);
    CHECK((client.file().poll(POLLIN, -1) & POLLHUP) != 0);
    CHECK(client.file().mmap(4096, PROT_READ, 0) == MAP_FAILED);
    CHECK(errno == ENODEV);
    CHECK_THROWS(node.open());
}
