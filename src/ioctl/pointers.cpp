#include "pointers.h"

#include <cstring>

namespace daedalus::ioctl {
namespace {

constexpr size_t kPointerBytes = sizeof(uint64_t);

/// The bytes that a NestedRef's parent names: the argument or an earlier nested array; empty if there is none.
std::span<const std::byte> parentOf(const Payload& payload, uint32_t parent) {
    if (parent == 0) return payload.argument;
    if (parent <= payload.nested.size()) return payload.nested[parent - 1].bytes;
    return {};
}

}  // namespace

Result<> checkNested(proto::Follow follow, const Payload& payload) {
    proto::NestedRef first;
    const int found = proto::followArgument(follow, payload.argument.data(), payload.argument.size(), &first);
    if (found < 0) return fail(-found);
    if (found == 0) return payload.nested.empty() ? Result<>{} : fail(EINVAL);
    if (payload.nested.empty()) return fail(EFAULT);
    const auto& array = payload.nested.front();
    if (array.parent != 0 || array.offset != first.offset || array.bytes.size() != first.length) return fail(EFAULT);

    std::vector<proto::NestedRef> refs(proto::mostNested(follow, array.bytes.size()));
    refs.resize(proto::followNested(follow, array.bytes.data(), array.bytes.size(), refs.data(), refs.size()));
    if (refs.size() != payload.nested.size() - 1) return fail(EFAULT);
    for (size_t i = 0; i < refs.size(); ++i) {
        const auto& given = payload.nested[i + 1];
        if (given.parent != refs[i].parent || given.offset != refs[i].offset || given.bytes.size() != refs[i].length)
            return fail(EFAULT);
        if (parentOf(payload, given.parent).size() < given.offset + kPointerBytes) return fail(EFAULT);
    }
    return {};
}

LocalPointers::LocalPointers(proto::Follow follow, Payload& payload) {
    proto::NestedRef first;
    if (proto::followArgument(follow, payload.argument.data(), payload.argument.size(), &first) != 1) return;
    const bool gathered = !payload.nested.empty();
    argument_[argumentCount_++] = {payload.argument.data() + first.offset, 0};
    std::memcpy(&argument_[0].client, argument_[0].field, kPointerBytes);
    replace(argument_[0].field, gathered ? payload.nested.front().bytes.data() : nullptr);
    for (size_t i = 1; i < payload.nested.size(); ++i) {
        auto& entry = payload.nested[i];
        if (entry.parent == 0 || entry.parent >= i + 1) continue;
        auto& parent = payload.nested[entry.parent - 1].bytes;
        if (parent.size() < entry.offset + kPointerBytes) continue;
        Saved saved{parent.data() + entry.offset, 0};
        std::memcpy(&saved.client, saved.field, kPointerBytes);
        nested_.push_back(saved);
        replace(saved.field, entry.bytes.data());
    }
}

LocalPointers::~LocalPointers() {
    for (const auto& saved : nested_) std::memcpy(saved.field, &saved.client, kPointerBytes);
    if (argumentCount_ > 0) std::memcpy(argument_[0].field, &argument_[0].client, kPointerBytes);
}

void LocalPointers::replace(std::byte* field, const void* local) {
    const auto address = reinterpret_cast<uintptr_t>(local);
    const uint64_t value = address;
    std::memcpy(field, &value, kPointerBytes);
}

}  // namespace daedalus::ioctl
