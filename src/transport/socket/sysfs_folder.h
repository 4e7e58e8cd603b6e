// The folder beside the socket that stands for the node's part of /sys.
#pragma once

#include <span>
#include <string>
#include <vector>

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

    /// Lays out what proto/sysfs.h tells of the nodes: the first time in place of what a daemon that was killed left there, and
    /// then by what has changed since. Without the folder nodes work all the same, but are not found in /sys.
    [[nodiscard]] Result<> show(const std::string& socketPath, std::span<const proto::NodeEntry> nodes);
    /// Forgets the folder without removing it.
    void leave() { path_.clear(); }

private:
    [[nodiscard]] Result<> make(const std::string& path);

    std::string path_;
    std::vector<proto::NodeEntry> shown_;
};

}  // namespace daedalus::transport::socket
