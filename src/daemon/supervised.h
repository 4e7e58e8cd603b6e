// A program whose system calls on the node are served for it: see transport/notify.h.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "daedalus/base/result.h"
#include "daedalus/base/unique_fd.h"
#include "daedalus/transport/notify.h"
#include "placeholders.h"
#include "program.h"

namespace daedalus::daemon {

/// The program, as a grandchild: the process between is its supervisor, from which it descends as Yama wants it, and which
/// stays for what the program leaves behind. This process is the supervisor's guard.
class Supervised {
public:
    /// As Program; `notify` says what is served.
    Supervised(std::vector<std::string> command, std::vector<std::pair<std::string, std::string>> environment,
               transport::NotifyOptions notify);
    ~Supervised();
    /// Before start(): the program sees files at the paths of these nodes.
    void show(PlaceholderWay way, std::vector<std::string> nodes);
    Supervised(const Supervised&) = delete;
    Supervised& operator=(const Supervised&) = delete;

    /// As Program::start().
    [[nodiscard]] Result<> start();
    /// As Program::wait().
    [[nodiscard]] int wait(const std::function<void(pid_t, int)>& onOtherChild);

private:
    int supervise(UniqueFd errorPipe);

    std::vector<std::string> command_;
    std::vector<std::pair<std::string, std::string>> environment_;
    transport::NotifyOptions notify_;
    PlaceholderWay placeholders_ = PlaceholderWay::None;
    std::vector<std::string> shown_;
    UniqueFd ours_;    ///< what the supervisor tells comes here
    UniqueFd theirs_;  ///< the supervisor's end
    Program supervisor_;
};

/// What to tell the user where findNotifyObstacle() found one.
[[nodiscard]] std::string describe(const transport::NotifyObstacle& obstacle);

}  // namespace daedalus::daemon
