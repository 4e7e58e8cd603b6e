// `daedalus run`: a private decoder for one program.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daedalus/daemon/daemon.h"
#include "daedalus/device/device.h"

namespace daedalus::daemon {

/// The ways in which the node is brought into programs.
enum class Reach : uint8_t {
    Auto,     ///< both, where neither makes a program fail that runs without
    Preload,  ///< the preload library: programs that are linked dynamically, with this system's C library
    Notify,   ///< their system calls are served (transport/notify.h): all programs, but those that setuid gives privileges
};

struct RunOptions {
    /// "/dev/videoN" as the user forces it; empty: the next number that the host has no node for.
    std::string node;
    /// The socket of a running daemon to use instead of a private one; empty: none.
    std::string attach;
    /// A device file of this host to use instead, which udev's look-ups then show to the program; empty: none.
    std::string device;
    /// The program and its arguments, at least one.
    std::vector<std::string> command;
    Reach reach = Reach::Auto;
    /// The decoder of a private daemon.
    device::DeviceOptions decoder;
    /// One node of each, the first at `node`.
    NodeKinds nodes = defaultKinds();
    /// Does not say which node is served.
    bool quiet = false;
};

/// Exit statuses of runMain() that are not the program's, as env(1) and timeout(1) have them.
inline constexpr int kRunFailed = 125;
inline constexpr int kProgramNotExecutable = 126;
inline constexpr int kProgramNotFound = 127;

/// Why Reach::Notify does not work here, as a sentence; empty if it does. To be called in a process of one thread.
[[nodiscard]] std::string notifyObstacle();

/// What programs see of the node with Reach::Notify before they open it.
struct ShownNodes {
    bool shown;        ///< its path exists for them
    std::string told;  ///< that, why not, and what it changes, as a sentence
};
/// To be called in a process of one thread.
[[nodiscard]] ShownNodes nodesShownByNotify();

/// Runs the program with a decoder at /dev/videoN and returns its exit status; dies by the signal that the program died by.
[[nodiscard]] int runMain(const RunOptions& options);

}  // namespace daedalus::daemon
