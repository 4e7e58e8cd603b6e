#include "node_path.h"

#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <string_view>

namespace daedalus::daemon {
namespace {

constexpr unsigned kMinors = 256;
constexpr std::string_view kPrefix = "/dev/video";

bool taken(const std::string& deviceFolder, const std::string& classFolder, unsigned number) {
    const std::string name = fmt::format("/video{}", number);
    return ::access((deviceFolder + name).c_str(), F_OK) == 0 || ::access((classFolder + name).c_str(), F_OK) == 0;
}

}  // namespace

std::optional<unsigned> nodeNumber(const std::string& path) {
    if (!path.starts_with(kPrefix)) return std::nullopt;
    const std::string_view digits = std::string_view(path).substr(kPrefix.size());
    // "video07" would be another file.
    if (digits.empty() || (digits.size() > 1 && digits.front() == '0')) return std::nullopt;
    unsigned number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size() || number >= kMinors) return std::nullopt;
    return number;
}

Result<std::string> chooseNode(const std::string& wanted, const std::string& deviceFolder, const std::string& classFolder) {
    if (!wanted.empty()) {
        const auto number = nodeNumber(wanted);
        if (!number) return fail(EINVAL);
        if (taken(deviceFolder, classFolder, *number)) return fail(EEXIST);
        return wanted;
    }
    for (unsigned number = 0; number < kMinors; ++number) {
        if (!taken(deviceFolder, classFolder, number)) return fmt::format("{}{}", kPrefix, number);
    }
    return fail(ENOSPC);
}

std::string nodeFailure(const std::string& wanted, Errno error) {
    switch (error.value) {
        case EINVAL:
            return fmt::format("--node {}: not a V4L2 node's path; give /dev/videoN with N from 0 to 255", wanted);
        case EEXIST:
            return fmt::format("--node {}: this host has a node of that name; choose another number, or leave --node out",
                               wanted);
        case ENOSPC:
            return "no number from /dev/video0 to /dev/video255 is free; force one of them with --node after removing its node";
        default:
            return fmt::format("--node {}: {}", wanted, std::strerror(error.value));
    }
}

}  // namespace daedalus::daemon
