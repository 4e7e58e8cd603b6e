// From the bytes of a request to an ioctl::Call and back. Pure functions over hostile bytes.
#pragma once

#include <cstddef>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "daedalus/base/result.h"
#include "daedalus/ioctl/call.h"
#include "proto/follow.h"
#include "proto/wire.h"

namespace daedalus::transport::socket {

/// Which ioctls have nested arrays.
using Follows = std::unordered_map<uint32_t, proto::Follow>;

/// A decoded Ioctl request.
struct DecodedCall {
    ioctl::Call call;
    std::vector<proto::PlaneMemory> planes;
};

/// Decodes an Ioctl request. `body` is what followed the header or lay in its memfd. EPROTO if it is not well-formed: sizes
/// that contradict the header or the argument.
[[nodiscard]] Result<DecodedCall> decodeCall(const proto::Request& request, std::span<const std::byte> body,
                                             const Follows& follows);

/// The longest body that a request for that ioctl can need, in bytes: more is not worth reading.
[[nodiscard]] size_t mostBodyBytes(uint32_t cmd, const Follows& follows);

/// The body of the reply that copies `payload` back: the argument if the client expects one, then the nested arrays.
void encodePayload(uint32_t cmd, const ioctl::Payload& payload, std::vector<std::byte>& out);

}  // namespace daedalus::transport::socket
