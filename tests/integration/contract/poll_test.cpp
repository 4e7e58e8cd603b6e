// S21: what poll(), select() and epoll say.
#include <catch2/catch.hpp>
#include <string>

#include "decoding.h"
#include "skip.h"
#include "waiting_ways.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr short kAll = POLLIN | POLLOUT | POLLPRI;

}  // namespace

TEST_CASE("S21: each way of waiting tells of each queue, of events, and of nothing else") {
    for (const Way& way : waysOfWaiting()) {
        INFO(way.name);
        Decoding d;
        auto& client = d.client;
        const auto now = [&](short events) { return way.ask(client.file(), events, 0); };
        const auto wait = [&](short events) { return way.ask(client.file(), events, kPatienceMs); };
        CHECK(now(kAll) == 0);
        REQUIRE(client.feed(0, "frame 0\n") == 0);
        CHECK(wait(POLLOUT) == POLLOUT);
        CHECK(wait(POLLIN) == POLLIN);
        CHECK(now(kAll) == (POLLIN | POLLOUT));
        CHECK(now(POLLPRI) == 0);
        REQUIRE(client.take(kOutput).error == 0);
        CHECK(now(kAll) == POLLIN);
        REQUIRE(client.take(kCapture).error == 0);
        CHECK(now(kAll) == 0);
        REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        CHECK(wait(POLLPRI) == POLLPRI);
        CHECK(wait(kAll) == (POLLIN | POLLPRI));
        d.endOfStream();
        CHECK(now(kAll) == POLLIN);
        // After LAST was taken it is readable until DQBUF has said EPIPE, once.
        CHECK(client.take(kCapture).buffer.flags & V4L2_BUF_FLAG_LAST);
        CHECK(now(kAll) == POLLIN);
        CHECK(client.take(kCapture).error == EPIPE);
        CHECK(now(kAll) == 0);
        CHECK(client.take(kCapture).error == EPIPE);
        CHECK(now(kAll) == 0);
        REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
        REQUIRE(client.feed(0, "frame 1\n") == 0);
        CHECK(wait(POLLIN) == POLLIN);
    }
}

TEST_CASE("S21: a client that polls on after EPIPE neither spins nor waits for ever") {
    for (const Way& way : waysOfWaiting()) {
        INFO(way.name);
        Decoding d;
        auto& client = d.client;
        REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        d.expectEmptyLast();
        const auto began = std::chrono::steady_clock::now();
        for (int round = 0; round < 3; ++round) {
            CHECK(way.ask(client.file(), POLLIN, kPatienceMs) == POLLIN);
            CHECK(client.take(kCapture).error == EPIPE);
        }
        CHECK(std::chrono::steady_clock::now() - began >= 2 * queue::kEndAgain);
        REQUIRE(client.event());
        REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
        REQUIRE(client.feed(0, "frame 1\n") == 0);
        d.expectFrame(1);
    }
}

TEST_CASE("S7 S21: there is no POLLERR while a source change awaits its answer") {
    for (const Way& way : waysOfWaiting()) {
        INFO(way.name);
        Subscribed s;
        auto& client = s.client;
        const auto now = [&](short events) { return way.ask(client.file(), events, 0); };
        s.startOutput("size 64x48\nframe 0\n");
        REQUIRE(client.await(kOutput).error == 0);
        // Nothing is queued on either queue now, and CAPTURE does not stream.
        CHECK(way.ask(client.file(), kAll, kPatienceMs) == POLLPRI);
        s.sourceChange();
        CHECK(now(kAll) == 0);
        REQUIRE(client.request(kCapture, 3) == 0);
        CHECK(now(kAll) == 0);
        s.queueCapture(3);
        REQUIRE(client.streamOn(kCapture) == 0);
        s.expectFrame(0);
        // The same in the middle, where CAPTURE is stopped to answer a change.
        s.feed("size 96x80\nframe 1\n");
        REQUIRE(client.await(kCapture).buffer.flags & V4L2_BUF_FLAG_LAST);
        s.sourceChange();
        REQUIRE(client.streamOff(kCapture) == 0);
        REQUIRE(client.request(kCapture, 0) == 0);
        CHECK(now(kAll) == 0);
        s.setUpCapture(3);
        s.expectFrame(1);
        // Where nothing is awaited there is one as ever.
        REQUIRE(client.streamOff(kCapture) == 0);
        CHECK(now(kAll) == way.error(POLLIN | POLLOUT));
    }
}

