// The kernel's virtual video driver, as a test's counterpart.
#pragma once

#include <fcntl.h>
#include <linux/videodev2.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "shim_client.h"

namespace daedalus::test {

/// Opens vivid's device of this name, "vivid-000-vid-cap" or "vivid-000-vid-out"; invalid if there is none.
[[nodiscard]] inline UniqueFd openVivid(const std::string& wanted) {
    for (const auto& entry : std::filesystem::directory_iterator("/sys/class/video4linux")) {
        std::string name;
        std::getline(std::ifstream(entry.path() / "name"), name);
        if (name == wanted) return UniqueFd(::open(("/dev/" + entry.path().filename().string()).c_str(), O_RDWR | O_CLOEXEC));
    }
    return {};
}

/// Sets one of vivid's own controls, which have names only: 0, an errno, or ENOENT.
[[nodiscard]] inline int setVividControl(int fd, const char* name, int value) {
    v4l2_queryctrl query{};
    query.id = V4L2_CTRL_FLAG_NEXT_CTRL;
    while (command(fd, VIDIOC_QUERYCTRL, &query) == 0) {
        v4l2_control control{query.id, value};
        if (std::strcmp(reinterpret_cast<const char*>(query.name), name) == 0) return command(fd, VIDIOC_S_CTRL, &control);
        query.id |= V4L2_CTRL_FLAG_NEXT_CTRL;
    }
    return ENOENT;
}

}  // namespace daedalus::test
