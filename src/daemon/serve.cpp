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
#include <optional>
#include <string_view>
#include <vector>

#include "daedalus/base/log.h"
#include "daedalus/daemon/daemon.h"
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
        case ENOTSOCK:
            return fmt::format("{}: is there already, and is no socket; choose another --socket", path);
        case ENAMETOOLONG:
            return fmt::format("{}: longer than the 107 bytes that a socket's path may have; choose a shorter --socket", path);
        case ENOENT:
            return fmt::format("{}: its folder does not exist; make it, or choose --socket", path);
        default:
            return fmt::format("{}: cannot listen: {}; choose --socket in a folder that you can write", path,
                               std::strerror(error.value));
    }
}

std::string cuseFailure(const std::string& nodePath, Errno error) {
    switch (error.value) {
        case EINVAL:
            return fmt::format("--cuse: {} is not a V4L2 node; give names like video10, with numbers from 0 to 255", nodePath);
        case EEXIST:
            return fmt::format("--cuse: this host has a {}; choose another name, or leave it out for the first that is free",
                               nodePath);
        case ENOSPC:
            return "--cuse: no name from video0 to video255 is free; remove one of these nodes";
        case ENOENT:
            return "--cuse: this host has no /dev/cuse; load the kernel's module as root: modprobe cuse";
        case EACCES:
        case EPERM:
            return fmt::format(
                "--cuse: /dev/cuse: {}; be root, or start the service daedalus.service, whose udev rule gives it the file",
                std::strerror(error.value));
        case EBUSY:
            return fmt::format("--cuse: the kernel would not register {}; `dmesg` says why", nodePath);
        default:
            return fmt::format("--cuse: {}: {}; see `daedalus doctor`", nodePath, std::strerror(error.value));
    }
}

/// Serves all devices of --cuse and returns their paths; nothing after an error that it has told.
std::optional<std::vector<std::string>> serveCuse(Daemon& daemon, const ServeOptions& options) {
    std::vector<std::string> paths;
    std::string_view rest = options.cuseNames;
    do {
        const size_t comma = rest.find(',');
        const std::string_view name = rest.substr(0, comma);
        rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
        const std::string wanted = name.empty() ? std::string() : (name.starts_with('/') ? "" : "/dev/") + std::string(name);
        auto path = chooseNode(wanted);
        auto served = path ? daemon.addCuse(*path) : Result<>(fail(path.error()));
        if (!served) {
            log::error("{}", cuseFailure(path ? *path : wanted, served.error()));
            return std::nullopt;
        }
        log::info("serving {} to every program of this machine", *path);
        paths.push_back(*std::move(path));
    } while (!rest.empty());
    return paths;
}

}  // namespace

Result<std::string> defaultSocketPath() {
    if (::geteuid() == 0) return std::string(kSystemFolder) + "/daedalus.sock";
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    if (runtime == nullptr || *runtime != '/') return fail(ENOENT);
    return std::string(runtime) + "/daedalus.sock";
}

int serveMain(const ServeOptions& options) {
    if (const std::string why = tooFewFiles(); !why.empty()) {
        log::error("{}", why);
        return EXIT_FAILURE;
    }
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
    ::signal(SIGPIPE, SIG_IGN);
    // Of a caller that ignores it: how our own processes end would be lost.
    ::signal(SIGCHLD, SIG_DFL);
    raiseFileLimit();
    surviveFileSizeLimit();
    Daemon daemon(options.decoder);
    Result<std::string> nodePath;
    if (options.cuse) {
        const auto devices = serveCuse(daemon, options);
        if (!devices) return EXIT_FAILURE;
        // The same name: whoever looks through /dev by the library finds the node that can be mapped, not the device.
        nodePath = devices->front();
    }
    if (!options.cuse || !options.node.empty()) nodePath = chooseNode(options.node);
    if (!nodePath) {
        log::error("{}", nodeFailure(options.node, nodePath.error()));
        return EXIT_FAILURE;
    }
    if (const auto listening = daemon.listen(path, *nodePath); !listening) {
        log::error("{}", listenFailure(path, listening.error()));
        return EXIT_FAILURE;
    }
    std::vector<EventLoop::Registration> registrations;
    // A daemon outlives the terminal that it was started from.
    ::signal(SIGHUP, SIG_IGN);
    for (const int signo : {SIGTERM, SIGINT}) {
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
