#include "src/transport/socket/server.h"

#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <sstream>

#include "daedalus/base/log.h"
#include "daedalus/v4l2/node_name.h"
#include "proto/sysfs.h"
#include "src/transport/socket/connection.h"

namespace daedalus::transport {
namespace socket {
namespace {

constexpr std::chrono::seconds kComplaintPeriod{10};
constexpr unsigned kMaxComplaints = 5;
/// Connections that one door has open at once. Threads beyond that connect by path, or share one.
constexpr size_t kMostThroughDoor = 4096;
/// A door's end; it is as good as many connections, so that there shall be fewer of them.
constexpr uint64_t kHandlesOfDoor = 4;
/// Its end, the pair that shows POLLPRI, and the end of a pipe once the node is gone.
constexpr uint64_t kHandlesOfSession = 4;

/// The major number of media devices: the host's, or where it has none one that it gives out last.
unsigned mediaMajor() {
    constexpr unsigned kLastDynamic = 384;
    static const unsigned major = [] {
        std::ifstream devices("/proc/devices");
        unsigned number = 0;
        for (std::string line; std::getline(devices, line);)
            if (std::istringstream words(line); words >> number && words >> line && line == "media") return number;
        return kLastDynamic;
    }();
    return major;
}

uint64_t randomId() {
    uint64_t id = 0;
    while (::getrandom(&id, sizeof id, 0) != sizeof id || id == 0) {
    }
    return id;
}

}  // namespace

Server::Server(EventLoop& loop, Backend backend, std::string path)
    : loop_(loop), backend_(std::move(backend)), path_(std::move(path)), daemon_(randomId()) {
    for (const auto& [cmd, traits] : backend_.follows) {
        follows_.emplace(cmd, traits.follow);
        if (followEntries_.size() == proto::kMaxFollows) break;
        followEntries_.push_back({cmd, static_cast<uint8_t>(traits.follow), static_cast<uint8_t>(traits.role), 0});
    }
}

Result<std::unique_ptr<Server>> Server::listen(EventLoop& loop, Backend backend, const std::string& path) {
    std::unique_ptr<Server> server(new Server(loop, std::move(backend), path));
    auto listener = bindListener(path);
    if (!listener) return fail(listener.error());
    if (auto started = server->start(std::move(*listener)); !started) return fail(started.error());
    return server;
}

Result<> Server::start(UniqueFd listener) {
    struct stat status {};
    if (::lstat(path_.c_str(), &status) == 0) inode_ = status.st_ino;
    listener_ = std::move(listener);
    nodesChanged();
    auto watch = loop_.watch(listener_.get(), EventLoop::Readable, [this](uint32_t) { accept(); });
    if (!watch) return fail(watch.error());
    watch_ = std::move(*watch);
    return {};
}

Server::~Server() {
    watch_ = {};
    retry_ = {};
    doors_.clear();
    // Connections first: their clients learn that the daemon is gone, not that a call failed.
    connections_.clear();
    for (auto& [id, session] : sessions_) session->close();
    struct stat status {};
    if (inode_ != 0 && ::lstat(path_.c_str(), &status) == 0 && status.st_ino == inode_) {
        ::unlink(path_.c_str());
    } else {
        // Another daemon has taken the path over.
        sysfs_.leave();
    }
}

proto::HelloBody Server::hello() const {
    proto::HelloBody body{};
    body.version = proto::kProtocolVersion;
    body.followCount = static_cast<uint32_t>(followEntries_.size());
    body.daemon = daemon_;
    body.generation = backend_.generation ? backend_.generation() : 0;
    body.nodeCount = static_cast<uint32_t>(nodeEntries().size());
    return body;
}

std::vector<proto::NodeEntry> Server::nodeEntries() const {
    std::vector<proto::NodeEntry> entries;
    for (const auto& node : backend_.nodes()) {
        if (entries.size() == proto::kMaxNodes) break;
        auto& entry = entries.emplace_back();
        entry.major = v4l2::kVideoMajor;
        entry.minor = node.number;  // as videodev gives them
        v4l2::nodePath(node.number).copy(entry.nodePath, sizeof entry.nodePath - 1);
        node.card.copy(entry.card, sizeof entry.card - 1);
        if (node.hasMedia) entry.media = 1 + node.number;
    }
    // Behind them, so that a client's first node is one that decodes.
    for (const auto& node : backend_.nodes()) {
        if (!node.hasMedia || entries.size() == proto::kMaxNodes) continue;
        auto& entry = entries.emplace_back();
        entry.kind = proto::FileKind::Media;
        entry.major = mediaMajor();
        entry.minor = node.number;
        v4l2::mediaPath(node.number).copy(entry.nodePath, sizeof entry.nodePath - 1);
        node.card.copy(entry.card, sizeof entry.card - 1);
    }
    return entries;
}

std::string Server::nodePath() const {
    const auto entries = nodeEntries();
    return entries.empty() ? std::string() : entries.front().nodePath;
}

void Server::nodesChanged() {
    if (auto made = backend_.hasSysfs ? sysfs_.show(path_, nodeEntries()) : Result<>{}; !made) {
        log::warn("{}{}: cannot be made: {}; clients do not find {} in /sys", path_, proto::kSysfsSuffix,
                  std::strerror(made.error().value), nodePath());
    }
}

void Server::accept() {
    // A few at a time, so that a flood of connections does not keep the others waiting.
    for (int i = 0; i < 16; ++i) {
        UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!fd) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                complain(
                    fmt::format("{}: cannot accept a client: {}; raise the limit of open files (ulimit -n) or close clients",
                                path_, std::strerror(errno)));
                // The client still knocks: do not spin on it.
                watch_.setEvents(0);
                retry_ = loop_.timer(std::chrono::milliseconds(100), std::chrono::milliseconds(0),
                                     [this] { watch_.setEvents(EventLoop::Readable); });
            }
            return;
        }
        ucred peer{};
        socklen_t length = sizeof peer;
        if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) continue;
        addConnection(std::move(fd), peer.pid, peer.uid);
    }
}

