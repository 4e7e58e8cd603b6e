// Which files of programs are sessions of the daemon.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "daedalus/base/unique_fd.h"
#include "link.h"
#include "memory_files.h"
#include "thread_view.h"

namespace daedalus::transport::notify {

/// One session, and what is kept for it. Any thread.
struct Session {
    explicit Session(uint64_t number) : id(number) {}
    const uint64_t id;
    std::mutex mutex;
    Bounces bounces;    ///< guarded by mutex
    UniqueFd priority;  ///< guarded by mutex; shows POLLPRI, once somebody asked for it
};

/// Sessions by the inodes of their sockets, which no two files have at a time. Any thread.
class Sessions {
public:
    /// The session behind a thread's descriptor, if it is one that was seen before.
    [[nodiscard]] std::shared_ptr<Session> known(const ThreadView& thread, int fd) const;
    /// The session behind a thread's descriptor, whoever opened it: looks at the socket's name. `daemon`: whose it must be, and
    /// which is asked by `link` whether it is, since in a network namespace of its own a program can give that name to another.
    [[nodiscard]] std::shared_ptr<Session> find(ThreadView& thread, int fd, uint64_t daemon, Link& link);
    std::shared_ptr<Session> add(ino_t inode, uint64_t id);
    [[nodiscard]] bool any() const;
    /// Forgets those that the daemon has closed.
    void sweep(Link& link);

private:
    mutable std::mutex mutex_;
    std::unordered_map<ino_t, std::shared_ptr<Session>> sessions_;  ///< guarded by mutex_
};

/// The inode of an open file; 0 if it cannot be told.
[[nodiscard]] ino_t inodeOf(int fd);

}  // namespace daedalus::transport::notify
