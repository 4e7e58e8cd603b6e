// One RPC connection: one thread of a client, one request at a time.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/unique_fd.h"
#include "daedalus/ioctl/node.h"
#include "daedalus/memory/budget.h"
#include "proto/wire.h"
#include "src/transport/socket/message_channel.h"
#include "src/transport/socket/session.h"

namespace daedalus::transport::socket {

class Server;

/// Reads requests, checks them, and sends replies without ever waiting. Whatever the client does wrong costs it this connection
/// and nothing else. Loop thread.
class Connection : public std::enable_shared_from_this<Connection> {
public:
    /// `share`: what its descriptor is charged with.
    Connection(Server& server, UniqueFd fd, memory::Budget::Share share, pid_t pid, uid_t uid);
    /// Ends the call under way: there is nobody to answer it.
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    Result<> start(EventLoop& loop);

private:
    /// The Ioctl under way.
    struct Pending {
        std::weak_ptr<Session> session;
        uint64_t id = 0;  ///< its
        ioctl::File::Ticket ticket = 0;
        uint32_t sequence = 0;
        uint32_t cmd = 0;
        bool active = false;
        UniqueFd large;
        std::shared_ptr<BroughtMemory> brought;
    };

    void onReadable();
    void handle(const proto::Request& request, std::span<const std::byte> body, std::vector<UniqueFd> fds);
    void hello(const proto::Request& request);
    void open(const proto::Request& request);
    void ioctl(const proto::Request& request, std::span<const std::byte> body, std::vector<UniqueFd> fds);
    void answer(ioctl::Answer&& answer);
    /// Makes sessions of the files that an answer on a session brings: their descriptors go to the client as any other.
    [[nodiscard]] Result<> openPassed(uint64_t session, ioctl::Answer& answer);
    void cancel();
    void map(const proto::Request& request);
    void readiness(const proto::Request& request);
    void priority(const proto::Request& request);
    void alive(const proto::Request& request, std::span<const std::byte> body);
    void released(const proto::Request& request);
    void door(const proto::Request& request);
    void claim(const proto::Request& request, const std::vector<UniqueFd>& fds);

    /// The session of that id; null if it is gone, or another user's and not claimed.
    [[nodiscard]] std::shared_ptr<Session> sessionOf(uint64_t id) const;
    /// Adds what the session's readiness asks of the client, and remembers that the client has yet to do so.
    void addReadiness(proto::Reply& reply, const std::shared_ptr<Session>& session, bool verify);
    void fail(const proto::Request& request, int error);
    /// For a request without a session.
    void refuse(const proto::Request& request);
    void send(const proto::Reply& reply, std::span<const std::byte> body = {}, std::span<const int> fds = {});
    /// Logs why and lets the server forget this connection soon.
    void drop(const std::string& why);
    [[nodiscard]] std::string label() const;

    Server& server_;
    const memory::Budget::Share share_;
    MessageChannel channel_;
    pid_t pid_;
    uid_t uid_;
    Pending pending_;
    std::weak_ptr<Session> eating_;
    /// Sessions of others whose files this client has.
    std::vector<std::weak_ptr<Session>> claimed_;
    bool dropped_ = false;
    EventLoop::Registration watch_;
};

}  // namespace daedalus::transport::socket
