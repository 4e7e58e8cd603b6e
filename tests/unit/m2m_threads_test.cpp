// Frames that are converted on another thread than the next unit's decoding, with real threads: they come in order, with LAST
// behind them, through drains, seeks and CAPTURE restarts at any time.
#include <deque>

#include "m2m_stage.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

/// A stage whose pool runs by itself; the loop is still the test's.
struct Running : Stage {
    Running() : Stage(std::make_unique<WorkerPool>(2U)) {
        allocate(output(), 4);
        REQUIRE(start(output()) == 0);
        REQUIRE(feed("size 64x48\n"));
        waitFor([this] { return !events.empty(); });
        fetchEvents();
        setUpCapture();
    }
    /// Turns the loop until `done()`; the test's own time limit catches what never comes.
    template <class Condition>
    void waitFor(Condition done) {
        while (!done()) loop();
    }
    void feedFrame(uint32_t number) {
        waitFor([&] { return feed("frame " + std::to_string(number) + "\n"); });
    }
    Taken next() {
        std::optional<Taken> taken;
        waitFor([&] { return (taken = takeFrame()).has_value(); });
        return *taken;
    }
};

}  // namespace

TEST_CASE_METHOD(Running, "frames of many drains come in order, each drain's last with LAST") {
    uint32_t number = 0;
    for (int round = 0; round < 40; ++round) {
        for (uint32_t i = 0; i < 4; ++i) feedFrame((number + i) % 256);
        REQUIRE(context->stop());
        for (uint32_t i = 0; i < 4; ++i, ++number) {
            const auto taken = next();
            REQUIRE(taken.number == number % 256);
            REQUIRE((i == 3 || !taken.last));
            // All may be out before STOP.
            if (i == 3 && !taken.last) {
                const auto last = next();
                REQUIRE(last.last);
                REQUIRE_FALSE(last.number);
            }
        }
        REQUIRE(next().error == EPIPE);
        REQUIRE(context->start());
    }
}

TEST_CASE_METHOD(Running, "seeks and CAPTURE restarts at any time lose no buffer") {
    for (uint32_t round = 0; round < 60; ++round) {
        for (uint32_t i = 0; i < 3; ++i) feedFrame(i);
        if (round % 3 != 0) (void)next();
        stop(output());
        if (round % 2 != 0) replaceCapture();
        REQUIRE(start(output()) == 0);
        while (takeFrame()) continue;
        REQUIRE(feed("size 64x48\nframe 200\n"));
        // Without a CAPTURE restart some of before the seek may come first.
        Taken taken;
        do taken = next();
        while (round % 2 == 0 && taken.number != 200U);
        REQUIRE(taken.number == 200U);
    }
}

TEST_CASE("a session that closes with frames on their way leaves nothing behind") {
    for (int round = 0; round < 30; ++round) {
        Running running;
        for (uint32_t i = 0; i < 3; ++i) running.feedFrame(i);
        if (round % 2 == 0) (void)running.next();
        running.close();
        running.waitFor([&] { return running.isGone(); });
    }
}
