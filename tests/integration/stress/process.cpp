#include "process.h"

#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

#include "proto/wire.h"

namespace daedalus::test {
namespace {

/// The child must not outlive a test that crashes.
void dieWithParent(pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
}

bool answers(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const UniqueFd probe(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

Process& Process::operator=(Process&& other) noexcept {
    end();
    pid_ = std::exchange(other.pid_, -1);
    return *this;
}

Process Process::spawn(std::vector<std::string> command, const std::vector<std::pair<std::string, std::string>>& environment,
                       const std::string& log) {
    std::vector<char*> arguments;
    for (auto& word : command) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) throw std::runtime_error("cannot fork");
    if (pid > 0) return Process(pid);

    dieWithParent(parent);
    ::unsetenv(proto::kPreloadVariable);
    for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
    const int out = log.empty() ? -1 : ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO})
        if (out >= 0) ::dup2(out, fd);
    // As shells start programs; the test may have more.
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = std::min(files.rlim_max, rlim_t{1024});
    ::setrlimit(RLIMIT_NOFILE, &files);
    // Descriptors of the test would look like leaks of the daemon.
    ::close_range(STDERR_FILENO + 1, ~0U, 0);
    ::execv(arguments[0], arguments.data());
    std::perror(arguments[0]);
    ::_exit(127);
}

Process Process::fork(const std::function<int()>& body) {
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) throw std::runtime_error("cannot fork");
    if (pid > 0) return Process(pid);
    dieWithParent(parent);
    ::_exit(body());
}

void Process::kill(int signo) const {
    if (pid_ > 0) ::kill(pid_, signo);
}

std::optional<int> Process::wait(std::chrono::milliseconds patience) {
    int status = 0;
    const bool ended = eventually(patience, [&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; });
    if (!ended) return std::nullopt;
    pid_ = -1;
    return status;
}

void Process::end() {
    if (pid_ <= 0) return;
    kill(SIGKILL);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
}

bool eventually(std::chrono::milliseconds patience, const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) return condition();
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

size_t openFds(pid_t pid) {
    const std::string path = "/proc/" + std::to_string(pid) + "/fd";
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
    size_t count = 0;
    while (folder != nullptr) {
        const dirent* entry = ::readdir(folder.get());
        if (entry == nullptr) break;
        if (entry->d_name[0] != '.') ++count;
    }
    return count;
}

size_t residentBytes(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
    size_t total = 0;
    size_t resident = 0;
    file >> total >> resident;
    return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

std::vector<pid_t> childrenOf(pid_t parent) {
    std::vector<pid_t> found;
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc"), ::closedir);
    while (const dirent* entry = ::readdir(folder.get())) {
        const pid_t pid = std::atoi(entry->d_name);
        if (pid <= 0) continue;
        std::ifstream file("/proc/" + std::string(entry->d_name) + "/status");
        for (std::string word; file >> word;) {
            if (word != "PPid:") continue;
            if (pid_t of = 0; file >> of && of == parent) found.push_back(pid);
            break;
        }
    }
    return found;
}

unsigned scaled(unsigned count) {
    const char* scale = std::getenv("DAEDALUS_STRESS_SCALE");
    return scale != nullptr ? count * static_cast<unsigned>(std::max(1, std::atoi(scale))) : count;
}

std::string setting(const char* name) {
    const char* value = std::getenv(name);
    if (value == nullptr) throw std::runtime_error(std::string(name) + " is not set: run this by `meson test`");
    return value;
}

DaemonProcess::DaemonProcess(const std::vector<std::string>& command, std::string log)
    : log_(std::move(log)), process_(Process::spawn(command, {}, log_)) {
    const std::string path = setting(proto::kSocketVariable);
    if (!eventually(20s, [&] { return answers(path); }))
        throw std::runtime_error(command.front() + " does not listen at " + path);
}

DaemonProcess DaemonProcess::serve(std::vector<std::string> options) {
    const std::string socket = setting(proto::kSocketVariable);
    std::vector<std::string> command = {setting("DAEDALUS_PROGRAM"), "serve", "--socket", socket, "--node", kNodePath};
    command.insert(command.end(), options.begin(), options.end());
    return {command, socket + ".log"};
}

DaemonProcess DaemonProcess::fake() {
    const std::string socket = setting(proto::kSocketVariable);
    return {{setting("DAEDALUS_STRESS_DAEMON"), socket, kNodePath}, socket + ".log"};
}

std::string DaemonProcess::log() const {
    std::ifstream file(log_);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::unique_ptr<FdClient> openNode(int flags) {
    UniqueFd fd(::open(kNodePath, O_RDWR | O_CLOEXEC | flags));
    return fd ? std::make_unique<FdClient>(std::move(fd)) : nullptr;
}

}  // namespace daedalus::test
