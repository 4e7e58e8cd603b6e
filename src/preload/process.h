// What the library knows about its process: where the daemon is, what it said of itself, and whether the process was forked.
#pragma once

#include <atomic>
#include <cstdint>

#include "proto/wire.h"

namespace daedalus::preload {

/// The path of the daemon's socket, or nullptr: then every call goes straight on.
const char* socketPath();

/// What the daemon said of itself at one time. Never changes, and stays: threads and signal handlers may look at it.
struct Greeting {
    proto::HelloBody head;
    proto::NodeEntry nodes[proto::kMaxNodes];  ///< head.nodeCount
    proto::FollowEntry follows[proto::kMaxFollows];
    const Greeting* before;  ///< what it had said until then; or nullptr
};
/// What it said last. Asks at first use. nullptr while no daemon answers. Keeps errno.
const Greeting* greeting();
/// The same, after asking whether there is news: nodes come and go. Keeps errno.
const Greeting* freshGreeting();
/// The node of a session, even if it is gone; one that the daemon never told of is taken for its first. nullptr if it has none.
const proto::NodeEntry* nodeOfSession(uint64_t session);

/// How to follow the pointers of an ioctl, or nullptr. Only after greeting() gave something.
const proto::FollowEntry* findFollow(uint32_t cmd);

/// A number that changes when the process is a fork of the one that it was: what threads and connections of the parent were
/// is not ours any more.
uint32_t forkGeneration();
/// True in a child of vfork() and its like, which runs in its parent's memory with descriptors of its own: it must not change
/// what the parent knows. Costs a system call.
bool sharesMemory();

/// Keeps errno as it was for its scope.
class KeepErrno {
public:
    KeepErrno();
    ~KeepErrno();
    KeepErrno(const KeepErrno&) = delete;
    KeepErrno& operator=(const KeepErrno&) = delete;

private:
    int saved_;
};

/// A lock that a fork's child finds open. Not recursive.
class Lock {
public:
    void lock();
    /// False if somebody holds it, be that this very thread.
    bool tryLock();
    void unlock();

private:
    void openAfterFork();

    std::atomic<uint32_t> state_{0};
    std::atomic<uint32_t> generation_{0};
};

/// Holds a Lock for a scope.
class Locked {
public:
    explicit Locked(Lock& lock) : lock_(lock) { lock_.lock(); }
    ~Locked() { lock_.unlock(); }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;

private:
    Lock& lock_;
};

}  // namespace daedalus::preload
