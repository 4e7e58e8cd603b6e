// S21: what poll() says.
#include <catch2/catch.hpp>
#include <string>

#include "decoding.h"

using namespace daedalus;
using namespace daedalus::test;

TEST_CASE_METHOD(Decoding, "S21: poll tells of each queue, of events, and of nothing else") {
    CHECK(client.file().poll(POLLIN | POLLOUT | POLLPRI, 0) == 0);
    REQUIRE(client.feed(0, "frame 0\n") == 0);
    CHECK(client.file().poll(POLLOUT, kPatienceMs) == POLLOUT);
    CHECK(client.file().poll(POLLIN, kPatienceMs) == POLLIN);
    REQUIRE(client.take(kOutput).error == 0);
    REQUIRE(client.take(kCapture).error == 0);
    CHECK(client.file().poll(POLLIN | POLLOUT | POLLPRI, 0) == 0);
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    CHECK(client.file().poll(POLLPRI, kPatienceMs) & POLLPRI);
    REQUIRE(client.event());
    expectEmptyLast();
    // After LAST was taken POLLIN does not stay set.
    CHECK_FALSE(client.file().poll(POLLIN | POLLPRI, 0) & POLLIN);
}

TEST_CASE_METHOD(Decoding, "S14 S21: who is woken by the end finds the last buffer, and who finds that finds the event") {
    for (uint32_t round = 0; round < 200; ++round) {
        INFO(round);
        REQUIRE(client.feed(0, "frame 0\n") == 0);
        REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        // With and without a frame that is on its way when STOP arrives.
        bool told = false;
        for (bool last = false; !last;) {
            const short events = client.file().poll(POLLIN | POLLPRI, kPatienceMs);
            REQUIRE(events & POLLIN);
            const auto taken = client.take(kCapture);
            REQUIRE(taken.error == 0);
            last = (taken.buffer.flags & V4L2_BUF_FLAG_LAST) != 0;
            told = told || client.event(0);
            if (last) {
                REQUIRE(told);
                REQUIRE(client.take(kCapture).error == EPIPE);
                REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
            }
            REQUIRE(client.queue(taken.buffer.index) == 0);
        }
        REQUIRE(client.await(kOutput).error == 0);
    }
}

TEST_CASE("a lenient poll waits for STREAMON, and tells of the end for as long as DQBUF does") {
    Subscribed decoder({.lenientPoll = true});
    auto& client = decoder.client;
    CHECK(client.file().poll(POLLIN | POLLOUT | POLLPRI, 0) == 0);
    REQUIRE(client.request(kOutput, 1) == 0);
    CHECK(client.file().poll(POLLIN | POLLOUT | POLLPRI, 0) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    CHECK(client.file().poll(POLLIN, 0) & POLLERR);  // with one queue on, as always
    decoder.feed("size 64x48\n");
    decoder.sourceChange();
    decoder.setUpCapture(2);
    REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
    decoder.expectEmptyLast();
    for (int round = 0; round < 3; ++round) {
        CHECK(client.file().poll(POLLIN, 0) & POLLIN);
        CHECK(client.take(kCapture).error == EPIPE);
    }
    REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
    CHECK_FALSE(client.file().poll(POLLIN, 0) & POLLIN);
}

TEST_CASE("S21: POLLERR where nothing streams") {
    TestNode node;
    V4l2Client client(node);
    CHECK(client.file().poll(POLLIN, 0) & POLLERR);
    REQUIRE(client.request(kOutput, 1) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    CHECK(client.file().poll(POLLIN, 0) & POLLERR);  // nothing is queued
    REQUIRE(client.feed(0, "nothing\n") == 0);
    CHECK(client.file().poll(POLLOUT, kPatienceMs) == POLLOUT);
}
