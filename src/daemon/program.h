// The program of `daedalus run`, as a child process.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daedalus/base/result.h"
#include "daedalus/base/unique_fd.h"

namespace daedalus::daemon {

/// Runs one program in the caller's process group, with its terminal and its descriptors, and stands in for it: signals that
/// are sent to this process are passed on, those of the terminal reach the program by themselves.
class Program {
public:
    /// `environment` is set on top of what there is.
    Program(std::vector<std::string> command, std::vector<std::pair<std::string, std::string>> environment);

    /// A child that runs `body` instead of another program, with the caller's signals as the program would have them, and
    /// ends with its result. What it writes to `errorPipe`, an errno, is start()'s error; it closes it otherwise.
    explicit Program(std::function<int(UniqueFd errorPipe)> body);

    /// Runs in the program's process right before exec: 0, or an errno for start().
    void beforeExec(std::function<int()> last) { beforeExec_ = std::move(last); }
    /// Starts it. The error is exec's: ENOENT, EACCES, ENOEXEC …
    [[nodiscard]] Result<> start();
    [[nodiscard]] pid_t pid() const { return pid_; }
    /// Stands in for a process that this one has become the parent of.
    void adopt(pid_t pid) { pid_ = pid; }
    /// Waits for its end and returns waitpid()'s status. `onOtherChild(pid, status)` is told of other children that end.
    /// `elsewhere` may know its status before waitpid() does; it is asked at each SIGCHLD.
    [[nodiscard]] int wait(const std::function<void(pid_t, int)>& onOtherChild,
                           const std::function<std::optional<int>()>& elsewhere = nullptr);

    /// Ends this process as the program ended: returns the exit status, or dies by the same signal.
    [[nodiscard]] static int passOn(int status);

private:
    [[noreturn]] void exec(UniqueFd errorPipe);

    std::vector<std::string> command_;
    std::vector<std::pair<std::string, std::string>> environment_;
    std::function<int(UniqueFd)> body_;
    std::function<int()> beforeExec_;
    pid_t pid_ = -1;
};

}  // namespace daedalus::daemon
