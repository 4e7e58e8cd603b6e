#include "retry.h"

#include <linux/ioctl.h>

#include <algorithm>
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

Result<std::variant<ioctl::Payload, Wanted>> assemble(const Compat32& compat, uint64_t address, std::span<const std::byte> in,
                                                      size_t outSize, std::vector<iovec>& ranges) {
    ranges.clear();
    size_t total = 0;
    bool missing = false;
    const auto payload = compat.gather(
        [&](uint64_t from, std::span<std::byte> into) -> Result<> {
            ranges.push_back(range(from, into.size()));
            total += into.size();
            missing = in.size() < into.size();
            if (missing) return fail(EFAULT);
            std::ranges::copy(in.first(into.size()), into.begin());
            in = in.subspan(into.size());
            return {};
        },
        address);
    if (!payload && !missing) return fail(payload.error());
    if (payload && in.empty() && outSize == total) return *payload;
    if (ranges.size() > kMaxCopies || total > kMaxBytes) return fail(ENOMEM);
    return Wanted{ranges, ranges};
}

Result<std::vector<std::byte>> disassemble(const Compat32& compat, uint64_t address, const ioctl::Payload& payload,
                                           std::vector<iovec> ranges) {
    std::vector<std::vector<std::byte>> pieces(ranges.size());
    const auto written = compat.scatter(
        [&](uint64_t to, std::span<const std::byte> from) -> Result<> {
            const iovec wanted = range(to, from.size());
            for (size_t i = 0; i < ranges.size(); ++i) {
                if (!pieces[i].empty() || ranges[i].iov_base != wanted.iov_base || ranges[i].iov_len != wanted.iov_len)
                    continue;
                pieces[i].assign(from.begin(), from.end());
                return {};
            }
            return fail(EFAULT);
        },
        address, payload);
    if (!written) return fail(written.error());
    std::vector<std::byte> bytes;
    for (const auto& piece : pieces) bytes.insert(bytes.end(), piece.begin(), piece.end());
    return bytes;
}

std::vector<std::byte> disassemble(const ioctl::Payload& payload) {
    std::vector<std::byte> bytes = payload.argument;
    for (const auto& nested : payload.nested) bytes.insert(bytes.end(), nested.bytes.begin(), nested.bytes.end());
    return bytes;
}

}  // namespace daedalus::transport::cuse
