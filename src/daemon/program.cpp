#include "program.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <optional>

#include "daedalus/base/unique_fd.h"

namespace daedalus::daemon {
namespace {

sigset_t waitedSignals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signo : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) sigaddset(&set, signo);
    return set;
}

// As they were before start(), for the program.
sigset_t callersMask;
struct sigaction callersChildAction;

}  // namespace

Program::Program(std::vector<std::string> command, std::vector<std::pair<std::string, std::string>> environment)
    : command_(std::move(command)), environment_(std::move(environment)) {}

Result<> Program::start() {
    // A caller that ignores SIGCHLD would make our waitpid() fail.
    struct sigaction defaults {};
    defaults.sa_handler = SIG_DFL;
    ::sigaction(SIGCHLD, &defaults, &callersChildAction);
    const sigset_t set = waitedSignals();
    ::sigprocmask(SIG_BLOCK, &set, &callersMask);

    int pipe[2];
    if (::pipe2(pipe, O_CLOEXEC) != 0) return fail(errno);
    const UniqueFd readEnd(pipe[0]);
    UniqueFd writeEnd(pipe[1]);
    pid_ = ::fork();
    if (pid_ < 0) return fail(errno);
    if (pid_ == 0) exec(writeEnd.get());
    writeEnd.reset();

    int error = 0;
    ssize_t size = 0;
    do {
        size = ::read(readEnd.get(), &error, sizeof error);
    } while (size < 0 && errno == EINTR);
    if (size == sizeof error) {
        ::waitpid(pid_, nullptr, 0);
        return fail(error);
    }
    return {};
}

void Program::exec(int errorPipe) {
    ::sigprocmask(SIG_SETMASK, &callersMask, nullptr);
    ::sigaction(SIGCHLD, &callersChildAction, nullptr);
    for (const auto& [name, value] : environment_) ::setenv(name.c_str(), value.c_str(), 1);
    std::vector<char*> arguments;
    for (std::string& argument : command_) arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    ::execvp(arguments[0], arguments.data());
    const int error = errno;
    [[maybe_unused]] const ssize_t written = ::write(errorPipe, &error, sizeof error);
    ::_exit(127);
}

int Program::wait(const std::function<void(pid_t, int)>& onOtherChild) {
    const sigset_t set = waitedSignals();
    std::optional<int> result;
    while (true) {
        int status = 0;
        for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
            if (pid == pid_) {
                result = status;
            } else {
                onOtherChild(pid, status);
            }
        }
        if (result) return *result;

        siginfo_t info{};
        const int signo = ::sigwaitinfo(&set, &info);
        // What the terminal sends (from the kernel) goes to the whole group: the program has it already, or chose not to.
        if (signo > 0 && signo != SIGCHLD && info.si_code <= 0 && info.si_pid != pid_) ::kill(pid_, signo);
    }
}

int Program::passOn(int status) {
    if (WIFEXITED(status)) return WEXITSTATUS(status);
    const int signo = WTERMSIG(status);
    // One core file is enough.
    const rlimit none{.rlim_cur = 0, .rlim_max = 0};
    ::setrlimit(RLIMIT_CORE, &none);
    ::signal(signo, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signo);
    ::raise(signo);
    ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
    return 128 + signo;
}

}  // namespace daedalus::daemon
