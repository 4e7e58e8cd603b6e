// One open of the node by a preload client: its File, and the socket whose readiness the client polls.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/unique_fd.h"
#include "daedalus/ioctl/node.h"
#include "daedalus/memory/budget.h"
#include "src/transport/socket/brought_memory.h"

namespace daedalus::transport::socket {

/// Drives the readiness of the client's file (proto/wire.h says how) and notices its last close. Loop thread.
class Session {
public:
    struct Made;
    /// Makes the pair of sockets and binds the client's end to its name. EMFILE, ENOMEM.
    [[nodiscard]] static Result<Made> make(EventLoop& loop, uint64_t daemon, uint64_t id, std::unique_ptr<ioctl::File> file);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    [[nodiscard]] uint64_t id() const { return id_; }
    /// Who opened it: nobody else may name it but root, and who has the file.
    [[nodiscard]] uid_t owner() const { return owner_; }
    /// True if `fd` is the file that the client got.
    [[nodiscard]] bool isClientEnd(int fd) const;
    /// Null after close().
    [[nodiscard]] ioctl::File* file() { return file_.get(); }
    /// Calls `callback` when the client's last descriptor is gone.
    Result<> onHangUp(std::function<void()> callback);
    /// True if the client's last descriptor is gone, even if the loop did not get to see it yet.
    [[nodiscard]] bool hungUp() const;
    /// Closes the File: calls that wait are answered with EBADF.
    void close();

    /// The kReply* flags that the next reply for this session must carry. `verify`: look whether the sockets show what they
    /// should, since a client that dies right after a reply leaves undone what the reply asked for.
    [[nodiscard]] uint32_t takeReplyFlags(bool verify);
    /// A reply with kReplyEat left; and the client that got it has since shown that it did so, or is gone.
    void eatSent();
    void eatDone() { --eatsUnderWay_; }

    /// The client's side of the socket that shows POLLPRI. EOPNOTSUPP on kernels without out-of-band bytes.
    [[nodiscard]] Result<int> priorityFd();
    /// What must stay after close() until the clients have closed their side of it: an epoll set of theirs may still hold it.
    [[nodiscard]] UniqueFd takePriority();

    /// What its descriptors are charged with.
    void keep(memory::Budget::Share share) { share_ = std::move(share); }
    [[nodiscard]] const std::shared_ptr<ReleasedBounces>& released() const { return released_; }

private:
    Session(EventLoop& loop, uint64_t id, std::unique_ptr<ioctl::File> file, UniqueFd end);
    void update();
    /// The node is gone: the client's end hangs up.
    void hangUp();
    void updatePriority(bool wanted);
    void drainFillers();
    void watchFillers();

    EventLoop& loop_;
    uint64_t id_;
    uid_t owner_;
    uint64_t clientCookie_ = 0;
    memory::Budget::Share share_;
    UniqueFd end_;
    /// Ends with the client's last descriptor, when hangUp() has been.
    UniqueFd lifeline_;
    UniqueFd priorityOurs_;
    UniqueFd priorityTheirs_;
    std::shared_ptr<ReleasedBounces> released_ = std::make_shared<ReleasedBounces>();
    std::unique_ptr<ioctl::File> file_;
    std::function<void()> onHangUp_;
    EventLoop::Registration watch_;
    bool wantIn_ = false;
    bool wantOut_ = true;
    bool showsIn_ = false;        ///< a byte lies in the client's end that no reply has asked to eat
    bool showsPriority_ = false;  ///< an out-of-band byte lies in priorityTheirs_
    size_t fillersAsked_ = 0;     ///< bytes asked for and not yet drained
    unsigned eatsUnderWay_ = 0;
    std::chrono::steady_clock::time_point lastEat_;
};

struct Session::Made {
    std::shared_ptr<Session> session;
    UniqueFd clientEnd;
};

}  // namespace daedalus::transport::socket
