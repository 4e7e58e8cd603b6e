// Catch2's main(), compiled once for all unit and integration tests (dep_catch_main).
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#include <iostream>
#include <mutex>
#include <set>
#include <string>

#include "skip.h"

namespace daedalus::test {
namespace {

/// The exit status that Meson counts as skipped.
constexpr int kSkipped = 77;

std::mutex mutex;
std::set<std::string> skips;  ///< lines that tell of them

}  // namespace

void skip(std::string_view reason) {
    const std::lock_guard lock(mutex);
    skips.insert("skipped: " + std::string(reason) + ": " + Catch::getResultCapture().getCurrentTestName());
}

}  // namespace daedalus::test

int main(int argc, char** argv) {
    const int failed = Catch::Session().run(argc, argv);
    for (const auto& line : daedalus::test::skips) std::cout << line << '\n';
    if (failed != 0) return failed;
    return daedalus::test::skips.empty() ? 0 : daedalus::test::kSkipped;
}
