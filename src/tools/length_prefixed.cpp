#include "length_prefixed.h"

#include <cstdint>

#include "container_traits.h"

namespace daedalus::tools {

size_t lengthBytes(v4l2::Codec codec, std::span<const std::byte> extradata) {
    const ContainerTraits& traits = containerTraitsOf(codec);
    if (!traits.startCodeFilter) return 0;
    // The records start with their version, 1; Annex B starts with zeros.
    const size_t where = traits.lengthsAt;
    if (extradata.size() <= where || extradata[0] != std::byte{1}) return 0;
    return std::to_integer<size_t>(extradata[where] & std::byte{3}) + 1;
}

bool hasWholeUnits(std::span<const std::byte> packet, size_t lengthBytes) {
    // FFmpeg looks no further where no unit can follow.
    constexpr size_t kSmallest = 4;
    while (packet.size() >= kSmallest) {
        uint64_t length = 0;
        for (const std::byte byte : packet.first(lengthBytes)) length = length << 8 | std::to_integer<uint64_t>(byte);
        packet = packet.subspan(lengthBytes);
        if (length == 0 || length > packet.size()) return false;
        packet = packet.subspan(length);
    }
    return true;
}

}  // namespace daedalus::tools
