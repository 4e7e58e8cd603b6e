#include "daedalus/daemon/run.h"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "attach.h"
#include "daedalus/base/log.h"
#include "daedalus/daemon/preload_library.h"
#include "file_limit.h"
#include "host_device.h"
#include "node_path.h"
#include "placeholders.h"
#include "private_daemon.h"
#include "private_folder.h"
#include "program.h"
#include "program_hint.h"
#include "proto/wire.h"
#include "supervised.h"

namespace daedalus::daemon {
namespace {

using Environment = std::vector<std::pair<std::string, std::string>>;

/// `library` in front of what the caller preloads already, in place of that of a surrounding run.
std::string preloadList(const std::string& library) {
    const char* present = std::getenv(proto::kPreloadVariable);
    std::string list = library;
    std::string_view rest = present != nullptr ? present : "";
    while (!rest.empty()) {
        const size_t end = rest.find_first_of(": ");
        const std::string_view entry = rest.substr(0, end);
        if (!entry.empty() && !entry.ends_with(proto::kPreloadLibrary)) (list += ':') += entry;
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
    return list;
}

/// AddressSanitizer of a shared runtime wants to be first and ends programs in which it is not. It needs not be: our functions
/// call its own. What the caller sets comes later and wins.
std::string sanitizerOptions() {
    const char* present = std::getenv("ASAN_OPTIONS");
    const std::string ours = "verify_asan_link_order=0";
    return present != nullptr && *present != '\0' ? ours + ':' + present : ours;
}

int startFailure(const std::string& program, Errno error) {
    if (error.value == ENOENT) {
        log::error("{}: no such program; check its name and $PATH", program);
        return kProgramNotFound;
    }
    log::error("{}: cannot be run: {}", program, std::strerror(error.value));
    return kProgramNotExecutable;
}

/// How it went.
struct Ended {
    std::optional<int> waitStatus;  ///< of the program, if it started
    int exitStatus = kRunFailed;    ///< if it did not
    bool folderInUse = false;       ///< the daemon goes on, and removes the folder itself
};

/// Where the program's calls go.
struct Target {
    std::vector<std::string> nodes;  ///< their paths, at least one
    std::string socket;              ///< of the daemon; empty: they go to the kernel
    std::string device;              ///< what the library shows to udev's callers; empty: nothing
};

/// A door to the daemon at `socket`, for the program and all that it starts, whatever their user, root or namespaces: its
/// descriptor, which a program inherits, and the value of kDoorVariable. Without it they find the daemon by its path only.
std::pair<UniqueFd, std::string> inheritableDoor(const std::string& socket) {
    if (socket.empty()) return {};
    const auto door = askDoor(socket);
    if (!door) return {};
    UniqueFd inherited(::fcntl(door->get(), F_DUPFD, proto::kLowestHiddenFd));
    struct stat status {};
    if (!inherited || ::fstat(inherited.get(), &status) != 0) return {};
    std::string value = fmt::format("{}:{}:{}", inherited.get(), status.st_ino, socket);
    return {std::move(inherited), std::move(value)};
}

/// The environment that loads the preload library, which heeds `target`; nothing if there is no library, which was told.
std::optional<Environment> libraryEnvironment(const PrivateFolder& folder, const Target& target) {
    const auto library = findPreloadLibrary();
    if (!library) {
        log::error("no preload library at {}; build or install daedalus completely, or name it in $DAEDALUS_PRELOAD",
                   preloadLibraryPlaces());
        return std::nullopt;
    }
    const auto preloadable = folder.preloadable(*library);
    if (!preloadable) {
        log::error("{}: cannot make a link to {}: {}", folder.path(), *library, std::strerror(preloadable.error().value));
        return std::nullopt;
    }
    return Environment{{proto::kPreloadVariable, preloadList(*preloadable)},
                       {proto::kSocketVariable, target.socket},
                       {proto::kDeviceVariable, target.device},
                       {"ASAN_OPTIONS", sanitizerOptions()}};
}

/// Starts `program` and waits for it.
template <class T>
Ended runToEnd(T& program, const RunOptions& options, const std::string& nodePath, pid_t daemonPid) {
    if (const auto started = program.start(); !started)
        return {.waitStatus = {}, .exitStatus = startFailure(options.command.front(), started.error())};
    return {.waitStatus = program.wait([&](pid_t pid, int status) {
                if (pid != daemonPid) return;
                log::error("the decoder's process ended before {} ({}); open files of {} now fail with ENODEV",
                           options.command[0],
                           WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                                               : fmt::format("status {}", WEXITSTATUS(status)),
                           nodePath);
            }),
            .exitStatus = EXIT_SUCCESS};
}

/// Which ways in this run takes.
struct Ways {
    bool library = true;
    bool notification = false;
};

/// As the user wants it and this host allows; nothing if it cannot be, which was told.
std::optional<Ways> chooseWays(const RunOptions& options, const std::string& nodePath) {
    using Kind = ProgramHint::Kind;
    const std::string& program = options.command.front();
    const ProgramHint hint = judgeProgram(program);
    // no_new_privs takes from setuid programs what they are for: by itself this way in is taken only where the other is none.
    const bool may = options.reach == Reach::Auto && (hint.kind == Kind::Static || hint.kind == Kind::OtherLibc);
    const auto obstacle = may || options.reach == Reach::Notify ? transport::findNotifyObstacle() : std::nullopt;
    if (options.reach == Reach::Notify) {
        if (!obstacle) return Ways{.library = false, .notification = true};
        log::error("--reach notify: {}; use --reach preload", describe(*obstacle));
        return std::nullopt;
    }
    if (may && !obstacle) {
        if (!options.quiet)
            log::info(
                "no library reaches {}: its system calls are served; stat() and readdir() do not show it {}, which "
                "--reach notify changes where it may",
                program, nodePath);
        return Ways{.library = hint.kind == Kind::Static, .notification = true};
    }
    if (hint.kind == Kind::Reached) return Ways{};
    if (obstacle) log::warn("the system calls of {} cannot be served: {}", program, describe(*obstacle));
    log::warn("{} finds no {}: {}; a CUSE device reaches every program: `daedalus serve --cuse`", program, nodePath, hint.why);
    return Ways{.library = hint.kind != Kind::OtherLibc};
}

/// Whether the program sees the nodes where it opens nothing, which is told.
PlaceholderWay choosePlaceholders(const RunOptions& options, const Target& target) {
    // A /dev, a user or a mount of its own changes what some programs do: nobody gets one without asking for it.
    if (options.reach != Reach::Notify) return PlaceholderWay::None;
    const PlaceholderTier tier = findPlaceholderWay();
    if (!options.quiet) log::info("{}", describe(tier, fmt::format("{}", fmt::join(target.nodes, ", "))));
    return tier.way;
}

/// Runs the program as the options say.
Ended runProgram(const RunOptions& options, const PrivateFolder& folder, const Target& target, pid_t daemonPid) {
    const std::string& nodePath = target.nodes.front();
    // Calls on a device file go to the kernel, whatever the program is.
    const auto ways = target.socket.empty() ? Ways{} : chooseWays(options, nodePath);
    if (!ways) return {};
    Environment environment = {{"DAEDALUS_NODE", nodePath}, {"GST_REGISTRY", folder.gstRegistry()}};
    UniqueFd door;
    if (ways->library) {
        auto loading = libraryEnvironment(folder, target);
        if (!loading) return {};
        environment.insert(environment.end(), loading->begin(), loading->end());
        environment.emplace_back(proto::kDoorVariable, "");
        std::tie(door, environment.back().second) = inheritableDoor(target.socket);
    }
    if (ways->notification) {
        Supervised program(options.command, environment,
                           {.socket = target.socket, .nodePath = nodePath, .calls = nullptr, .ended = nullptr});
        program.show(choosePlaceholders(options, target), target.nodes);
        return runToEnd(program, options, nodePath, daemonPid);
    }
    Program program(options.command, environment);
    return runToEnd(program, options, nodePath, daemonPid);
}

/// With a daemon that was there before.
Ended runAttached(const RunOptions& options, const PrivateFolder& folder) {
    const auto nodePath = askNodePath(options.attach);
    if (!nodePath) {
        log::error("{}", attachFailure(options.attach, nodePath.error()));
        return {};
    }
    // The program may change its folder.
    std::error_code error;
    const std::string socket = std::filesystem::absolute(options.attach, error).string();
    if (!options.quiet) log::info("{} is served by the daemon at {}", *nodePath, options.attach);
    return runProgram(options, folder, {.nodes = {*nodePath}, .socket = socket, .device = {}}, -1);
}

/// With a device file, whose calls go to the kernel.
Ended runOnDevice(const RunOptions& options, const PrivateFolder& folder) {
    const auto device = findHostDevice(options.device);
    if (!device) {
        log::error("{}", hostDeviceFailure(options.device, device.error()));
        return {};
    }
    if (!options.quiet) log::info("{} is a device of this host", device->path);
    const std::string shown = device->knownToUdev ? "" : device->path;
    return runProgram(options, folder, {.nodes = {device->path}, .socket = {}, .device = shown}, -1);
}

/// With a daemon of its own.
Ended runPrivate(const RunOptions& options, const PrivateFolder& folder) {
    const auto nodes = planNodes(options.nodes, options.node);
    if (!nodes) {
        log::error("{}", nodeFailure(options.node, nodes.error()));
        return {};
    }
    const std::string names = listed(*nodes);
    auto daemon = PrivateDaemon::start(options.decoder, *nodes, folder);
    if (!daemon) {
        log::error("{}", daemon.error());
        return {};
    }
    if (!options.quiet) log::info("serving {}", names);
    // The library knows one node at a time.
    const char* const outer = std::getenv(proto::kSocketVariable);
    if (outer != nullptr && *outer != '\0')
        log::warn("{} takes the place of the node of the surrounding `daedalus run`; for that one, start {} without `run`",
                  names, options.command.front());
    Target target{.nodes = {}, .socket = folder.socket(), .device = {}};
    for (const PlannedNode& node : *nodes) target.nodes.push_back(node.path);
    Ended ended = runProgram(options, folder, target, daemon->pid());
    ended.folderInUse = !daemon->finish();
    if (ended.folderInUse && !options.quiet) log::info("{} stays until the files that are still open are closed", names);
    return ended;
}

}  // namespace

std::string notifyObstacle() {
    const auto obstacle = transport::findNotifyObstacle();
    return obstacle ? describe(*obstacle) : std::string();
}

ShownNodes nodesShownByNotify() {
    const PlaceholderTier tier = findPlaceholderWay();
    return {tier.way != PlaceholderWay::None, describe(tier, "/dev/videoN")};
}

int runMain(const RunOptions& options) {
    if (const std::string why = tooFewFiles(); !why.empty()) {
        log::error("{}", why);
        return kRunFailed;
    }
    const auto folder = PrivateFolder::create();
    if (!folder) {
        log::error("cannot make a folder in $XDG_RUNTIME_DIR, $TMPDIR, /tmp or /dev/shm: {}; make one of them writable",
                   std::strerror(folder.error().value));
        return kRunFailed;
    }
    const Ended ended = !options.device.empty()   ? runOnDevice(options, *folder)
                        : !options.attach.empty() ? runAttached(options, *folder)
                                                  : runPrivate(options, *folder);
    if (!ended.folderInUse) folder->remove();
    return ended.waitStatus ? Program::passOn(*ended.waitStatus) : ended.exitStatus;
}

}  // namespace daedalus::daemon