std::weak_ptr<Connection> Server::addConnection(UniqueFd fd, pid_t pid, uid_t uid) {
    auto share = charge(uid, 1);
    if (!share) return {};
    auto connection = std::make_shared<Connection>(*this, std::move(fd), *std::move(share), pid, uid);
    if (auto started = connection->start(loop_); !started) {
        log::error("{}: cannot watch a client's connection: {}", path_, std::strerror(started.error().value));
        return {};
    }
    connections_.insert(connection);
    return connection;
}

std::optional<memory::Budget::Share> Server::charge(uid_t user, uint64_t handles) {
    if (!backend_.accounts) return memory::Budget::Share();
    const auto budget = backend_.accounts->user(user);
    auto share = memory::Budget::take(budget, 0, handles);
    if (share) return share;
    complain(fmt::format("{}: user {} is refused: {}", path_, user, budget->shortage(0, handles)));
    return std::nullopt;
}

Result<UniqueFd> Server::openDoor(uid_t user) {
    auto share = charge(user, kHandlesOfDoor);
    if (!share) return fail(EMFILE);
    // A client that hands both ends of a pair through leaves them here for good: not many, then.
    const auto add = [this, through = std::vector<std::weak_ptr<Connection>>()](UniqueFd fd, pid_t pid, uid_t uid) mutable {
        if (through.size() >= kMostThroughDoor) std::erase_if(through, [](const auto& one) { return one.expired(); });
        if (through.size() < kMostThroughDoor) through.push_back(addConnection(std::move(fd), pid, uid));
    };
    auto made = Door::make(loop_, add);
    if (!made) return fail(made.error());
    const Door* const key = made->door.get();
    made->door->onHangUp([this, key] {
        loop_.post([this, key, life = std::weak_ptr(life_)] {
            if (!life.expired()) doors_.erase(key);
        });
    });
    doors_.emplace(key, OpenDoor{std::move(made->door), *std::move(share)});
    return std::move(made->clientEnd);
}

Result<Session::Made> Server::openSession(uint64_t where, uid_t owner, std::string client) {
    const unsigned number = proto::nodeOf(where);
    const bool isMedia = where == proto::whereOf(proto::FileKind::Media, number);
    if (!isMedia && where != proto::whereOf(proto::FileKind::Video, number)) return fail(ENODEV);
    if (isMedia && !backend_.openMedia) return fail(ENODEV);
    auto file = isMedia ? backend_.openMedia(number, client, owner) : backend_.open(number, std::move(client), owner);
    if (!file) return fail(file.error());
    return addSession(where, *std::move(file));
}

