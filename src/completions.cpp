#include "completions.h"

#include <algorithm>

#include "option_values.h"

namespace daedalus {
namespace {

/// The words of an option's type, if it takes one of these and no other.
std::vector<std::string> choicesOf(const CLI::Option& option) {
    const std::string type = option.get_type_name();
    return type.find(kOr) == std::string::npos ? std::vector<std::string>() : CLI::detail::split(type, kOr[0]);
}

const CLI::Option* optionNamed(const CLI::App& command, const std::string& word) {
    return word.starts_with("-") ? command.get_option_no_throw(word) : nullptr;
}

bool takesValue(const CLI::Option* option) { return option != nullptr && option->get_items_expected_max() > 0; }

std::vector<std::string> optionsOf(const CLI::App& command) {
    std::vector<std::string> names;
    for (const CLI::Option* option : command.get_options())
        if (!option->get_group().empty())
            for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    return names;
}

std::vector<std::string> commandsOf(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::App* command : app.get_subcommands([](const CLI::App* one) { return !one->get_group().empty(); }))
        names.push_back(command->get_name());
    return names;
}

}  // namespace

std::vector<std::string> completions(const CLI::App& app, std::span<const std::string> words) {
    if (words.empty()) return {};
    const CLI::App* command = &app;
    const CLI::Option* before = nullptr;  // whose value the next word is
    for (const std::string& word : words.first(words.size() - 1)) {
        if (takesValue(before)) {
            before = nullptr;
            continue;
        }
        if (word == "--") return {};
        before = optionNamed(*command, word);
        if (before != nullptr) continue;
        // The program that `run` starts, and all that follows.
        if (command->get_prefix_command()) return {};
        if (command != &app) continue;
        const auto named = app.get_subcommands([&](const CLI::App* one) { return one->get_name() == word; });
        if (named.empty()) return {};
        command = named.front();
    }
    const std::string& typed = words.back();
    std::vector<std::string> all;
    if (takesValue(before)) {
        all = choicesOf(*before);
    } else if (typed.starts_with("-")) {
        all = optionsOf(*command);
    } else if (command == &app) {
        all = commandsOf(app);
    }
    std::erase_if(all, [&](const std::string& word) { return !word.starts_with(typed); });
    std::ranges::sort(all);
    return all;
}

}  // namespace daedalus
