#include "src/daemon/node_path.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace daedalus;
using namespace daedalus::daemon;

namespace {

/// Empty folders in place of /dev and /sys.
struct Host {
    Host() {
        REQUIRE(::mkdtemp(root.data()) != nullptr);
        for (const char* folder : {"/dev", "/sys/class/video4linux", "/sys/class/cuse", "/sys/dev/char"})
            std::filesystem::create_directories(root + folder);
    }
    ~Host() { std::filesystem::remove_all(root); }
    [[nodiscard]] v4l2::HostFolders folders() const { return {.devices = root + "/dev", .sys = root + "/sys"}; }
    /// `path` as on a real host.
    void add(const std::string& path) const { std::ofstream(root + path) << path; }
    std::string root = "/tmp/daedalus-test-XXXXXX";
};

}  // namespace

TEST_CASE("only /dev/videoN is a node's path") {
    CHECK(v4l2::nodeNumber("/dev/video0") == 0U);
    CHECK(v4l2::nodeNumber("/dev/video255") == 255U);
    for (const char* path : {"", "/dev/video", "/dev/video256", "/dev/video00", "/dev/video-1", "/dev/video1x", "video1",
                             "/dev/../dev/video1", "/dev/video99999999999999999999"})
        CHECK_FALSE(v4l2::nodeNumber(path));
}

TEST_CASE("the lowest number that the host does not have is taken") {
    const Host host;
    CHECK(chooseNode("", host.folders()) == "/dev/video0");
    host.add("/dev/video0");
    CHECK(chooseNode("", host.folders()) == "/dev/video1");
    // Nodes that udev has not made yet, or that this container does not show.
    host.add("/sys/class/video4linux/video1");
    CHECK(chooseNode("", host.folders()) == "/dev/video2");
    host.add("/sys/class/cuse/video2");
    host.add("/sys/dev/char/81:3");
    CHECK(chooseNode("", host.folders()) == "/dev/video4");
    std::filesystem::create_symlink("gone", host.root + "/dev/video4");
    CHECK(chooseNode("", host.folders()) == "/dev/video5");
    for (unsigned number = 5; number < v4l2::kNodeNumbers; ++number) host.add(v4l2::nodePath(number));
    CHECK(chooseNode("", host.folders()).error() == Errno{ENOSPC});
}

TEST_CASE("a forced node must be free") {
    const Host host;
    host.add("/dev/video3");
    CHECK(chooseNode("/dev/video2", host.folders()) == "/dev/video2");
    CHECK(chooseNode("/dev/video3", host.folders()).error() == Errno{EEXIST});
    CHECK(chooseNode("/dev/null", host.folders()).error() == Errno{EINVAL});
    for (const int error : {EINVAL, EEXIST, ENOSPC, EIO}) CHECK_FALSE(nodeFailure("/dev/video3", Errno{error}).empty());
}
