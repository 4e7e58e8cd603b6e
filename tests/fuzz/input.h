// The fuzzer's bytes as a source of choices.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>

namespace daedalus::fuzz {

/// Ends the run as a finding.
inline void require(bool holds, std::string_view what) {
    if (holds) return;
    std::fprintf(stderr, "fuzz: invariant broken: %.*s\n", static_cast<int>(what.size()), what.data());
    std::abort();
}

/// Takes choices off the front of an input; an input that has come to its end gives zeroes.
class Input {
public:
    explicit Input(std::span<const uint8_t> bytes) : left_(bytes) {}

    [[nodiscard]] bool empty() const { return left_.empty(); }
    uint8_t byte() {
        uint8_t value = 0;
        take(&value, 1);
        return value;
    }
    uint16_t half() {
        uint16_t value = 0;
        take(&value, sizeof value);
        return value;
    }
    uint32_t word() {
        uint32_t value = 0;
        take(&value, sizeof value);
        return value;
    }
    /// Less than `limit` (1..256).
    uint32_t below(uint32_t limit) { return byte() % limit; }
    /// True for one byte value in `n`, never at the end of the input.
    bool rarely(uint32_t n) { return byte() % n == n - 1; }
    /// Mostly small numbers, sometimes those at which arithmetic goes wrong, sometimes any.
    uint32_t number() {
        static constexpr auto kEdges =
            std::to_array<uint32_t>({1U << 16, 4095, 4096, 4097, 8191, 8192, 8193, 16384, INT32_MAX, 1U << 31, UINT32_MAX,
                                     UINT32_MAX - 1, UINT32_MAX - 4095, 1U << 30, 1U << 24, 65535});
        const uint8_t choice = byte();
        if (choice < 200) return choice;
        if (choice < 240) return kEdges[choice % kEdges.size()];
        return word();
    }
    template <class T, size_t N>
    T pick(const std::array<T, N>& choices) {
        return choices[below(N)];
    }
    /// At most `most` bytes.
    std::span<const uint8_t> bytes(size_t most) {
        const auto taken = left_.first(std::min(most, left_.size()));
        left_ = left_.subspan(taken.size());
        return taken;
    }

private:
    void take(void* into, size_t size) {
        const auto taken = bytes(size);
        if (!taken.empty()) std::memcpy(into, taken.data(), taken.size());
    }

    std::span<const uint8_t> left_;
};

}  // namespace daedalus::fuzz
