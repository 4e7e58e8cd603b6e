// The compressed stream of a file, in the pieces that go into OUTPUT buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "daedalus/v4l2/formats.h"
#include "framemd5.h"
#include "outcome.h"

namespace daedalus::tools {

struct StreamInfo {
    v4l2::Codec codec = v4l2::Codec::H264;
    uint32_t width = 0;  ///< as the container has it; 0 if it does not say
    uint32_t height = 0;
    Fraction timeBase{1, 1};    ///< of the packets' times
    Fraction frameRate{25, 1};  ///< best guess
    Fraction sampleAspect{1, 1};
    /// No access unit is longer (bytes): the size of the file, or 0 where it has none.
    uint64_t fileSize = 0;
};

/// One access unit.
struct Packet {
    std::span<const std::byte> bytes;  ///< until the next call of next()
    std::optional<int64_t> pts;        ///< in units of StreamInfo::timeBase
    int64_t duration = 0;              ///< 0: unknown
    bool discard = false;              ///< to be decoded, not to be shown (an edit list cuts it away)
};

/// A file that is open. One thread.
class PacketSource {
public:
    virtual ~PacketSource() = default;
    [[nodiscard]] const StreamInfo& info() const { return info_; }
    /// The next access unit, in decoding order; nothing at the end.
    [[nodiscard]] virtual Outcome<std::optional<Packet>> next() = 0;

protected:
    StreamInfo info_;
};

/// Opens any file that libavformat reads, raw H.264 and HEVC streams whatever they are called, and IVF. H.264 and HEVC come as
/// Annex B; parameters that only the container carries are put in front of the first access unit.
[[nodiscard]] Outcome<std::unique_ptr<PacketSource>> openInput(const std::string& path);

}  // namespace daedalus::tools