TEST_CASE_METHOD(Decoding, "S21: POLLRDNORM and POLLWRNORM go with POLLIN and POLLOUT") {
    constexpr short kNormal = POLLRDNORM | POLLWRNORM;
    CHECK(client.file().poll(kNormal, 0) == 0);
    REQUIRE(client.feed(0, "frame 0\n") == 0);
    CHECK(client.file().poll(POLLWRNORM, kPatienceMs) == POLLWRNORM);
    CHECK(client.file().poll(POLLRDNORM, kPatienceMs) == POLLRDNORM);
    REQUIRE(client.take(kOutput).error == 0);
    CHECK(client.file().poll(kNormal | POLLIN, 0) == (POLLRDNORM | POLLIN));
}

TEST_CASE("S21: a wait that has begun ends with what it waits for") {
    for (const Way& way : waysOfWaiting()) {
        INFO(way.name);
        Decoding d;
        auto& client = d.client;
        for (const short events : {POLLIN, POLLOUT, POLLPRI}) {
            INFO(events);
            Waiting waiting([&, events] { return way.ask(client.file(), events, kPatienceMs); });
            if (events == POLLPRI) REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
            if (events != POLLPRI) REQUIRE(client.feed(0, "frame 0\n") == 0);
            CHECK(waiting.result(std::chrono::milliseconds(2 * kPatienceMs)) == events);
            if (events == POLLPRI) continue;
            REQUIRE(client.await(kOutput).error == 0);
            REQUIRE(client.await(kCapture).error == 0);
        }
        // An event alone, beside which nothing changes.
        d.endOfStream();
        Waiting waiting([&] { return way.ask(client.file(), POLLPRI, kPatienceMs); });
        REQUIRE(client.subscribe(V4L2_EVENT_CTRL, V4L2_CID_MIN_BUFFERS_FOR_CAPTURE, V4L2_EVENT_SUB_FL_SEND_INITIAL) == 0);
        CHECK(waiting.result(std::chrono::milliseconds(2 * kPatienceMs)) == POLLPRI);
    }
}

TEST_CASE_METHOD(Decoding, "S21: edge-triggered epoll tells of a buffer and of an event, and not again before the next",
                 "[descriptor]") {
    if (client.file().fd() < 0) return skip("there is no descriptor in process");
    const UniqueFd set = epollSet(client.file(), EPOLLET | EPOLLIN | EPOLLPRI);
    REQUIRE(set);
    // That, and nothing but that and `perhaps`.
    const auto told = [&](short events, short perhaps = 0) {
        short got = 0;
        while (!(got & events)) {
            const short more = inEpoll(set, kPatienceMs);
            REQUIRE(more != 0);
            got = static_cast<short>(got | more);
        }
        // Changes of the other queue may be told with it, but they end.
        int again = 0;
        while (inEpoll(set, 20) != 0) REQUIRE(++again < 10);
        return (got & ~(events | perhaps)) == 0;
    };
    CHECK(inEpoll(set, 0) == 0);
    for (uint32_t i = 0; i < 3; ++i) {
        INFO(i);
        REQUIRE(client.feed(0, "frame " + std::to_string(i) + "\n") == 0);
        CHECK(told(EPOLLIN));
        expectFrame(i);
        REQUIRE(client.await(kOutput).error == 0);
    }
    for (uint32_t i = 0; i < 2; ++i) {
        INFO(i);
        REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        // LAST, where there is a buffer for it.
        CHECK(told(EPOLLPRI, EPOLLIN));
        endOfStream();
        if (i == 0) expectEmptyLast();
        REQUIRE(client.command(V4L2_DEC_CMD_START) == 0);
        if (i == 0) restartCapture();
    }
}

TEST_CASE_METHOD(Decoding, "S21: a client of edge-triggered epoll that takes all there is misses nothing", "[descriptor]") {
    if (client.file().fd() < 0) return skip("there is no descriptor in process");
    constexpr uint32_t kFrames = 200;
    const UniqueFd set = epollSet(client.file(), EPOLLET | EPOLLIN | EPOLLOUT | EPOLLPRI);
    REQUIRE(set);
    for (uint32_t i = 0; i < 4; ++i) REQUIRE(client.feed(i, "frame " + std::to_string(i) + "\n") == 0);
    uint32_t fed = 4;
    uint32_t shown = 0;
    for (int error = 0; error != EPIPE;) {
        REQUIRE(inEpoll(set, kPatienceMs) != 0);
        for (auto taken = client.take(kOutput); taken.error == 0; taken = client.take(kOutput)) {
            if (fed < kFrames) REQUIRE(client.feed(taken.buffer.index, "frame " + std::to_string(fed) + "\n") == 0);
            if (++fed == kFrames + 1) REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        }
        auto taken = client.take(kCapture);
        for (; taken.error == 0; taken = client.take(kCapture)) {
            if (taken.planes[0].bytesused > 0) CHECK(pixelsAre(client, taken, shown++));
            REQUIRE(client.queue(taken.buffer.index) == 0);
        }
        error = taken.error;
        REQUIRE((error == EAGAIN || error == EPIPE));
    }
    CHECK(shown == kFrames);
    endOfStream();
}

