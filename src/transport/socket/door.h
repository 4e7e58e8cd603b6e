// A door: a socket that makes connections of what is handed through it.
#pragma once

#include <functional>
#include <memory>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/unique_fd.h"

namespace daedalus::transport::socket {

/// The daemon's end of a door (proto::Kind::Door). Processes in a sandbox, which can neither connect() nor find a path, reach
/// the daemon through it. Loop thread.
class Door {
public:
    /// A connection that came through, and who sent it.
    using OnConnection = std::function<void(UniqueFd connection, pid_t pid, uid_t uid)>;
    struct Made;

    /// EMFILE, ENOMEM.
    [[nodiscard]] static Result<Made> make(EventLoop& loop, OnConnection onConnection);
    Door(const Door&) = delete;
    Door& operator=(const Door&) = delete;

    /// Calls `callback` when the last process that had the other end is gone.
    void onHangUp(std::function<void()> callback) { onHangUp_ = std::move(callback); }

private:
    Door(UniqueFd end, OnConnection onConnection) : end_(std::move(end)), onConnection_(std::move(onConnection)) {}
    void onReadable();

    UniqueFd end_;
    OnConnection onConnection_;
    std::function<void()> onHangUp_;
    EventLoop::Registration watch_;
};

struct Door::Made {
    std::unique_ptr<Door> door;
    UniqueFd clientEnd;
};

}  // namespace daedalus::transport::socket
