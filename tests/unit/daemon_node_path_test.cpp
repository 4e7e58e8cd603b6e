#include "src/daemon/node_path.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace daedalus;
using namespace daedalus::daemon;

namespace {

/// Two empty folders, for /dev and /sys/class/video4linux.
struct Host {
    Host() {
        REQUIRE(::mkdtemp(root.data()) != nullptr);
        std::filesystem::create_directories(dev());
        std::filesystem::create_directories(sys());
    }
    ~Host() { std::filesystem::remove_all(root); }
    [[nodiscard]] std::string dev() const { return root + "/dev"; }
    [[nodiscard]] std::string sys() const { return root + "/sys"; }
    static void add(const std::string& folder, const std::string& name) { std::ofstream(folder + "/" + name) << name; }
    std::string root = "/tmp/daedalus-test-XXXXXX";
};

}  // namespace

TEST_CASE("only /dev/videoN is a node's path") {
    CHECK(nodeNumber("/dev/video0") == 0U);
    CHECK(nodeNumber("/dev/video255") == 255U);
    for (const char* path : {"", "/dev/video", "/dev/video256", "/dev/video00", "/dev/video-1", "/dev/video1x", "video1",
                             "/dev/../dev/video1", "/dev/video99999999999999999999"})
        CHECK_FALSE(nodeNumber(path));
}

TEST_CASE("the lowest number that the host does not have is taken") {
    const Host host;
    CHECK(chooseNode("", host.dev(), host.sys()) == "/dev/video0");
    Host::add(host.dev(), "video0");
    CHECK(chooseNode("", host.dev(), host.sys()) == "/dev/video1");
    // A node that udev has not made yet, or that this container does not show.
    Host::add(host.sys(), "video1");
    CHECK(chooseNode("", host.dev(), host.sys()) == "/dev/video2");
    for (int number = 2; number < 256; ++number) Host::add(host.dev(), "video" + std::to_string(number));
    CHECK(chooseNode("", host.dev(), host.sys()).error() == Errno{ENOSPC});
}

TEST_CASE("a forced node must be free") {
    const Host host;
    Host::add(host.dev(), "video3");
    CHECK(chooseNode("/dev/video2", host.dev(), host.sys()) == "/dev/video2");
    CHECK(chooseNode("/dev/video3", host.dev(), host.sys()).error() == Errno{EEXIST});
    CHECK(chooseNode("/dev/null", host.dev(), host.sys()).error() == Errno{EINVAL});
    for (const int error : {EINVAL, EEXIST, ENOSPC, EIO}) CHECK_FALSE(nodeFailure("/dev/video3", Errno{error}).empty());
}
