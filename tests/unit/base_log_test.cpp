#include <catch2/catch.hpp>

#include "daedalus/base/log.h"

namespace dlog = daedalus::log;

TEST_CASE("log levels are configured by name") {
    for (const char* spec : {"error", "warning", "info", "debug", "trace"}) {
        INFO(spec);
        CHECK(dlog::configure(spec).has_value());
        CHECK_FALSE(dlog::ioctls());
    }
    CHECK(dlog::configure("debug,ioctl").has_value());
    CHECK(dlog::ioctls());
    CHECK(spdlog::should_log(spdlog::level::debug));
    CHECK(dlog::configure("ioctl").has_value());
    CHECK(dlog::ioctls());
    CHECK_FALSE(spdlog::should_log(spdlog::level::debug));
    CHECK(spdlog::should_log(spdlog::level::info));
}

TEST_CASE("an unknown word is refused and changes nothing") {
    REQUIRE(dlog::configure("error").has_value());
    for (const char* spec : {"", "loud", "debug,", "debug,loud", ",ioctl"}) {
        INFO(spec);
        CHECK(dlog::configure(spec).error().value == EINVAL);
        CHECK_FALSE(dlog::ioctls());
        CHECK_FALSE(spdlog::should_log(spdlog::level::warn));
    }
}
