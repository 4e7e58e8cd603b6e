// The values of compound and plain controls, as a client set them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace daedalus::v4l2 {

/// Bytes of a control's value; never changed once it is shared.
using ControlValue = std::shared_ptr<const std::vector<std::byte>>;

/// Values by the ids of their controls. Copies share the bytes.
class ControlValues {
public:
    void set(uint32_t id, std::vector<std::byte> bytes) {
        values_[id] = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
    }
    [[nodiscard]] bool has(uint32_t id) const { return values_.contains(id); }
    /// Null if there is none.
    [[nodiscard]] ControlValue find(uint32_t id) const {
        const auto found = values_.find(id);
        return found == values_.end() ? nullptr : found->second;
    }
    /// The value as its struct; all zeroes if there is none, or it is shorter.
    template <class T>
    [[nodiscard]] T get(uint32_t id) const {
        static_assert(std::is_trivially_copyable_v<T>);
        T value{};
        const auto bytes = find(id);
        if (bytes && bytes->size() >= sizeof value) std::memcpy(&value, bytes->data(), sizeof value);
        return value;
    }
    /// What `others` has takes the place of what is here.
    void overlay(const ControlValues& others) {
        for (const auto& [id, value] : others.values_) values_[id] = value;
    }
    void clear() { values_.clear(); }

private:
    std::map<uint32_t, ControlValue> values_;
};

}  // namespace daedalus::v4l2
