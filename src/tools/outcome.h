// Errors of the command-line tools: sentences for the person at the terminal.
#pragma once

#include <spdlog/fmt/fmt.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace daedalus::tools {

/// Names the thing, the cause and the next step.
struct Failure {
    std::string message;
};

/// A value of T, or what to tell the user.
template <class T = void>
using Outcome = tl::expected<T, Failure>;

/// `return failure("{}: no such file", path);`
template <class... Args>
[[nodiscard]] tl::unexpected<Failure> failure(fmt::format_string<Args...> text, Args&&... args) {
    return tl::unexpected<Failure>(Failure{fmt::format(text, std::forward<Args>(args)...)});
}
/// Hands another call's failure on.
[[nodiscard]] inline tl::unexpected<Failure> failure(Failure cause) { return tl::unexpected<Failure>(std::move(cause)); }

}  // namespace daedalus::tools
