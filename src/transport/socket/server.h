// The socket transport's server: connections and sessions.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "daedalus/base/event_loop.h"
#include "daedalus/ioctl/call_traits.h"
#include "daedalus/ioctl/node.h"
#include "daedalus/transport/socket.h"
#include "proto/wire.h"
#include "src/transport/socket/decode.h"
#include "src/transport/socket/door.h"
#include "src/transport/socket/session.h"
#include "src/transport/socket/sysfs_folder.h"

namespace daedalus::transport::socket {

class Connection;

/// The nodes, as far as this transport needs them; tests put their own here.
struct Backend {
    struct Node {
        unsigned number = 0;
        std::string card;
        bool hasMedia = false;
    };
    std::function<std::vector<Node>()> nodes;
    /// Of the list of nodes; may be empty where that never changes.
    std::function<uint32_t()> generation;
    /// ENODEV: there is no node of that number.
    std::function<Result<std::unique_ptr<ioctl::File>>(unsigned number, std::string client, uid_t user)> open;
    std::vector<ioctl::KnownCall> follows;
    bool hasSysfs = true;  ///< see SocketOptions
    /// Null: nothing is charged.
    std::shared_ptr<memory::Accounts> accounts{};
    /// Opens the media device beside a node; empty where there are none.
    std::function<Result<std::unique_ptr<ioctl::File>>(unsigned number, const std::string& client, uid_t user)> openMedia{};
};

/// Owns the listening socket, the connections and the sessions. Loop thread.
class Server final : public SocketServer {
public:
    /// As listenSocket().
    [[nodiscard]] static Result<std::unique_ptr<Server>> listen(EventLoop& loop, Backend backend, const std::string& path);
    ~Server() override;
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    size_t sessions() const override { return sessions_.size(); }
    void onIdle(std::function<void()> callback) override { onIdle_ = std::move(callback); }
    std::string nodePath() const override;
    /// The list of nodes has changed.
    void nodesChanged();

    // For connections.
    [[nodiscard]] const Follows& follows() const { return follows_; }
    [[nodiscard]] proto::HelloBody hello() const;
    [[nodiscard]] std::vector<proto::NodeEntry> nodeEntries() const;
    [[nodiscard]] std::span<const proto::FollowEntry> followEntries() const { return followEntries_; }
    /// `where`: proto::whereOf().
    [[nodiscard]] Result<Session::Made> openSession(uint64_t where, uid_t owner, std::string client);
    /// A session of a file that is open already.
    [[nodiscard]] Result<Session::Made> addSession(uint64_t where, std::unique_ptr<ioctl::File> file);
    [[nodiscard]] std::shared_ptr<Session> find(uint64_t session) const;
    /// The client's end of a new door. EMFILE: that user has too many files open.
    [[nodiscard]] Result<UniqueFd> openDoor(uid_t user);
    /// `handles` descriptors of that user; nothing if it has had its share of them.
    [[nodiscard]] std::optional<memory::Budget::Share> charge(uid_t user, uint64_t handles);
    /// Warns of what a client did wrong; only a few such lines in a while, so that a client cannot flood the log.
    void complain(const std::string& line);
    /// Forgets a connection once the call stack is clean.
    void forget(const std::shared_ptr<Connection>& connection);

private:
    Server(EventLoop& loop, Backend backend, std::string path);
    Result<> start(UniqueFd listener);
    void accept();
    std::weak_ptr<Connection> addConnection(UniqueFd fd, pid_t pid, uid_t uid);
    void endSession(uint64_t id);
    void keepPriority(UniqueFd fd);

    EventLoop& loop_;
    Backend backend_;
    std::string path_;
    uint64_t daemon_ = 0;
    Follows follows_;
    std::vector<proto::FollowEntry> followEntries_;
    std::function<void()> onIdle_;
    ino_t inode_ = 0;
    UniqueFd listener_;
    SysfsFolder sysfs_;
    std::unordered_map<uint64_t, std::shared_ptr<Session>> sessions_;
    std::unordered_set<std::shared_ptr<Connection>> connections_;
    /// With what it is charged.
    struct OpenDoor {
        std::unique_ptr<Door> door;
        memory::Budget::Share share;
    };
    std::unordered_map<const Door*, OpenDoor> doors_;
    /// Our sides of priority sockets that outlive their sessions.
    struct Leftover {
        UniqueFd fd;
        EventLoop::Registration watch;
    };
    std::unordered_map<int, Leftover> leftovers_;
    std::chrono::steady_clock::time_point complaintsSince_;
    unsigned complaints_ = 0;
    /// Expires with this object: guards what was posted.
    std::shared_ptr<int> life_ = std::make_shared<int>(0);
    EventLoop::Registration retry_;
    EventLoop::Registration watch_;
};

/// Binds and listens on `path` as listenSocket() promises.
[[nodiscard]] Result<UniqueFd> bindListener(const std::string& path);

}  // namespace daedalus::transport::socket