TEST_CASE_METHOD(Decoding, "S13 S14 S21: a client that the end wakes finds the last buffer, and its event was there before") {
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

TEST_CASE("S21: an error is told where neither queue streams with buffers, and to none that asks for events alone") {
    for (const Way& way : waysOfWaiting()) {
        INFO(way.name);
        Subscribed subscribed;
        auto& client = subscribed.client;
        const auto now = [&](short events) { return way.ask(client.file(), events, 0); };
        const auto isError = [&] {
            CHECK(now(POLLPRI) == 0);
            return now(POLLIN) == way.error(POLLIN) && now(POLLOUT) == way.error(POLLOUT);
        };
        CHECK(isError());
        REQUIRE(client.request(kOutput, 1) == 0);
        REQUIRE(client.feed(0, "nothing\n") == 0);
        CHECK(isError());  // queued, but not streaming
        REQUIRE(client.streamOn(kOutput) == 0);
        REQUIRE(client.await(kOutput).error == 0);
        CHECK(isError());  // streaming, but nothing is queued
        REQUIRE(client.feed(0, "size 64x48\n") == 0);
        CHECK(way.ask(client.file(), POLLOUT, kPatienceMs) == POLLOUT);
        CHECK(now(POLLIN) == 0);  // a buffer that is done is still the queue's
        CHECK(way.ask(client.file(), POLLPRI, kPatienceMs) == POLLPRI);
        REQUIRE(client.await(kOutput).error == 0);
        CHECK(now(kAll) == POLLPRI);  // the answer to the source change is awaited
        subscribed.sourceChange();
        CHECK(now(kAll) == 0);
        REQUIRE(client.streamOff(kOutput) == 0);
        REQUIRE(client.request(kOutput, 0) == 0);
        CHECK(isError());  // there is no stream any more
        const uint32_t control = V4L2_CID_MIN_BUFFERS_FOR_CAPTURE;
        REQUIRE(client.subscribe(V4L2_EVENT_CTRL, control, V4L2_EVENT_SUB_FL_SEND_INITIAL) == 0);
        CHECK(way.ask(client.file(), POLLPRI, kPatienceMs) == POLLPRI);  // an event comes through beside an error
        CHECK(now(kAll) == (way.namesErrors ? POLLERR | POLLPRI : kAll));
        REQUIRE(client.event());
        CHECK(isError());
        REQUIRE(client.request(kOutput, 1) == 0);
        REQUIRE(client.feed(0, "size 64x48\n") == 0);
        REQUIRE(client.streamOn(kOutput) == 0);
        REQUIRE(client.await(kOutput).error == 0);
        while (client.event()->type != V4L2_EVENT_SOURCE_CHANGE) {
        }
        subscribed.setUpCapture(1);
        CHECK(now(kAll) == 0);  // CAPTURE alone has a buffer
        REQUIRE(client.feed(0, "frame 0\n") == 0);
        REQUIRE(client.await(kOutput).error == 0);
        CHECK(way.ask(client.file(), POLLIN, kPatienceMs) == POLLIN);
        REQUIRE(client.take(kCapture).error == 0);
        CHECK(isError());
        REQUIRE(client.queue(0) == 0);
        REQUIRE(client.command(V4L2_DEC_CMD_STOP) == 0);
        subscribed.expectEmptyLast();
        subscribed.endOfStream();
        CHECK(now(kAll) == 0);  // after LAST a queue without buffers is no error
        REQUIRE(client.streamOff(kCapture) == 0);
        REQUIRE(client.streamOff(kOutput) == 0);
        CHECK(isError());
    }
}

TEST_CASE("S17 S21: a queue that has failed is an error, with buffers queued and while streaming") {
    for (const Way& way : waysOfWaiting()) {
        INFO(way.name);
        Decoding d;
        auto& client = d.client;
        REQUIRE(client.feed(0, "fatal 12\n") == 0);
        // Until both queues are told: the buffer that was fed is done at once.
        REQUIRE(eventually([&] { return client.file().poll(POLLIN | POLLOUT, kPatienceMs) == POLLERR; }));
        CHECK(way.ask(client.file(), POLLIN, 0) == way.error(POLLIN));
        CHECK(way.ask(client.file(), POLLOUT, 0) == way.error(POLLOUT));
        CHECK(way.ask(client.file(), POLLPRI, 0) == 0);
    }
}
