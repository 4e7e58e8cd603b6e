// What the CUSE tests share: a session of the toy codec on a real descriptor.
#pragma once

#include <sys/epoll.h>
#include <sys/select.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "cuse_client.h"
#include "src/codec/fake/fake_decoder.h"
#include "v4l2_client.h"
#include "waiting.h"

namespace daedalus::test {

using namespace std::chrono_literals;

inline constexpr uint32_t kBuffers = 4;
inline constexpr std::chrono::milliseconds kGrace = 5s;

inline int descriptor(V4l2Client& client) { return dynamic_cast<FdClient&>(client.file()).fd(); }

/// A session whose queues stream, and in which nothing is ready.
struct Streaming {
    explicit Streaming(TestNode& node, int flags = 0) : client(node, flags), fd(descriptor(client)) {
        REQUIRE(client.subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0);
        REQUIRE(client.subscribe(V4L2_EVENT_EOS) == 0);
        REQUIRE(client.request(kOutput, kBuffers) == 0);
        REQUIRE(client.streamOn(kOutput) == 0);
        REQUIRE(client.feed(0, "size 16x16\n") == 0);
        REQUIRE(client.event());
        REQUIRE(client.await(kOutput).error == 0);
        REQUIRE(client.request(kCapture, kBuffers) == 0);
        for (uint32_t i = 0; i < kBuffers; ++i) REQUIRE(client.queue(i) == 0);
        REQUIRE(client.streamOn(kCapture) == 0);
    }
    void sendFrame() { CHECK(client.feed(0, "frame 0\n") == 0); }
    void sendStop() { CHECK(client.command(V4L2_DEC_CMD_STOP) == 0); }

    V4l2Client client;
    int fd;
};

}  // namespace daedalus::test
