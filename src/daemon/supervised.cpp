#include "supervised.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/fmt/fmt.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>
#include <optional>

#include "daedalus/base/log.h"
#include "file_limit.h"

namespace daedalus::daemon {
namespace {

/// What the processes tell each other; a descriptor may come along.
struct Told {
    enum class What : int { Listener, Serving, Ended } what;
    int value;  ///< Serving: the program's process id; Ended: its wait status
};

bool tell(const UniqueFd& to, const Told& told, int fd = -1) {
    iovec part{const_cast<Told*>(&told), sizeof told};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
    if (fd >= 0) {
        header.msg_control = control;
        header.msg_controllen = sizeof control;
        cmsghdr* const entry = CMSG_FIRSTHDR(&header);
        entry->cmsg_level = SOL_SOCKET;
        entry->cmsg_type = SCM_RIGHTS;
        entry->cmsg_len = CMSG_LEN(sizeof fd);
        std::memcpy(CMSG_DATA(entry), &fd, sizeof fd);
    }
    return ::sendmsg(to.get(), &header, MSG_NOSIGNAL) >= 0;
}

std::optional<Told> hear(const UniqueFd& from, int flags, UniqueFd* fd = nullptr) {
    Told told{};
    iovec part{&told, sizeof told};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    ssize_t size = 0;
    do {
        size = ::recvmsg(from.get(), &header, flags | MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    if (size != sizeof told) return std::nullopt;
    if (const cmsghdr* const entry = CMSG_FIRSTHDR(&header); entry != nullptr && fd != nullptr) {
        int number = -1;
        std::memcpy(&number, CMSG_DATA(entry), sizeof number);
        fd->reset(number);
    }
    return told;
}

/// Lets go of the caller's terminal and pipes.
void detach(const char* name) {
    ::prctl(PR_SET_NAME, name);
    ::setsid();
    if (::chdir("/") != 0) log::debug("{} stays in its folder: {}", name, std::strerror(errno));
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null.get(), fd);
}

/// With kernel.yama.ptrace_scope=1 only what descends from a process is within its reach: orphans must not leave.
bool yamaWantsDescendants() {
    std::ifstream file("/proc/sys/kernel/yama/ptrace_scope");
    int scope = 0;
    return file >> scope && scope == 1;
}

/// Memory that this process shares with its children; null if there is none.
transport::NotifiedCalls* sharedCalls() {
    void* const memory =
        ::mmap(nullptr, sizeof(transport::NotifiedCalls), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? nullptr : new (memory) transport::NotifiedCalls{};
}

/// In a process of its own, which ends with the last program whose calls are trapped: the guard, as soon as `supervisor` (a
/// pidfd, or none where it is dead already) has ended.
void startGuard(const UniqueFd& listener, const UniqueFd& supervisor, transport::NotifiedCalls& calls) {
    if (::fork() != 0) return;
    detach("daedalus-guard");
    pollfd entry{supervisor.get(), POLLIN, 0};
    while (supervisor && ::poll(&entry, 1, -1) < 0 && errno == EINTR) {
    }
    transport::guardCalls(listener, calls);
    ::_exit(EXIT_SUCCESS);
}

}  // namespace

Supervised::Supervised(std::vector<std::string> command, std::vector<std::pair<std::string, std::string>> environment,
                       transport::NotifyOptions notify)
    : command_(std::move(command)),
      environment_(std::move(environment)),
      notify_(std::move(notify)),
      supervisor_([this](UniqueFd errorPipe) { return supervise(std::move(errorPipe)); }) {}

Supervised::~Supervised() = default;

void Supervised::show(PlaceholderWay way, std::vector<std::string> nodes) {
    placeholders_ = way;
    shown_ = std::move(nodes);
}

Result<> Supervised::start() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return fail(errno);
    ours_.reset(ends[0]);
    theirs_.reset(ends[1]);
    notify_.calls = sharedCalls();
    if (notify_.calls == nullptr) return fail(ENOMEM);
    // Should the supervisor be killed, the program becomes this process's child.
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    auto started = supervisor_.start();
    theirs_.reset();
    return started;
}

int Supervised::wait(const std::function<void(pid_t, int)>& onOtherChild) {
    UniqueFd listener;
    const auto serving = hear(ours_, 0, &listener);
    const UniqueFd supervisor(static_cast<int>(::syscall(SYS_pidfd_open, supervisor_.pid(), 0)));
    std::optional<int> ended;
    // Of a program that ends right after its supervisor was killed the end is seen here.
    std::optional<int> orphaned;
    const auto onChild = [&](pid_t pid, int status) {
        if (serving && pid == serving->value)
            orphaned = status;
        else
            onOtherChild(pid, status);
    };
    const int status = supervisor_.wait(onChild, [&] {
        if (const auto told = hear(ours_, MSG_DONTWAIT); told && told->what == Told::What::Ended) ended = told->value;
        return ended;
    });
    if (ended) {
        // What the program left behind may go on, and so does its supervisor.
        if (transport::haveTrappedProcesses(listener, 0)) startGuard(listener, supervisor, *notify_.calls);
        return *ended;
    }
    if (!serving) return status;
    log::error("the process that serves the calls of {} ended before it ({}); its files of {} fail with ENODEV",
               command_.front(),
               WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status)) : fmt::format("status {}", WEXITSTATUS(status)),
               notify_.nodePath);
    startGuard(listener, {}, *notify_.calls);
    if (orphaned) return *orphaned;
    supervisor_.adopt(serving->value);
    return supervisor_.wait(onOtherChild);
}

