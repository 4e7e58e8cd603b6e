// The account of what clients take: memory, and descriptors and mappings, in a tree of limits.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace daedalus::memory {

/// A node of the account: a session's, a user's, that of all. What is taken from one is taken from those above it too, or from
/// none. Any thread.
class Budget {
public:
    /// Bytes, and what the process has a number of for each: descriptors and mappings.
    struct Amount {
        uint64_t bytes = 0;
        uint64_t handles = 0;
    };
    /// A session that holds no more than this may use what is left of a budget's reserve.
    static constexpr uint64_t kSmallSession = uint64_t{64} << 20;

    /// What was taken from a budget, until it is destroyed. Move-only; an empty one holds nothing. One thread at a time.
    class Share {
    public:
        Share() = default;
        Share(Share&& other) noexcept : budget_(std::move(other.budget_)), amount_(std::exchange(other.amount_, {})) {}
        Share& operator=(Share&& other) noexcept {
            std::swap(budget_, other.budget_);
            std::swap(amount_, other.amount_);
            return *this;
        }
        Share(const Share&) = delete;
        Share& operator=(const Share&) = delete;
        ~Share() {
            if (budget_) budget_->giveBack(amount_);
        }
        [[nodiscard]] explicit operator bool() const { return budget_ != nullptr; }
        [[nodiscard]] uint64_t bytes() const { return amount_.bytes; }
        /// Takes more, or gives some back, so that it holds `bytes`. False, and nothing changes, where the budget does not have
        /// them; an empty share stays empty.
        [[nodiscard]] bool resize(uint64_t bytes);

    private:
        friend class Budget;
        Share(std::shared_ptr<Budget> budget, Amount amount) : budget_(std::move(budget)), amount_(amount) {}
        std::shared_ptr<Budget> budget_;
        Amount amount_;
    };

    /// One that stands alone, of so many bytes.
    explicit Budget(uint64_t bytes) : Budget("--session-memory", {bytes, UINT64_MAX}, nullptr) {}
    /// `option` sets its bytes, for log lines. `reserve` of them are for sessions of at most kSmallSession.
    Budget(std::string option, Amount limit, std::shared_ptr<Budget> parent, uint64_t reserve = 0)
        : option_(std::move(option)), limit_(limit), reserve_(reserve), parent_(std::move(parent)) {}
    Budget(const Budget&) = delete;
    Budget& operator=(const Budget&) = delete;

    /// Takes from `budget` and all above it; an empty share if one of them does not have it.
    [[nodiscard]] static Share take(const std::shared_ptr<Budget>& budget, uint64_t bytes, uint64_t handles = 0) {
        return budget->takeHere({bytes, handles}) ? Share(budget, {bytes, handles}) : Share();
    }
    /// Of its own limit; bytes.
    [[nodiscard]] uint64_t limit() const { return limit_.bytes; }
    /// Bytes, now and at most so far.
    [[nodiscard]] uint64_t used() const { return bytes_; }
    [[nodiscard]] uint64_t peak() const { return peak_; }
    [[nodiscard]] uint64_t handles() const { return handles_; }
    /// Why take() fails, as a sentence's end: "60 of the 64 MiB of --session-memory are in use, and 8 more are wanted".
    [[nodiscard]] std::string shortage(uint64_t bytes, uint64_t handles = 0) const;

private:
    [[nodiscard]] bool takeHere(Amount amount);
    [[nodiscard]] bool charge(Amount amount, bool isSmall);
    void refund(Amount amount);
    void giveBack(Amount amount);

    const std::string option_;
    const Amount limit_;
    const uint64_t reserve_;
    const std::shared_ptr<Budget> parent_;
    std::atomic<uint64_t> bytes_ = 0;
    std::atomic<uint64_t> peak_ = 0;
    std::atomic<uint64_t> handles_ = 0;
};

}  // namespace daedalus::memory
