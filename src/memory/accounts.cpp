#include "daedalus/memory/accounts.h"

#include <algorithm>

namespace daedalus::memory {
namespace {

/// Of a limit of bytes, what is kept for small sessions.
uint64_t reserveOf(uint64_t bytes) { return bytes / 8; }

uint64_t threeQuarters(uint64_t amount) { return amount / 4 * 3; }

}  // namespace

Accounts::Accounts(const AccountLimits& limits)
    : userLimit_(limits.user),
      total_(std::make_shared<Budget>("--total-memory", limits.total, nullptr, reserveOf(limits.total.bytes))) {}

std::shared_ptr<Budget> Accounts::user(uid_t user) {
    MutexLock lock(mutex_);
    if (auto known = users_[user].lock()) return known;
    std::erase_if(users_, [](const auto& entry) { return entry.second.expired(); });
    auto made = std::make_shared<Budget>("--user-memory", userLimit_, total_, reserveOf(userLimit_.bytes));
    users_[user] = made;
    return made;
}

std::shared_ptr<Budget> Accounts::session(uid_t user, uint64_t bytes) {
    return std::make_shared<Budget>("--session-memory", Budget::Amount{bytes, UINT64_MAX}, this->user(user));
}

AccountLimits accountLimits(const Machine& machine, uint64_t totalBytes, uint64_t userBytes) {
    AccountLimits limits;
    limits.total.bytes = totalBytes > 0 ? totalBytes : threeQuarters(machine.bytes);
    limits.user.bytes = userBytes > 0 ? userBytes : threeQuarters(limits.total.bytes);
    // The loop, the log and libraries have some of their own. Where there are few at all, one user needs them.
    constexpr uint64_t kOwn = 64;
    constexpr uint64_t kFew = 1024;
    limits.total.handles = machine.handles > kFew ? machine.handles - kOwn : machine.handles;
    limits.user.handles = machine.handles > kFew ? threeQuarters(limits.total.handles) : machine.handles;
    return limits;
}

}  // namespace daedalus::memory