Result<Session::Made> Server::addSession(uint64_t where, std::unique_ptr<ioctl::File> file) {
    constexpr uint64_t kWhere = 0xFFFF;
    auto share = charge(file->owner(), kHandlesOfSession);
    if (!share) return fail(EMFILE);
    const uint64_t id = (randomId() & ~kWhere) | (where & kWhere);
    auto made = Session::make(loop_, daemon_, id, std::move(file));
    if (!made) return made;
    made->session->keep(*std::move(share));
    const auto hangUp = [this, id] {
        loop_.post([this, id, life = std::weak_ptr(life_)] {
            if (!life.expired()) endSession(id);
        });
    };
    if (auto watched = made->session->onHangUp(hangUp); !watched) return fail(watched.error());
    sessions_.emplace(id, made->session);
    return made;
}

std::shared_ptr<Session> Server::find(uint64_t session) const {
    const auto found = sessions_.find(session);
    return found == sessions_.end() ? nullptr : found->second;
}

void Server::endSession(uint64_t id) {
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) return;
    const auto session = std::move(found->second);
    sessions_.erase(found);
    session->close();
    log::debug("session {:016x}: closed", id);
    keepPriority(session->takePriority());
    if (sessions_.empty() && onIdle_) onIdle_();
}

void Server::keepPriority(UniqueFd fd) {
    if (!fd) return;
    const int key = fd.get();
    auto watch = loop_.watch(key, EventLoop::HangUp, [this, key](uint32_t) { leftovers_.erase(key); });
    if (watch) leftovers_.emplace(key, Leftover{std::move(fd), std::move(*watch)});
}

void Server::complain(const std::string& line) {
    const auto now = std::chrono::steady_clock::now();
    if (now - complaintsSince_ > kComplaintPeriod) {
        if (complaints_ > kMaxComplaints) log::warn("{}: {} more such lines are left out", path_, complaints_ - kMaxComplaints);
        complaintsSince_ = now;
        complaints_ = 0;
    }
    if (++complaints_ <= kMaxComplaints) log::warn("{}", line);
}

void Server::forget(const std::shared_ptr<Connection>& connection) {
    loop_.post([this, connection, life = std::weak_ptr(life_)] {
        if (!life.expired()) connections_.erase(connection);
    });
}

}  // namespace socket

Result<std::unique_ptr<SocketServer>> listenSocket(EventLoop& loop, ioctl::Registry& nodes, const std::string& path,
                                                   std::shared_ptr<memory::Accounts> accounts) {
    socket::Backend backend{
        .nodes =
            [&nodes] {
                std::vector<socket::Backend::Node> list;
                for (const auto& entry : nodes.list()) list.push_back({entry.number, entry.card, entry.node->hasMedia()});
                return list;
            },
        .generation = [&nodes] { return nodes.generation(); },
        .open = [&nodes](unsigned number, std::string client, uid_t user) -> Result<std::unique_ptr<ioctl::File>> {
            const auto node = nodes.find(number);
            return node ? node->open(std::move(client), user) : fail(ENODEV);
        },
        .follows = ioctl::followedCalls(),
        .accounts = std::move(accounts),
        .openMedia = [&nodes](unsigned number, const std::string& client, uid_t user) -> Result<std::unique_ptr<ioctl::File>> {
            const auto node = nodes.find(number);
            return node ? node->openMedia(client, user) : fail(ENODEV);
        },
    };
    auto server = socket::Server::listen(loop, std::move(backend), path);
    if (!server) return fail(server.error());
    nodes.onChange([raw = server->get()] { raw->nodesChanged(); });
    return std::unique_ptr<SocketServer>(std::move(*server));
}

Result<std::unique_ptr<SocketServer>> listenSocket(EventLoop& loop, ioctl::Node& node, const std::string& path,
                                                   const SocketOptions& options) {
    const auto number = v4l2::nodeNumber(options.nodePath);
    if (!number) return fail(EINVAL);
    socket::Backend backend{
        .nodes = [here = socket::Backend::Node{*number, options.card, node.hasMedia()}] { return std::vector{here}; },
        .generation = {},
        .open = [&node, here = *number](unsigned wanted, std::string client,
                                        uid_t user) -> Result<std::unique_ptr<ioctl::File>> {
            return wanted == here ? node.open(std::move(client), user) : fail(ENODEV);
        },
        .follows = ioctl::followedCalls(),
        .hasSysfs = options.hasSysfs,
        .accounts = node.device().accounts(),
        .openMedia = [&node, here = *number](unsigned wanted, const std::string& client, uid_t user)
            -> Result<std::unique_ptr<ioctl::File>> { return wanted == here ? node.openMedia(client, user) : fail(ENODEV); },
    };
    auto server = socket::Server::listen(loop, std::move(backend), path);
    if (!server) return fail(server.error());
    return std::unique_ptr<SocketServer>(std::move(*server));
}

}  // namespace daedalus::transport
