// What a client sees when its node is taken away.
#include <poll.h>

#include <catch2/catch.hpp>

#include "decoding.h"
#include "own_memory.h"
#include "waiting.h"

using namespace daedalus;
using namespace daedalus::test;

TEST_CASE("unplugging wakes who waits, and all calls answer ENODEV") {
    TestNode node;
    V4l2Client client(node, 0);
    V4l2Client other(node);
    v4l2_event_subscription subscription{};
    subscription.type = V4L2_EVENT_EOS;
    REQUIRE(other.ioctl(VIDIOC_SUBSCRIBE_EVENT, &subscription) == 0);
    {
        Waiting waiting([&] {
            v4l2_event event{};
            return client.ioctl(VIDIOC_DQEVENT, &event);
        });
        Waiting polling([&] { return other.file().poll(POLLPRI, 10'000); });
        CHECK(waiting.result(std::chrono::milliseconds(0)) == -1);
        CHECK(polling.result(std::chrono::milliseconds(0)) == -1);
        node.unplug();
        CHECK(waiting.result(std::chrono::seconds(10)) == ENODEV);
        CHECK((polling.result(std::chrono::seconds(10)) & ~POLLPRI & ~POLLERR) == POLLHUP);
    }

    v4l2_capability capability{};
    CHECK(client.ioctl(VIDIOC_QUERYCAP, &capability) == ENODEV);
    CHECK(client.ioctl(_IO('V', 250), nullptr) == ENODEV);
    CHECK((client.file().poll(POLLIN, -1) & POLLHUP) != 0);
    CHECK(client.file().mmap(4096, PROT_READ, 0) == MAP_FAILED);
    CHECK(errno == (isToldOfMappings() ? ENODEV : EINVAL));
    CHECK_THROWS(node.open());
}

TEST_CASE_METHOD(Decoding, "unplugging hangs up on who waits for a frame") {
    Waiting polling([&] { return client.file().poll(POLLIN, 10'000); });
    CHECK(polling.result(std::chrono::milliseconds(0)) == -1);
    node.unplug();
    CHECK((polling.result(std::chrono::seconds(10)) & ~POLLIN & ~POLLERR) == POLLHUP);
}
