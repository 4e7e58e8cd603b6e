#include "retry.h"

#include <linux/ioctl.h>

#include <cstring>

#include "daedalus/ioctl/call_traits.h"

namespace daedalus::transport::cuse {
namespace {

/// The kernel's own limits for one request.
constexpr size_t kMaxCopies = 256;
constexpr size_t kMaxBytes = 131072;

iovec range(uint64_t address, size_t length) { return {reinterpret_cast<void*>(static_cast<uintptr_t>(address)), length}; }

uint64_t pointerAt(std::span<const std::byte> bytes, size_t offset) {
    uint64_t address = 0;
    std::memcpy(&address, bytes.data() + offset, sizeof address);
    return address;
}

/// Takes an ioctl's pieces out of what the kernel copied, and notes where each lies in the client.
class Assembly {
public:
    Assembly(uint64_t address, std::span<const std::byte> in) : in_(in) { ranges_.push_back(range(address, 0)); }

    /// The argument: `size` bytes. False if the kernel has not copied it yet.
    bool takeArgument(size_t size) {
        ranges_.front().iov_len = size;
        return take(payload.argument, size);
    }
    /// A nested array. False if the kernel has not copied it yet.
    bool takeNested(const proto::NestedRef& ref) {
        const auto& parent = ref.parent == 0 ? payload.argument : payload.nested[ref.parent - 1].bytes;
        ranges_.push_back(range(pointerAt(parent, ref.offset), ref.length));
        std::vector<std::byte> bytes;
        const bool there = take(bytes, ref.length);
        payload.nested.push_back({ref.parent, ref.offset, std::move(bytes)});
        return there;
    }
    /// All that there is was taken, and nothing was missing.
    [[nodiscard]] bool complete() const { return !missing_ && in_.empty(); }
    [[nodiscard]] size_t total() const { return total_; }
    [[nodiscard]] const std::vector<iovec>& ranges() const { return ranges_; }

    ioctl::Payload payload;

private:
    bool take(std::vector<std::byte>& into, size_t size) {
        total_ += size;
        if (missing_ || in_.size() < size) {
            missing_ = true;
            return false;
        }
        into.assign(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(size));
        in_ = in_.subspan(size);
        return true;
    }

    std::span<const std::byte> in_;
    std::vector<iovec> ranges_;
    size_t total_ = 0;
    bool missing_ = false;
};

/// Takes what the argument points to, as far as that is known.
Result<> takeAllNested(Assembly& assembly, proto::Follow follow) {
    proto::NestedRef first;
    const auto& argument = assembly.payload.argument;
    const int found = proto::followArgument(follow, argument.data(), argument.size(), &first);
    if (found < 0) return fail(-found);
    if (found == 0 || !assembly.takeNested(first)) return {};

    std::vector<proto::NestedRef> refs(proto::kMaxNested);
    const auto array = assembly.payload.nested.front().bytes;
    refs.resize(proto::followNested(follow, array.data(), array.size(), refs.data(), refs.size()));
    for (const auto& ref : refs) assembly.takeNested(ref);
    return {};
}

}  // namespace

Result<std::variant<ioctl::Payload, Wanted>> assemble(uint32_t cmd, uint64_t address, std::span<const std::byte> in,
                                                      size_t outSize) {
    const size_t size = _IOC_SIZE(cmd);
    const bool reads = (_IOC_DIR(cmd) & _IOC_WRITE) != 0;
    const bool writes = (_IOC_DIR(cmd) & _IOC_READ) != 0;
    if (!reads) {
        if (writes && outSize != size) return Wanted{{}, {range(address, size)}};
        ioctl::Payload payload;
        payload.argument.resize(size);
        return payload;
    }
    Assembly assembly(address, in);
    if (assembly.takeArgument(size)) {
        if (auto taken = takeAllNested(assembly, ioctl::traitsOf(cmd).follow); !taken) return fail(taken.error());
    }
    if (assembly.complete() && (!writes || outSize == assembly.total())) return std::move(assembly.payload);
    if (assembly.ranges().size() > kMaxCopies || assembly.total() > kMaxBytes) return fail(ENOMEM);
    return Wanted{assembly.ranges(), writes ? assembly.ranges() : std::vector<iovec>()};
}

std::vector<std::byte> disassemble(const ioctl::Payload& payload) {
    std::vector<std::byte> bytes = payload.argument;
    for (const auto& nested : payload.nested) bytes.insert(bytes.end(), nested.bytes.begin(), nested.bytes.end());
    return bytes;
}

}  // namespace daedalus::transport::cuse
