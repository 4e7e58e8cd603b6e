// How much memory a session may take.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace daedalus::memory {

/// An account of bytes with a limit. Any thread.
class Budget {
public:
    /// What was taken from a budget, until it is destroyed. Move-only; an empty one holds nothing.
    class Share {
    public:
        Share() = default;
        Share(Share&& other) noexcept : budget_(std::move(other.budget_)), bytes_(std::exchange(other.bytes_, 0)) {}
        Share& operator=(Share&& other) noexcept {
            std::swap(budget_, other.budget_);
            std::swap(bytes_, other.bytes_);
            return *this;
        }
        Share(const Share&) = delete;
        Share& operator=(const Share&) = delete;
        ~Share() {
            if (budget_) budget_->used_ -= bytes_;
        }
        [[nodiscard]] explicit operator bool() const { return budget_ != nullptr; }

    private:
        friend class Budget;
        Share(std::shared_ptr<Budget> budget, uint64_t bytes) : budget_(std::move(budget)), bytes_(bytes) {}
        std::shared_ptr<Budget> budget_;
        uint64_t bytes_ = 0;
    };

    explicit Budget(uint64_t limit) : limit_(limit) {}

    /// Takes `bytes` from `budget`; an empty share if it does not have them.
    [[nodiscard]] static Share take(const std::shared_ptr<Budget>& budget, uint64_t bytes) {
        uint64_t used = budget->used_;
        do {
            if (bytes > budget->limit_ - used) return {};
        } while (!budget->used_.compare_exchange_weak(used, used + bytes));
        return {budget, bytes};
    }
    /// Bytes.
    [[nodiscard]] uint64_t limit() const { return limit_; }
    [[nodiscard]] uint64_t used() const { return used_; }

private:
    const uint64_t limit_;
    std::atomic<uint64_t> used_ = 0;
};

}  // namespace daedalus::memory
