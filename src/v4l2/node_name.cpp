#include "daedalus/v4l2/node_name.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>

namespace daedalus::v4l2 {
namespace {

constexpr std::string_view kPrefix = "/dev/video";

bool exists(const std::string& path) {
    // A dangling link takes a name, too.
    return ::faccessat(AT_FDCWD, path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

}  // namespace

std::string nodePath(unsigned number) { return std::string(kPrefix) + std::to_string(number); }

std::string mediaPath(unsigned number) { return "/dev/media" + std::to_string(number); }

std::optional<unsigned> nodeNumber(std::string_view path) {
    if (!path.starts_with(kPrefix)) return std::nullopt;
    const std::string_view digits = path.substr(kPrefix.size());
    unsigned number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size() || number >= kNodeNumbers) return std::nullopt;
    // "video07" would be another file.
    if (std::to_string(number) != digits) return std::nullopt;
    return number;
}

bool isNodeTaken(unsigned number, const HostFolders& host) {
    const std::string name = "video" + std::to_string(number);
    // A container may show one of these and not the others; udev may not have made the file yet.
    const std::array places = {
        host.devices + '/' + name,
        host.sys + "/class/video4linux/" + name,
        host.sys + "/class/cuse/" + name,
        host.sys + "/dev/char/" + std::to_string(kVideoMajor) + ':' + std::to_string(number),
    };
    for (const std::string& place : places)
        if (exists(place)) return true;
    return false;
}

std::optional<unsigned> freeNode(const HostFolders& host, const std::function<bool(unsigned)>& isHeld) {
    for (unsigned number = 0; number < kNodeNumbers; ++number)
        if (!(isHeld && isHeld(number)) && !isNodeTaken(number, host)) return number;
    return std::nullopt;
}

}  // namespace daedalus::v4l2
