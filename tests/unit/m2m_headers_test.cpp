// For how long a client that asks for CAPTURE's format is made to wait for the stream's headers.
#include "m2m_stage.h"

using namespace daedalus;
using namespace daedalus::test;
using namespace std::chrono_literals;

namespace {

/// OUTPUT streams.
struct SearchingStage : Stage {
    SearchingStage() {
        allocate(output(), 4);
        REQUIRE(start(output()) == 0);
    }
    [[nodiscard]] bool waits() { return context->expectsHeaders(); }
};

}  // namespace

TEST_CASE_METHOD(SearchingStage, "headers are waited for until they are found") {
    CHECK_FALSE(waits());
    REQUIRE(feed("size 96x80\n"));
    CHECK(waits());
    CHECK(worker());
    // Found, but the loop has not heard of it.
    CHECK(waits());
    settle();
    CHECK_FALSE(waits());
    CHECK(context->captureFormat().layout.width == 96);
}

TEST_CASE_METHOD(SearchingStage, "headers that do not come are waited for no longer than it takes to say so") {
    REQUIRE(feed("nothing\n"));
    settle();
    // Whoever has sent something may have the next buffer under way.
    CHECK(waits());
    clock.advance(99ms);
    CHECK(waits());
    clock.advance(1ms);
    CHECK_FALSE(waits());
    REQUIRE(feed("nothing\n"));
    CHECK(waits());
}

TEST_CASE_METHOD(Stage, "data that waits for OUTPUT to stream is counted from then on") {
    allocate(output(), 4);
    REQUIRE(feed("size 96x80\n"));
    CHECK_FALSE(context->expectsHeaders());
    clock.advance(1h);
    REQUIRE(start(output()) == 0);
    CHECK(context->expectsHeaders());
    stop(output());
    CHECK_FALSE(context->expectsHeaders());
    REQUIRE(start(output()) == 0);
    CHECK_FALSE(context->expectsHeaders());
}

TEST_CASE_METHOD(SearchingStage, "a client that has set CAPTURE up, or whose session has failed, waits for no headers") {
    REQUIRE(feed("nothing\n"));
    CHECK(waits());
    SECTION("it has buffers") {
        allocate(capture(), 2);
        CHECK_FALSE(waits());
        REQUIRE(capture().request(0, V4L2_MEMORY_MMAP) == 0U);
        CHECK(waits());
    }
    SECTION("it has failed") {
        factory.inside = [] { throw std::bad_alloc(); };
        settle();
        CHECK(take(output())->error == EIO);
        CHECK_FALSE(waits());
    }
}
