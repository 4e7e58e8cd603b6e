// Clang's thread-safety annotations, and a mutex that carries them. Locks live in base/ only.
#pragma once

#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define DAEDALUS_TSA(x) __attribute__((x))
#else
#define DAEDALUS_TSA(x)
#endif

#define DAEDALUS_GUARDED_BY(m) DAEDALUS_TSA(guarded_by(m))
#define DAEDALUS_REQUIRES(m) DAEDALUS_TSA(requires_capability(m))

namespace daedalus {

/// std::mutex with annotations for -Wthread-safety.
class DAEDALUS_TSA(capability("mutex")) Mutex {
public:
    void lock() DAEDALUS_TSA(acquire_capability()) { mutex_.lock(); }
    void unlock() DAEDALUS_TSA(release_capability()) { mutex_.unlock(); }

private:
    std::mutex mutex_;
};

/// Holds a Mutex for a scope.
class DAEDALUS_TSA(scoped_lockable) MutexLock {
public:
    explicit MutexLock(Mutex& mutex) DAEDALUS_TSA(acquire_capability(mutex)) : mutex_(mutex) { mutex_.lock(); }
    ~MutexLock() DAEDALUS_TSA(release_capability()) { mutex_.unlock(); }
    MutexLock(const MutexLock&) = delete;
    MutexLock& operator=(const MutexLock&) = delete;

private:
    Mutex& mutex_;
};

/// A condition variable for Mutex.
using Condition = std::condition_variable_any;

}  // namespace daedalus