int Supervised::supervise(UniqueFd errorPipe) {
    ours_.reset();
    ::prctl(PR_SET_NAME, "daedalus-calls");
    if (yamaWantsDescendants()) ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    int ends[2];
    int error = ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0 ? 0 : errno;
    const UniqueFd here(error == 0 ? ends[0] : -1);
    UniqueFd there(error == 0 ? ends[1] : -1);
    Program program(command_, environment_);
    program.beforeExec([&] {
        if (const auto shown = showPlaceholders(placeholders_, shown_); !shown) return shown.error().value;
        const auto listener = transport::trapCalls();
        if (!listener) return listener.error().value;
        return tell(there, {Told::What::Listener, 0}, listener->get()) ? 0 : errno;
    });
    if (error == 0)
        if (const auto started = program.start(); !started) error = started.error().value;
    if (error != 0) {
        [[maybe_unused]] const ssize_t written = ::write(errorPipe.get(), &error, sizeof error);
        return EXIT_FAILURE;
    }
    there.reset();
    UniqueFd listener;
    hear(here, 0, &listener);
    tell(theirs_, {Told::What::Serving, program.pid()}, listener.get());
    errorPipe.reset();

    raiseFileLimit();
    std::atomic<int> seen = -1;
    notify_.ended = [&, self = ::getpid()](pid_t pid, int status) {
        if (pid != program.pid()) return;
        seen = status;
        ::kill(self, SIGCHLD);
    };
    auto copy = listener.duplicate();
    if (copy) transport::superviseCalls(std::move(*copy), notify_);
    const int status = program.wait([](pid_t, int) {}, [&] { return seen < 0 ? std::nullopt : std::optional<int>(seen); });
    log::debug("{} system calls of {} were looked at", notify_.calls->count.load(), command_.front());
    tell(theirs_, {Told::What::Ended, status});
    ::kill(::getppid(), SIGCHLD);
    // What the program closed by ending is noticed at once; what it left behind may stay for long.
    if (transport::haveTrappedProcesses(listener, 100)) {
        detach("daedalus-calls");
        while (transport::haveTrappedProcesses(listener, -1)) {
        }
    }
    ::_exit(EXIT_SUCCESS);
}

std::string describe(const transport::NotifyObstacle& obstacle) {
    using What = transport::NotifyObstacle::What;
    switch (obstacle.what) {
        case What::Listener:
            if (obstacle.error == EBUSY) return "another process takes the calls of this one already, as in a run within a run";
            if (obstacle.error == ENOSYS || obstacle.error == EINVAL)
                return "this kernel has no such notification (Linux 5.19, x86-64)";
            return fmt::format("a filter cannot be set up here: {}", std::strerror(obstacle.error));
        case What::Descriptors:
            return fmt::format("pidfd_getfd is refused ({}), as in Docker's default profile", std::strerror(obstacle.error));
        case What::Memory:
            return fmt::format("process_vm_readv is refused: {}", std::strerror(obstacle.error));
        case What::Trace:
            return fmt::format("ptrace is refused ({}): see kernel.yama.ptrace_scope", std::strerror(obstacle.error));
    }
    return {};
}

}  // namespace daedalus::daemon
