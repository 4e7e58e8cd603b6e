// The program of `daedalus run`, as a child process.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "daedalus/base/result.h"

namespace daedalus::daemon {

/// Runs one program in the caller's process group, with its terminal and its descriptors, and stands in for it: signals that
/// are sent to this process are passed on, those of the terminal reach the program by themselves.
class Program {
public:
    /// `environment` is set on top of what there is.
    Program(std::vector<std::string> command, std::vector<std::pair<std::string, std::string>> environment);

    /// Starts it. The error is exec's: ENOENT, EACCES, ENOEXEC …
    [[nodiscard]] Result<> start();
    /// Waits for its end and returns waitpid()'s status. `onOtherChild(pid, status)` is told of other children that end.
    [[nodiscard]] int wait(const std::function<void(pid_t, int)>& onOtherChild);

    /// Ends this process as the program ended: returns the exit status, or dies by the same signal.
    [[nodiscard]] static int passOn(int status);

private:
    [[noreturn]] void exec(int errorPipe);

    std::vector<std::string> command_;
    std::vector<std::pair<std::string, std::string>> environment_;
    pid_t pid_ = -1;
};

}  // namespace daedalus::daemon
