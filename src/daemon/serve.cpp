#include "daedalus/daemon/serve.h"

#include <spdlog/fmt/fmt.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "daedalus/base/log.h"
#include "daedalus/base/out_of_memory.h"
#include "daedalus/base/worker_pool.h"
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

std::vector<std::string> namesOf(const std::string& list) {
    std::vector<std::string> names;
    for (size_t at = 0; at <= list.size();) {
        names.push_back(list.substr(at, list.find(',', at) - at));
        at += names.back().size() + 1;
    }
    // A comma at the end begins no further name.
    if (names.size() > 1 && names.back().empty()) names.pop_back();
    return names;
}

/// Serves each node as a device too: they are one node under one name, so that whoever looks through /dev by the library finds
/// what can be mapped. False after an error that it has told.
bool serveCuse(Daemon& daemon, const ServeOptions& options, std::vector<PlannedNode>& nodes) {
    const auto names = namesOf(options.cuseNames);
    const auto isHeld = [&](unsigned number) { return daemon.nodes().holds(number); };
    // A name more than there are kinds is another node of the last one.
    for (size_t i = 0; i < std::max(names.size(), options.nodes.size()); ++i) {
        const std::string name = i < names.size() ? names[i] : std::string();
        const std::string wanted = name.empty() ? name : (name.starts_with('/') ? "" : "/dev/") + name;
        auto device = chooseNode(wanted, {}, isHeld);
        auto path = i == 0 && !options.node.empty() ? chooseNode(options.node) : device;
        if (device && !path) {
            log::error("{}", nodeFailure(options.node, path.error()));
            return false;
        }
        const ioctl::NodeKind& kind = *options.nodes[std::min(i, options.nodes.size() - 1)];
        if (kind.decoder->hasRequests) {
            log::error(
                "--cuse: a {} node needs descriptors of requests, which CUSE cannot give to clients; serve it without --cuse, "
                "or "
                "start its clients by `daedalus run --nodes {}`",
                kind.name, kind.name);
            return false;
        }
        auto served = device ? Result<>{} : Result<>(fail(device.error()));
        if (served) {
            auto node = daemon.addNode(kind, *path);
            served = node ? daemon.addCuse(**node, *device) : Result<>(fail(node.error()));
        }
        if (!served) {
            log::error("{}", cuseFailure(device ? *device : wanted, served.error()));
            return false;
        }
        log::info("serving {} to every program of this machine", *device);
        nodes.push_back({&kind, *path});
    }
    return true;
}

/// The same without devices.
bool serveNodes(Daemon& daemon, const ServeOptions& options, std::vector<PlannedNode>& nodes) {
    auto planned = planNodes(options.nodes, options.node);
    for (size_t i = 0; planned && i < planned->size(); ++i)
        if (auto added = daemon.addNode(*(*planned)[i].kind, (*planned)[i].path); !added) planned = fail(added.error());
    if (!planned) {
        log::error("{}", nodeFailure(options.node, planned.error()));
        return false;
    }
    nodes = *std::move(planned);
    return true;
}

}  // namespace

Result<std::string> defaultSocketPath() {
    if (::geteuid() == 0) return std::string(kSystemFolder) + "/daedalus.sock";
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    if (runtime == nullptr || *runtime != '/') return fail(ENOENT);
    return std::string(runtime) + "/daedalus.sock";
}

namespace {

/// The daemon's whole life.
int serveUntilEnd(const ServeOptions& options) {
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
    retryAllocations();
    Daemon daemon(options.decoder);
    std::vector<PlannedNode> nodes;
    if (!(options.cuse ? serveCuse(daemon, options, nodes) : serveNodes(daemon, options, nodes))) return EXIT_FAILURE;
    const std::string names = listed(nodes);
    if (const auto listening = daemon.listen(path); !listening) {
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
    log::info("serving {} at {}; use it with `daedalus run --attach {} -- PROGRAM`", names, path, path);
    notify(fmt::format("READY=1\nSTATUS=Serving {} at {}", names, path));
    daemon.run();
    return EXIT_SUCCESS;
}

}  // namespace

int serveMain(const ServeOptions& options) {
    const int status = serveUntilEnd(options);
    // Threads of a codec that never came back use what exit() would destroy.
    if (Strand::anyAbandoned()) ::_exit(status);
    return status;
}

}  // namespace daedalus::daemon
