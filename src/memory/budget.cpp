#include "daedalus/memory/budget.h"

#include <algorithm>

namespace daedalus::memory {
namespace {

/// Adds to a counter unless that goes beyond the limit.
bool add(std::atomic<uint64_t>& counter, uint64_t more, uint64_t limit) {
    uint64_t used = counter;
    do {
        if (used > limit || more > limit - used) return false;
    } while (!counter.compare_exchange_weak(used, used + more));
    return true;
}

}  // namespace

bool Budget::Share::resize(uint64_t bytes) {
    if (!budget_) return false;
    if (bytes > amount_.bytes && !budget_->takeHere({bytes - amount_.bytes, 0})) return false;
    if (bytes < amount_.bytes) budget_->giveBack({amount_.bytes - bytes, 0});
    amount_.bytes = bytes;
    return true;
}

bool Budget::charge(Amount amount, bool isSmall) {
    if (amount.bytes > 0 && !add(bytes_, amount.bytes, isSmall ? limit_.bytes : limit_.bytes - reserve_)) return false;
    if (amount.handles > 0 && !add(handles_, amount.handles, limit_.handles)) {
        bytes_ -= amount.bytes;
        return false;
    }
    const uint64_t used = bytes_;
    uint64_t peak = peak_;
    while (used > peak && !peak_.compare_exchange_weak(peak, used)) {
    }
    return true;
}

void Budget::refund(Amount amount) {
    bytes_ -= amount.bytes;
    handles_ -= amount.handles;
}

bool Budget::takeHere(Amount amount) {
    const bool isSmall = bytes_ <= kSmallSession && amount.bytes <= kSmallSession - std::min<uint64_t>(bytes_, kSmallSession);
    for (Budget* budget = this; budget; budget = budget->parent_.get()) {
        if (budget->charge(amount, isSmall)) continue;
        for (Budget* charged = this; charged != budget; charged = charged->parent_.get()) charged->refund(amount);
        return false;
    }
    return true;
}

void Budget::giveBack(Amount amount) {
    for (Budget* budget = this; budget; budget = budget->parent_.get()) budget->refund(amount);
}

std::string Budget::shortage(uint64_t bytes, uint64_t handles) const {
    const auto mib = [](uint64_t amount) { return std::to_string(amount >> 20); };
    const Budget* scarce = this;
    const auto lacks = [&](const Budget& budget) {
        return budget.bytes_ + bytes > budget.limit_.bytes - budget.reserve_ ||
               budget.handles_ + handles > budget.limit_.handles;
    };
    for (const Budget* budget = this; budget; budget = budget->parent_.get()) {
        if (!lacks(*budget)) continue;
        scarce = budget;
        break;
    }
    if (handles > 0 && scarce->handles_ + handles > scarce->limit_.handles)
        return std::to_string(scarce->handles_) + " of " + std::to_string(scarce->limit_.handles) +
               " descriptors and mappings are in use, and " + std::to_string(handles) +
               " more are wanted; close sessions, or raise the limit of open files (ulimit -n)";
    return mib(scarce->bytes_) + " of the " + mib(scarce->limit_.bytes) + " MiB of " + scarce->option_ + " are in use, and " +
           mib(bytes + (1U << 20) - 1) + " more are wanted";
}

}  // namespace daedalus::memory
