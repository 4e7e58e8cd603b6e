// Options whose values are checked here, so that a wrong one is refused in words that name the right ones.
#pragma once

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "daedalus/v4l2/formats.h"

namespace daedalus {

/// Between the words of an option's type, where it takes one of these and no other.
inline constexpr const char* kOr = "|";

/// An option that takes one word. `take` returns what is wrong with it, or nothing.
CLI::Option* addWord(CLI::App* command, const std::string& name, std::function<std::string(const std::string&)> take,
                     const std::string& description);

/// A whole number, or what is wrong with the text.
[[nodiscard]] std::string parseNumber(const std::string& text, uint64_t least, uint64_t most, uint64_t& into);
/// Bytes, as "1000", "512M" or "4GiB": units are powers of 1024.
[[nodiscard]] std::string parseBytes(const std::string& text, uint64_t& into);
/// Seconds with decimals, up to a day. What is not 0 stays above it.
[[nodiscard]] std::string parseSeconds(const std::string& text, std::chrono::milliseconds& into);
/// "WIDTHxHEIGHT", even numbers that a node can have.
[[nodiscard]] std::string parseFrameSize(const std::string& text, uint32_t& width, uint32_t& height);

/// Names or fourccs of coded formats, with commas between them.
[[nodiscard]] std::string parseCodecs(const std::string& text, std::vector<v4l2::Codec>& into);

/// A line of printable ASCII that fits into `most` bytes.
CLI::Option* addText(CLI::App* command, const std::string& name, std::string& into, size_t most,
                     const std::string& description);

/// A whole number from `least` to `most`.
template <class Number>
CLI::Option* addNumber(CLI::App* command, const std::string& name, Number& into, uint64_t least, uint64_t most,
                       const std::string& description) {
    const auto take = [&into, least, most](const std::string& text) {
        uint64_t value = into;
        std::string wrong = parseNumber(text, least, most, value);
        into = static_cast<Number>(value);
        return wrong;
    };
    return addWord(command, name, take, description)->type_name("N");
}

/// One of some words, each of which stands for a value.
template <class Value>
CLI::Option* addChoice(CLI::App* command, const std::string& name, Value& into,
                       const std::vector<std::pair<std::string, Value>>& choices, const std::string& description) {
    const auto known = [choices](const std::string& between) {
        std::string words;
        for (const auto& [word, value] : choices) words += (words.empty() ? "" : between) + word;
        return words;
    };
    const auto take = [&into, choices, known](const std::string& text) -> std::string {
        const auto found = std::ranges::find(choices, text, &std::pair<std::string, Value>::first);
        if (found == choices.end()) return text + " is none of " + known(", ");
        into = found->second;
        return {};
    };
    return addWord(command, name, take, description)->type_name(known(kOr));
}

}  // namespace daedalus
