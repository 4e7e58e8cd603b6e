// Who is granted how much: the accounts of all users of one daemon.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "daedalus/base/thread_annotations.h"
#include "daedalus/memory/budget.h"

namespace daedalus::memory {

/// Limits above those of sessions.
struct AccountLimits {
    Budget::Amount total;
    Budget::Amount user;
};

/// The tree of budgets: all, users, sessions. Any thread; sessions' budgets keep theirs alive.
class Accounts {
public:
    explicit Accounts(const AccountLimits& limits);
    Accounts(const Accounts&) = delete;
    Accounts& operator=(const Accounts&) = delete;

    /// What that user may take.
    [[nodiscard]] std::shared_ptr<Budget> user(uid_t user);
    /// A session's budget of so many bytes, out of its user's.
    [[nodiscard]] std::shared_ptr<Budget> session(uid_t user, uint64_t bytes);
    [[nodiscard]] const Budget& total() const { return *total_; }

private:
    const Budget::Amount userLimit_;
    const std::shared_ptr<Budget> total_;
    Mutex mutex_;
    std::map<uid_t, std::weak_ptr<Budget>> users_ DAEDALUS_GUARDED_BY(mutex_);
};

/// What this process can have at all.
struct Machine {
    uint64_t bytes = 0;    ///< of memory: the machine's, or what a cgroup around this process allows
    std::string source;    ///< what limits them, for messages: "this machine", "memory.max of /sys/fs/cgroup/x"
    uint64_t handles = 0;  ///< open files or mappings, whichever are fewer
};
/// `root`: where /proc and /sys are, for tests.
[[nodiscard]] Machine examineMachine(const std::string& root = "");

/// The limits for that machine: `totalBytes` and `userBytes` as somebody wants them, or 0: three quarters of the machine for
/// all, and three quarters of that for one user, so that neither the machine nor another user ends because of a client.
[[nodiscard]] AccountLimits accountLimits(const Machine& machine, uint64_t totalBytes, uint64_t userBytes);

}  // namespace daedalus::memory
