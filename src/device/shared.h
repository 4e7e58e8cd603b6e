// What the sessions of one device share.
#pragma once

#include <array>
#include <map>

#include "daedalus/device/device.h"
#include "daedalus/m2m/stateful.h"
#include "daedalus/media/device.h"

namespace daedalus::device {

/// The coded size while neither the client nor the stream has told one.
inline constexpr uint32_t kDefaultWidth = 1280;
inline constexpr uint32_t kDefaultHeight = 720;

struct Device::Shared {
    EventLoop& loop;
    WorkerPool& pool;
    codec::Factory& codecs;
    const DeviceOptions options;
    std::shared_ptr<m2m::Graveyard> graveyard = std::make_shared<m2m::Graveyard>();
    /// Null for a node without requests.
    std::unique_ptr<media::Device> media{};
    size_t sessions = 0;
    std::map<uid_t, size_t> sessionsOf{};  ///< of each user that has any
    uint64_t lastSessionId = 0;
    /// How many sessions have each priority.
    std::array<size_t, V4L2_PRIORITY_RECORD + 1> priorities{};

    /// The threads of a decoder that is opened now.
    [[nodiscard]] codec::DecoderOptions decoderOptions() const;
    /// True if the codec can be offered.
    [[nodiscard]] bool offers(const v4l2::CodedFormat& coded) const {
        return options.kind->takes(coded) && options.kind->decodes(codecs, coded.codec);
    }
};

/// The OUTPUT format that a client gets who asks for this one; zeroes ask for the default. The device offers some codec.
[[nodiscard]] m2m::OutputFormat adjustOutput(const Device::Shared& device, const v4l2_pix_format_mplane& pix);

}  // namespace daedalus::device
