#include "daedalus/daemon/serve.h"

#include <spdlog/fmt/fmt.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "daedalus/base/log.h"
#include "file_limit.h"
#include "node_path.h"

namespace daedalus::daemon {
namespace {

constexpr const char* kSystemFolder = "/run/daedalus";

void notify([[maybe_unused]] const std::string& state) {
#ifdef HAVE_SYSTEMD
    ::sd_notify(0, state.c_str());
#endif
}

std::string listenFailure(const std::string& path, Errno error) {
    switch (error.value) {
        case EADDRINUSE:
            return fmt::format(
                "{}: another daemon serves this socket; use it with `daedalus run --attach {}`, or choose --socket", path,
                path);
        case ENAMETOOLONG:
            return fmt::format("{}: longer than the 107 bytes that a socket's path may have; choose a shorter --socket", path);
        case ENOENT:
            return fmt::format("{}: its folder does not exist; make it, or choose --socket", path);
        default:
            return fmt::format("{}: cannot listen: {}; choose --socket in a folder that you can write", path,
                               std::strerror(error.value));
    }
}

}  // namespace

Result<std::string> defaultSocketPath() {
    if (::geteuid() == 0) return std::string(kSystemFolder) + "/daedalus.sock";
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    if (runtime == nullptr || *runtime != '/') return fail(ENOENT);
    return std::string(runtime) + "/daedalus.sock";
}

int serveMain(const ServeOptions& options) {
    std::string path = options.socket;
    if (path.empty()) {
        auto standard = defaultSocketPath();
        if (!standard) {
            log::error("no place for the socket: $XDG_RUNTIME_DIR is not set; give --socket PATH");
            return EXIT_FAILURE;
        }
        path = std::move(*standard);
        // systemd makes the folder for a unit; by hand it may be missing after a start of the machine.
        if (path.starts_with(kSystemFolder)) ::mkdir(kSystemFolder, 0755);
    }
    const auto nodePath = chooseNode(options.node);
    if (!nodePath) {
        log::error("{}", nodeFailure(options.node, nodePath.error()));
        return EXIT_FAILURE;
    }

    ::signal(SIGPIPE, SIG_IGN);
    raiseFileLimit();
    Daemon daemon({.threads = options.threads, .threadType = options.threadType, .nodePath = *nodePath});
    if (const auto listening = daemon.listen(path); !listening) {
        log::error("{}", listenFailure(path, listening.error()));
        return EXIT_FAILURE;
    }
    std::vector<EventLoop::Registration> registrations;
    for (const int signo : {SIGTERM, SIGINT, SIGHUP}) {
        auto registration = daemon.loop().signal(signo, [&daemon, signo] {
            log::info("{}: ending", ::sigdescr_np(signo));
            notify("STOPPING=1");
            daemon.stop();
        });
        if (!registration) {
            log::error("cannot watch for signal {}: {}", signo, std::strerror(registration.error().value));
            return EXIT_FAILURE;
        }
        registrations.push_back(std::move(*registration));
    }
    log::info("serving {} at {}; use it with `daedalus run --attach {} -- PROGRAM`", *nodePath, path, path);
    notify(fmt::format("READY=1\nSTATUS=Serving {} at {}", *nodePath, path));
    daemon.run();
    return EXIT_SUCCESS;
}

}  // namespace daedalus::daemon
