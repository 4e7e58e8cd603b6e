#include "program.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <optional>
#include <utility>

#include "daedalus/base/unique_fd.h"

namespace daedalus::daemon {
namespace {

sigset_t waitedSignals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signo : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) sigaddset(&set, signo);
    return set;
}

struct EndedChild {
    pid_t pid;
    int status;
};

/// A child that has ended, `first` before others. Children may be traced by threads of this process: their stops are not ours
/// to take, but waitpid() would.
std::optional<EndedChild> nextEnded(pid_t first) {
    for (const auto& [kind, id] : {std::pair(P_PID, first), std::pair(P_ALL, pid_t{0})}) {
        siginfo_t info{};
        if (::waitid(kind, static_cast<id_t>(id), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) continue;
        if (info.si_code != CLD_EXITED && info.si_code != CLD_KILLED && info.si_code != CLD_DUMPED) continue;
        EndedChild ended{.pid = info.si_pid, .status = 0};
        if (::waitpid(ended.pid, &ended.status, WNOHANG) == ended.pid) return ended;
    }
    return std::nullopt;
}

// As they were before start(), for the program.
sigset_t callersMask;
struct sigaction callersChildAction;

}  // namespace

Program::Program(std::vector<std::string> command, std::vector<std::pair<std::string, std::string>> environment)
    : command_(std::move(command)), environment_(std::move(environment)) {}

Program::Program(std::function<int(UniqueFd)> body) : body_(std::move(body)) {}

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
    if (pid_ == 0) exec(std::move(writeEnd));
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

void Program::exec(UniqueFd errorPipe) {
    ::sigprocmask(SIG_SETMASK, &callersMask, nullptr);
    ::sigaction(SIGCHLD, &callersChildAction, nullptr);
    if (body_) std::exit(body_(std::move(errorPipe)));
    for (const auto& [name, value] : environment_) ::setenv(name.c_str(), value.c_str(), 1);
    std::vector<char*> arguments;
    for (std::string& argument : command_) arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    int error = beforeExec_ ? beforeExec_() : 0;
    if (error == 0) {
        ::execvp(arguments[0], arguments.data());
        error = errno;
    }
    [[maybe_unused]] const ssize_t written = ::write(errorPipe.get(), &error, sizeof error);
    ::_exit(127);
}

int Program::wait(const std::function<void(pid_t, int)>& onOtherChild, const std::function<std::optional<int>()>& elsewhere) {
    const sigset_t set = waitedSignals();
    std::optional<int> result;
    while (true) {
        while (const auto ended = nextEnded(pid_)) {
            if (ended->pid == pid_) {
                result = ended->status;
            } else {
                onOtherChild(ended->pid, ended->status);
            }
        }
        if (const auto told = elsewhere ? elsewhere() : std::nullopt) return *told;
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
