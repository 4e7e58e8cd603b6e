// The folder beside the socket that stands for the node's part of /sys.
#pragma once

#include <span>
#include <string>

#include "daedalus/base/result.h"
#include "proto/wire.h"

namespace daedalus::transport::socket {

/// Makes the folder, and removes it when it goes. Loop thread.
class SysfsFolder {
public:
    SysfsFolder() = default;
    ~SysfsFolder();
    SysfsFolder(const SysfsFolder&) = delete;
    SysfsFolder& operator=(const SysfsFolder&) = delete;

    /// Lays out what proto/sysfs.h tells of the nodes, in place of what a daemon that was killed left there. Without the folder
    /// nodes work all the same, but are not found in /sys.
    [[nodiscard]] Result<> make(const std::string& socketPath, std::span<const proto::NodeEntry> nodes);
    /// Forgets the folder without removing it.
    void leave() { path_.clear(); }

private:
    std::string path_;
};

}  // namespace daedalus::transport::socket
