#include "src/transport/socket/decode.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "daedalus/v4l2/uapi.h"

namespace daedalus::transport::socket {
namespace {

/// Takes pieces off the front of a body.
class Reader {
public:
    explicit Reader(std::span<const std::byte> bytes) : left_(bytes) {}

    [[nodiscard]] bool take(size_t length, std::span<const std::byte>& piece) {
        if (length > left_.size()) return false;
        piece = left_.first(length);
        left_ = left_.subspan(length);
        return true;
    }

    template <class T>
    [[nodiscard]] bool take(T& value) {
        std::span<const std::byte> piece;
        if (!take(sizeof value, piece)) return false;
        std::memcpy(&value, piece.data(), sizeof value);
        return true;
    }

    [[nodiscard]] bool empty() const { return left_.empty(); }

private:
    std::span<const std::byte> left_;
};

bool sameRef(const proto::NestedHeader& header, const proto::NestedRef& ref) {
    return header.parent == ref.parent && header.offset == ref.offset && header.length == ref.length;
}

std::vector<std::byte> copyOf(std::span<const std::byte> bytes) { return {bytes.begin(), bytes.end()}; }

/// The arrays of a media device's calls: all of them.
bool takeArrays(Reader& reader, std::span<const proto::NestedHeader> headers, std::span<const proto::NestedRef> refs,
                ioctl::Payload& payload) {
    if (headers.size() != refs.size()) return false;
    for (size_t i = 0; i < refs.size(); ++i) {
        std::span<const std::byte> piece;
        if (!sameRef(headers[i], refs[i]) || !reader.take(refs[i].length, piece)) return false;
        payload.nested.push_back({headers[i].parent, headers[i].offset, copyOf(piece)});
    }
    return true;
}

/// Nested arrays must be those that the argument itself asks for, in their order; the client may leave some out.
bool takeNested(Reader& reader, const proto::Request& request, proto::Follow follow, ioctl::Payload& payload) {
    if (request.nestedCount == 0) return true;
    if (request.nestedCount > proto::kMaxNested) return false;
    std::vector<proto::NestedHeader> headers(request.nestedCount);
    for (auto& header : headers) {
        if (!reader.take(header) || header.length > proto::kMaxNestedBytes) return false;
    }
    std::array<proto::NestedRef, proto::kMaxArrays> arrays;
    const size_t count = proto::followArrays(follow, payload.argument.data(), payload.argument.size(), arrays.data());
    if (count > 0) return takeArrays(reader, headers, std::span(arrays).first(count), payload);
    proto::NestedRef first;
    if (proto::followArgument(follow, payload.argument.data(), payload.argument.size(), &first) != 1) return false;
    std::span<const std::byte> piece;
    if (!sameRef(headers[0], first) || !reader.take(headers[0].length, piece)) return false;
    payload.nested.push_back({headers[0].parent, headers[0].offset, copyOf(piece)});
    if (headers.size() == 1) return true;

    std::vector<proto::NestedRef> refs(proto::mostNested(follow, piece.size()));
    refs.resize(proto::followNested(follow, piece.data(), piece.size(), refs.data(), refs.size()));
    auto ref = refs.begin();
    for (size_t i = 1; i < headers.size(); ++i) {
        ref = std::find_if(ref, refs.end(), [&](const auto& candidate) { return sameRef(headers[i], candidate); });
        if (ref == refs.end() || !reader.take(headers[i].length, piece)) return false;
        ++ref;
        payload.nested.push_back({headers[i].parent, headers[i].offset, copyOf(piece)});
    }
    return true;
}

}  // namespace

size_t mostBodyBytes(uint32_t cmd, const Follows& follows) {
    // More than the controls of any codec have.
    constexpr size_t kPayloads = size_t{1} << 20;
    const auto row = follows.find(cmd);
    const auto follow = row == follows.end() ? proto::Follow::None : row->second;
    const size_t flat = _IOC_SIZE(cmd) + VIDEO_MAX_PLANES * sizeof(proto::PlaneMemory);
    switch (follow) {
        case proto::Follow::None:
            return flat;
        case proto::Follow::Planes:
            return flat + sizeof(proto::NestedHeader) + VIDEO_MAX_PLANES * sizeof(v4l2_plane);
        case proto::Follow::Topology:
        case proto::Follow::Links:
            return flat + proto::kMaxArrays * sizeof(proto::NestedHeader) + proto::kMaxArrayBytes;
        case proto::Follow::ExtControls:
            break;
    }
    return flat + proto::kMaxNested * sizeof(proto::NestedHeader) + proto::kMaxNestedBytes + kPayloads;
}

Result<DecodedCall> decodeCall(const proto::Request& request, std::span<const std::byte> body, const Follows& follows) {
    DecodedCall decoded;
    decoded.call.cmd = request.cmd;
    decoded.call.nonblocking = (request.flags & proto::kRequestNonblocking) != 0;
    decoded.call.faulted = (request.flags & proto::kRequestFaulted) != 0;
    auto& payload = decoded.call.payload;
    const size_t size = _IOC_SIZE(request.cmd);
    if (decoded.call.faulted) {
        payload.argument.resize(size);
        return decoded;
    }

    // A call that only reads from us starts, as in the kernel, with zeroes.
    Reader reader(body);
    const size_t expected = (_IOC_DIR(request.cmd) & _IOC_WRITE) != 0 ? size : 0;
    std::span<const std::byte> argument;
    if (request.argumentBytes != expected || !reader.take(expected, argument)) return fail(EPROTO);
    payload.argument = copyOf(argument);
    payload.argument.resize(size);

    const auto row = follows.find(request.cmd);
    const auto follow = row == follows.end() ? proto::Follow::None : row->second;
    if (!takeNested(reader, request, follow, payload)) return fail(EPROTO);

    if (request.planeCount > VIDEO_MAX_PLANES) return fail(EPROTO);
    decoded.planes.resize(request.planeCount);
    for (auto& plane : decoded.planes) {
        if (!reader.take(plane)) return fail(EPROTO);
    }
    if (!reader.empty()) return fail(EPROTO);
    return decoded;
}

void encodePayload(uint32_t cmd, const ioctl::Payload& payload, std::vector<std::byte>& out) {
    if ((_IOC_DIR(cmd) & _IOC_READ) == 0) return;
    out.insert(out.end(), payload.argument.begin(), payload.argument.end());
    for (const auto& nested : payload.nested) out.insert(out.end(), nested.bytes.begin(), nested.bytes.end());
}

}  // namespace daedalus::transport::socket
