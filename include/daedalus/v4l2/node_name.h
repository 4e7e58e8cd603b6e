// The names and numbers of V4L2 device nodes, and which of them a host has already.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace daedalus::v4l2 {

/// The major number of all V4L2 device nodes.
inline constexpr unsigned kVideoMajor = 81;
/// videodev has as many minor numbers; /dev/videoN has an N below it.
inline constexpr unsigned kNodeNumbers = 256;

/// "/dev/videoN".
[[nodiscard]] std::string nodePath(unsigned number);
/// "/dev/mediaN".
[[nodiscard]] std::string mediaPath(unsigned number);
/// The N of "/dev/videoN", or nothing if the path is not exactly of this form, or N is not below kNodeNumbers.
[[nodiscard]] std::optional<unsigned> nodeNumber(std::string_view path);

/// Where a host shows its devices; others are for tests.
struct HostFolders {
    std::string devices = "/dev";
    std::string sys = "/sys";
};

/// True if the host has a node of this number: in /dev, of videodev, or of CUSE.
[[nodiscard]] bool isNodeTaken(unsigned number, const HostFolders& host = {});
/// The lowest number that is not taken, or nothing if all are. `isHeld` tells which are taken beside the host's; it may be
/// empty.
[[nodiscard]] std::optional<unsigned> freeNode(const HostFolders& host = {}, const std::function<bool(unsigned)>& isHeld = {});

}  // namespace daedalus::v4l2
