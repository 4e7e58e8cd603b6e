#include "process.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "affinity.h"

namespace daedalus::bench {
namespace {

constexpr auto kDaemonPatience = std::chrono::seconds(20);

/// `output`: what becomes its stdout, or -1.
pid_t start(const std::vector<std::string>& command, const Environment& environment, int output,
            std::optional<unsigned> cpu = std::nullopt) {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    if (cpu && !stayOn(*cpu)) std::perror("sched_setaffinity");
    if (output >= 0) ::dup2(output, STDOUT_FILENO);
    for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
    std::vector<char*> arguments;
    for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    ::execvp(arguments[0], arguments.data());
    std::perror(arguments[0]);
    ::_exit(127);
}

int wait(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool answers(const std::string& socket) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
    const int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    const bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    return connected;
}

}  // namespace

Ended runProcess(const std::vector<std::string>& command, const Environment& environment) {
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return {};
    const pid_t pid = start(command, environment, pipe[1]);
    ::close(pipe[1]);
    Ended ended;
    std::array<char, 4096> bytes{};
    ssize_t got = 0;
    while (pid > 0 && (got = ::read(pipe[0], bytes.data(), bytes.size())) > 0)
        ended.output.append(bytes.data(), static_cast<size_t>(got));
    ::close(pipe[0]);
    if (pid > 0) ended.status = wait(pid);
    return ended;
}

DaemonProcess::DaemonProcess(const std::string& daedalus, const std::string& socket, unsigned threads,
                             std::optional<unsigned> cpu) {
    std::vector<std::string> command = {daedalus, "--log", "warning", "serve", "--socket", socket};
    if (threads != 0) {
        command.emplace_back("--threads");
        command.push_back(std::to_string(threads));
    }
    pid_ = start(command, {}, -1, cpu);
    const auto deadline = std::chrono::steady_clock::now() + kDaemonPatience;
    while (pid_ > 0 && !answers(socket)) {
        if (::waitpid(pid_, nullptr, WNOHANG) != 0) {
            pid_ = -1;
        } else if (std::chrono::steady_clock::now() > deadline) {
            stop();
        } else {
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
    }
}

DaemonProcess::~DaemonProcess() { stop(); }

double DaemonProcess::cpuSeconds() const {
    clockid_t clock = 0;
    timespec time{};
    if (::clock_getcpuclockid(pid_, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return 0;
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

ThreadTime DaemonProcess::loopTime() const {
    const std::string task = "/proc/" + std::to_string(pid_) + "/task/" + std::to_string(pid_);
    std::ifstream exact(task + "/schedstat");
    double nanoseconds = 0;
    exact >> nanoseconds;
    // Fields 14 and 15, counted from the name in parentheses on, which may have spaces.
    std::ifstream file(task + "/stat");
    std::string stat{std::istreambuf_iterator<char>(file), {}};
    std::istringstream fields(stat.substr(std::min(stat.size(), stat.rfind(')') + 1)));
    std::string skipped;
    for (int field = 3; field < 14; ++field) fields >> skipped;
    double user = 0;
    double system = 0;
    fields >> user >> system;
    return {nanoseconds * 1e-9, user + system > 0 ? system / (user + system) : 0};
}

int DaemonProcess::stop() {
    if (pid_ <= 0) return -1;
    ::kill(pid_, SIGTERM);
    return wait(std::exchange(pid_, -1));
}

}  // namespace daedalus::bench
