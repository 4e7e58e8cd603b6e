#include "option_values.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <string_view>

namespace daedalus {
namespace {

constexpr std::string_view kDigits = "0123456789";

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& letter : result) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
    return result;
}

}  // namespace

CLI::Option* addWord(CLI::App* command, const std::string& name, std::function<std::string(const std::string&)> take,
                     const std::string& description) {
    const auto checked = [name, take = std::move(take)](const std::string& text) {
        if (const std::string wrong = take(text); !wrong.empty()) throw CLI::ValidationError(name, wrong);
    };
    return command->add_option_function<std::string>(name, checked, description);
}

std::string parseNumber(const std::string& text, uint64_t least, uint64_t most, uint64_t& into) {
    uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (stop == end && error == std::errc() && value >= least && value <= most) {
        into = value;
        return {};
    }
    // A limit that nobody would reach is not worth a word.
    constexpr uint64_t kFar = UINT32_MAX;
    const std::string range =
        "a whole number from " + std::to_string(least) + (most < kFar ? " to " + std::to_string(most) : " on");
    const bool tooLarge = !text.empty() && text.find_first_not_of(kDigits) == std::string::npos &&
                          (error == std::errc::result_out_of_range || value > most);
    return text + (tooLarge ? " is too large; give " : " will not do; give ") + range;
}

std::string parseBytes(const std::string& text, uint64_t& into) {
    const std::string wrong = text + " is no amount of memory; give bytes, from 1 on, or a number with K, M, G or T, as 512M";
    uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || value == 0) return wrong;
    std::string unit = lower({stop, end});
    if (unit.ends_with('b')) unit.pop_back();
    if (unit.ends_with('i')) unit.pop_back();
    constexpr std::array<std::string_view, 5> kUnits = {"", "k", "m", "g", "t"};
    for (unsigned power = 0; power < kUnits.size(); ++power) {
        if (unit != kUnits[power]) continue;
        if (value > std::numeric_limits<uint64_t>::max() >> (10 * power)) return wrong;
        into = value << (10 * power);
        return {};
    }
    return wrong;
}

std::string parseSeconds(const std::string& text, std::chrono::milliseconds& into) {
    constexpr double kDay = 86400;
    double seconds = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, seconds);
    // Not "below 0 or above": nothing is true of what is not a number.
    if (stop != end || error != std::errc() || !(seconds >= 0 && seconds <= kDay))
        return text + " is no time; give seconds from 0 to 86400, as 2.5";
    into = std::chrono::milliseconds(static_cast<int64_t>(std::ceil(seconds * 1000)));
    return {};
}

std::string parseFrameSize(const std::string& text, uint32_t& width, uint32_t& height) {
    const auto fits = [](uint64_t size) {
        return size >= v4l2::kMinDimension && size <= v4l2::kMaxDimension && size % v4l2::kDimensionStep == 0;
    };
    const size_t cross = text.find('x');
    uint64_t first = 0;
    uint64_t second = 0;
    if (cross == std::string::npos || !parseNumber(text.substr(0, cross), 0, UINT32_MAX, first).empty() ||
        !parseNumber(text.substr(cross + 1), 0, UINT32_MAX, second).empty() || !fits(first) || !fits(second))
        return text + " is no frame size; write WIDTHxHEIGHT, both even and at most " + std::to_string(v4l2::kMaxDimension);
    width = static_cast<uint32_t>(first);
    height = static_cast<uint32_t>(second);
    return {};
}

std::string parseCodecs(const std::string& text, std::vector<v4l2::Codec>& into) {
    std::vector<v4l2::Codec> codecs;
    std::string_view rest = text;
    while (true) {
        const size_t comma = rest.find(',');
        const std::string name = lower(rest.substr(0, comma));
        std::string known;
        const size_t before = codecs.size();
        for (const v4l2::CodedFormat& format : v4l2::codedFormats()) {
            if (name == format.name || name == lower(v4l2::fourccName(format.fourcc))) codecs.push_back(format.codec);
            known += (known.empty() ? "" : ", ") + std::string(format.name);
        }
        if (codecs.size() == before) return "\"" + name + "\" is no codec; choose from " + known;
        if (comma == std::string_view::npos) break;
        rest.remove_prefix(comma + 1);
    }
    into = std::move(codecs);
    return {};
}

CLI::Option* addText(CLI::App* command, const std::string& name, std::string& into, size_t most,
                     const std::string& description) {
    const auto take = [&into, most](const std::string& text) -> std::string {
        const bool printable = std::ranges::all_of(text, [](char letter) { return letter >= ' ' && letter <= '~'; });
        if (text.empty() || text.size() > most || !printable)
            return "\"" + text + "\" will not do; give 1 to " + std::to_string(most) + " letters of ASCII";
        into = text;
        return {};
    };
    return addWord(command, name, take, description)->type_name("TEXT");
}

}  // namespace daedalus
