// What shells offer while a command line is typed.
#pragma once

#include <CLI/CLI.hpp>

#include <span>
#include <string>
#include <vector>

namespace daedalus {

/// What may stand in the place of the last of `words`, which is typed so far and may be empty: subcommands, options, and the
/// words that the option before it takes. `words` begin behind the program's name. Nothing if it is a file's name, a number or
/// the like, and for the words of the program that `run` is to start.
[[nodiscard]] std::vector<std::string> completions(const CLI::App& app, std::span<const std::string> words);

}  // namespace daedalus
