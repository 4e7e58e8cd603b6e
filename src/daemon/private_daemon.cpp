#include "private_daemon.h"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "daedalus/base/log.h"
#include "daedalus/base/out_of_memory.h"
#include "daedalus/base/worker_pool.h"
#include "file_limit.h"

namespace daedalus::daemon {
namespace {

using namespace std::chrono_literals;

// What the daemon says to `run`; anything else is an error message.
constexpr std::string_view kReady = "ready";
constexpr std::string_view kLingering = "lingering";

void tell(const UniqueFd& control, std::string_view message) {
    if (::send(control.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0)
        log::debug("run has gone before the daemon could tell it: {}", message);
}

void redirectToNull(std::initializer_list<int> fds) {
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int fd : fds) ::dup2(null.get(), fd);
}

/// Leaves the terminal, the caller's pipes and its folder alone.
void detach(const UniqueFd& control) {
    ::setsid();
    ::prctl(PR_SET_NAME, "daedalus-node");
    ::signal(SIGPIPE, SIG_IGN);
    if (::chdir("/") != 0) log::debug("the daemon stays in its folder: {}", std::strerror(errno));
    redirectToNull({STDIN_FILENO, STDOUT_FILENO});
    const auto kept = static_cast<unsigned>(control.get());
    if (kept > 3) ::close_range(3, kept - 1, 0);
    ::close_range(kept + 1, ~0U, 0);
}

/// Decides when the daemon ends.
class Lifetime {
public:
    Lifetime(Daemon& daemon, const UniqueFd& control) : daemon_(daemon), control_(control) {}
    ~Lifetime() {
        // The daemon outlives this object, and closes its files at its end.
        daemon_.onIdle([] {});
    }
    Lifetime(const Lifetime&) = delete;
    Lifetime& operator=(const Lifetime&) = delete;

    [[nodiscard]] Result<> watch() {
        daemon_.onIdle([this] {
            if (programEnded_) daemon_.stop();
        });
        for (const int signo : {SIGTERM, SIGINT, SIGHUP}) {
            auto registration = daemon_.loop().signal(signo, [this] { daemon_.stop(); });
            if (!registration) return fail(registration.error());
            registrations_.push_back(std::move(*registration));
        }
        auto registration = daemon_.loop().watch(control_.get(), EventLoop::Readable | EventLoop::HangUp, [this](uint32_t) {
            programEnded_ = true;
            end_.setEvents(0);
            endOrLinger();
        });
        if (!registration) return fail(registration.error());
        end_ = std::move(*registration);
        return {};
    }

private:
    void endOrLinger() {
        if (daemon_.sessions() == 0) return daemon_.stop();
        // Files that the program closed by ending may not have been noticed yet: run would not have to hear of these.
        grace_ = daemon_.loop().timer(200ms, 0ms, [this] {
            tell(control_, kLingering);
            // Whoever reads run's stderr to its end must not wait for us.
            redirectToNull({STDERR_FILENO});
        });
    }

    Daemon& daemon_;
    const UniqueFd& control_;
    bool programEnded_ = false;
    EventLoop::Registration end_;
    EventLoop::Registration grace_;
    std::vector<EventLoop::Registration> registrations_;
};

/// The daemon process, to its end. Returns the exit status.
int serve(const device::DeviceOptions& options, const std::vector<PlannedNode>& nodes, const PrivateFolder& folder,
          const UniqueFd& control) {
    detach(control);
    raiseFileLimit();
    surviveFileSizeLimit();
    retryAllocations();
    {
        Daemon daemon(options);
        for (const auto& [kind, path] : nodes) {
            if (const auto added = daemon.addNode(*kind, path); !added) {
                tell(control, fmt::format("cannot make {}: {}; free some memory", path, std::strerror(added.error().value)));
                return EXIT_FAILURE;
            }
        }
        if (const auto listening = daemon.listen(folder.socket()); !listening) {
            tell(control, fmt::format("cannot listen at {}: {}; make $XDG_RUNTIME_DIR or $TMPDIR a folder that can be written",
                                      folder.socket(), std::strerror(listening.error().value)));
            return EXIT_FAILURE;
        }
        Lifetime lifetime(daemon, control);
        if (const auto watching = lifetime.watch(); !watching) {
            tell(control, fmt::format("cannot watch for the program's end: {}", std::strerror(watching.error().value)));
            return EXIT_FAILURE;
        }
        tell(control, kReady);
        daemon.run();
    }
    folder.remove();
    if (Strand::anyAbandoned()) ::_exit(EXIT_SUCCESS);
    return EXIT_SUCCESS;
}

/// The next message of the daemon; empty if it has ended (or says nothing for so long that it must be stuck).
std::string receive(const UniqueFd& control) {
    std::array<char, 512> message{};
    ssize_t size = 0;
    do {
        size = ::recv(control.get(), message.data(), message.size(), 0);
    } while (size < 0 && errno == EINTR);
    return {message.data(), size > 0 ? static_cast<size_t>(size) : 0};
}

}  // namespace

tl::expected<PrivateDaemon, std::string> PrivateDaemon::start(const device::DeviceOptions& options,
                                                              const std::vector<PlannedNode>& nodes,
                                                              const PrivateFolder& folder) {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return tl::unexpected(fmt::format("cannot make a socket for the daemon: {}", std::strerror(errno)));
    UniqueFd ours(pair[0]);
    UniqueFd theirs(pair[1]);
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(ours.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);

    const pid_t pid = ::fork();
    if (pid < 0) return tl::unexpected(fmt::format("cannot start the daemon's process: {}", std::strerror(errno)));
    if (pid == 0) {
        ours.reset();
        // exit() rather than _exit(): leak checkers and coverage work at exit.
        std::exit(serve(options, nodes, folder, theirs));
    }
    theirs.reset();
    PrivateDaemon daemon(pid, std::move(ours));
    const std::string message = receive(daemon.control_);
    if (message == kReady) return daemon;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return tl::unexpected(message.empty() ? "the daemon's process ended before it was ready; its last words are above"
                                          : message);
}

bool PrivateDaemon::finish() {
    ::shutdown(control_.get(), SHUT_WR);
    if (receive(control_) == kLingering) return false;
    ::waitpid(pid_, nullptr, WNOHANG);
    return true;
}

}  // namespace daedalus::daemon
