// One stateless stream's decoding on the worker pool: a unit goes in, and comes back decoded.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daedalus/codec/picture_decoder.h"
#include "daedalus/m2m/decode_strand.h"
#include "daedalus/queue/active_buffer.h"

namespace daedalus::m2m {

/// A unit on its way to the worker. The buffers themselves stay with who sends it.
struct UnitJob {
    queue::ActivePlane input;
    std::vector<queue::ActivePlane> output;
    const v4l2::RawFormat* raw = nullptr;
    v4l2::FrameLayout layout;
    v4l2::ControlValues controls;
    std::vector<codec::NamedReference> references;  ///< see codec::PictureUnit
    uint64_t picture = 0;
};

/// The public functions are for the loop thread. One unit at a time.
class PictureStrand final : public SessionStrand {
public:
    /// Called on the loop thread for each decode(): what was wrong with the unit, empty if nothing was. The picture, as far as
    /// it was decoded, stands in the output planes.
    using Done = std::function<void(const std::string& damage)>;

    PictureStrand(Resources resources, v4l2::Codec codec, const std::string& session, Done done);
    ~PictureStrand() override;
    bool end(std::chrono::milliseconds patience) override;

    void decode(UnitJob job);
    /// No picture of before is a reference any more.
    void forget();
    /// A unit that takes longer than the session's limit is given up: true, and then this must be retired.
    [[nodiscard]] bool giveUpIfStuck();
    /// Done is not called any more; the worker lets go of the rest in the background.
    static void retire(std::unique_ptr<PictureStrand> strand);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace daedalus::m2m
