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

/// The arrays of a media device's calls.
std::vector<proto::NestedRef> arraysOf(proto::Follow follow, const Payload& payload) {
    std::vector<proto::NestedRef> refs(proto::kMaxArrays);
    refs.resize(proto::followArrays(follow, payload.argument.data(), payload.argument.size(), refs.data()));
    return refs;
}

Result<> checkArrays(std::span<const proto::NestedRef> refs, const Payload& payload) {
    if (payload.nested.size() != refs.size()) return fail(EFAULT);
    for (size_t i = 0; i < refs.size(); ++i) {
        const auto& given = payload.nested[i];
        if (given.parent != 0 || given.offset != refs[i].offset || given.bytes.size() != refs[i].length) return fail(EFAULT);
    }
    return {};
}

}  // namespace

Result<> checkNested(proto::Follow follow, const Payload& payload) {
    if (const auto refs = arraysOf(follow, payload); !refs.empty()) return checkArrays(refs, payload);
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
    const auto arrays = arraysOf(follow, payload);
    for (size_t i = 0; i < arrays.size() && i < payload.nested.size(); ++i) {
        argument_[argumentCount_] = {payload.argument.data() + arrays[i].offset, 0};
        std::memcpy(&argument_[argumentCount_].client, argument_[argumentCount_].field, kPointerBytes);
        replace(argument_[argumentCount_++].field, payload.nested[i].bytes.data());
    }
    if (!arrays.empty()) return;
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
    for (size_t i = 0; i < argumentCount_; ++i) std::memcpy(argument_[i].field, &argument_[i].client, kPointerBytes);
}

void LocalPointers::replace(std::byte* field, const void* local) {
    const auto address = reinterpret_cast<uintptr_t>(local);
    const uint64_t value = address;
    std::memcpy(field, &value, kPointerBytes);
}

}  // namespace daedalus::ioctl
