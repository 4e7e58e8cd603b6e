// What the process keeps about some of its sessions: bounces of USERPTR planes, descriptors that show POLLPRI, and epoll sets.
// Sessions that only use MMAP, DMABUF and plain poll() leave nothing here.
#pragma once

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>

#include "src/preload/process.h"

namespace daedalus::preload {

/// The device's limit, VIDEO_MAX_FRAME.
inline constexpr uint32_t kMaxBuffers = 64;
inline constexpr uint32_t kMaxPlanes = 8;

/// Memory that stands for a USERPTR plane: the daemon has it too.
struct Bounce {
    void* memory = nullptr;
    size_t capacity = 0;  ///< bytes mapped
    uint32_t serial = 0;
    uint64_t checkedAddress = 0;  ///< the program's memory that was found good last
    size_t checkedLength = 0;
};

struct SessionRecord {
    SessionRecord* next;
    uint64_t id;
    uint32_t users;
    uint32_t lastSerial;
    int priorityFd;  ///< -1: not asked for
    Lock lock;       ///< guards the bounces
    Bounce bounces[2][kMaxBuffers][kMaxPlanes];
};

/// The record of a session, pinned until its end; null if there is no memory, or none yet and not `create`.
class SessionUse {
public:
    SessionUse(uint64_t session, bool create);
    ~SessionUse();
    SessionUse(const SessionUse&) = delete;
    SessionUse& operator=(const SessionUse&) = delete;
    [[nodiscard]] SessionRecord* get() const { return record_; }

private:
    SessionRecord* record_ = nullptr;
};

/// True if there is any record or epoll registration: only then has close() something to look at.
bool haveSessions();
/// Forgets the sessions that the daemon says are closed.
void sweepSessions();
/// Asks for the bounces that the daemon no longer uses and unmaps them.
void dropReleasedBounces(uint64_t session);
/// A descriptor on which POLLPRI is the session's; -1 if there is none. Stays the library's.
int priorityFdOf(int fd, uint64_t session);

/// One file of ours in an epoll set.
struct EpollEntry {
    int set;
    int fd;
    int priorityFd;  ///< in the same set for EPOLLPRI, or -1
    uint64_t session;
    epoll_event wanted;
};

/// epoll_ctl() on a file of ours.
int controlEpoll(int set, int operation, int fd, uint64_t session, epoll_event* event);
/// The entry of `set` with this user data.
bool findEpoll(int set, uint64_t data, EpollEntry& entry);
/// True if any set holds a file of ours.
bool haveEpoll();
/// Drops the entries of sessions for which `gone` is true.
void sweepEpoll(bool (*gone)(uint64_t session, const void* context), const void* context);
/// Copies up to `max` different sessions of the entries.
size_t listEpollSessions(uint64_t* out, size_t max);

}  // namespace daedalus::preload
