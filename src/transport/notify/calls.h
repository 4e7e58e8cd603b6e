// What the supervisor does for each trapped call.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "link.h"
#include "notification.h"
#include "proto/wire.h"
#include "sessions.h"
#include "thread_view.h"

namespace daedalus::transport::notify {

/// What the daemon said of itself.
struct Greeting {
    proto::HelloBody head{};
    std::vector<proto::NodeEntry> nodes;
    std::vector<proto::FollowEntry> follows;
    [[nodiscard]] proto::MemoryRole roleOf(uint32_t cmd) const;
};

/// What the threads of a supervisor share. Any thread.
struct Shared {
    std::string socket;  ///< of the daemon
    /// Told of a thread that died while it was traced, as waitpid() would have told its parent.
    std::function<void(pid_t pid, int status)> ended;
    std::once_flag toldOfTracer;
    ThreadViews threads;
    Sessions sessions;
    std::mutex mutex;
    /// Guarded by mutex; null until a daemon answers, and of what one answered last. It stays when that daemon dies: the nodes
    /// then are there and fail.
    std::shared_ptr<const Greeting> greeting;
};

/// Serves trapped calls, one at a time, over a link of its own. Owned by one thread.
class Calls {
public:
    explicit Calls(Shared& shared) : shared_(shared), link_(shared.socket) {}
    /// Answers the call, or leaves it to the kernel.
    void serve(Notification& call);

private:
    // calls.cpp
    [[nodiscard]] std::shared_ptr<const Greeting> greeting();
    /// The same, after asking whether there is news.
    [[nodiscard]] std::shared_ptr<const Greeting> freshGreeting();
    void open(Notification& call, ThreadView& thread);
    /// The minor number of the node that the path leads to; nothing if it leads elsewhere.
    [[nodiscard]] std::optional<uint32_t> nodeAt(const std::string& path, int folder, ThreadView& thread);
    void openNode(Notification& call, uint32_t minor, uint64_t flags);
    struct Opened;
    /// A new session of that node, and the file for the program. Errors are open()'s.
    [[nodiscard]] Result<Opened> openSession(uint32_t minor, uint64_t flags);
    /// Puts a session in the place of a node's placeholder, which the thread has opened as `fd`. Null if it is none.
    [[nodiscard]] Result<std::shared_ptr<Session>> replacePlaceholder(Notification& call, ThreadView& thread, int fd);
    void map(Notification& call, ThreadView& thread);
    /// A request about a session; then what the reply says about the readiness of the file `fd`.
    [[nodiscard]] Result<Answered> ask(ThreadView& thread, int fd, const std::shared_ptr<Session>& session,
                                       proto::Request request, std::span<const std::byte> body = {},
                                       std::span<const int> fds = {}, const std::function<bool()>& ended = nullptr);
    void dropReleased(Session& session);

    // calls_ioctl.cpp
    struct IoctlRequest;
    void ioctl(Notification& call, ThreadView& thread);
    [[nodiscard]] Result<Answered> askIoctl(Notification& call, ThreadView& thread, const std::shared_ptr<Session>& session,
                                            const IoctlRequest& asked);
    void answerIoctl(Notification& call, ThreadView& thread, Session& session, IoctlRequest& request, Answered& answered);

    // calls_poll.cpp
    void poll(Notification& call, ThreadView& thread);
    void select(Notification& call, ThreadView& thread);
    void controlEpoll(Notification& call, ThreadView& thread);
    struct Waited;
    /// Waits as poll() does; nothing if the kernel is to do it.
    [[nodiscard]] std::optional<int> wait(Notification& call, ThreadView& thread, std::vector<Waited>& files,
                                          std::optional<int64_t> timeoutNs, std::optional<uint64_t> blocked, bool label);
    [[nodiscard]] int priorityFd(ThreadView& thread, int fd, const std::shared_ptr<Session>& session);

    Shared& shared_;
    Link link_;
};

}  // namespace daedalus::transport::notify
