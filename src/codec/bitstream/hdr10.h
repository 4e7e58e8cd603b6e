// Static HDR metadata: the SEI messages that H.264 and HEVC share, and AV1's metadata OBUs.
#pragma once

#include "bit_reader.h"
#include "daedalus/v4l2/stream_facts.h"

namespace daedalus::codec::bitstream {

/// Reads an SEI message that is about HDR10 into `hdr10`; what it does not say stays.
void readHdr10Sei(uint32_t type, Bytes payload, v4l2::Hdr10& hdr10);
/// The same of an AV1 metadata OBU.
void readHdr10Obu(Bytes payload, v4l2::Hdr10& hdr10);

/// What is in force in a stream of pictures: messages count from their picture on until the next sequence.
class Hdr10Messages {
public:
    /// A message before the next picture.
    void sei(uint32_t type, Bytes payload) {
        readHdr10Sei(type, payload, said_);
        pending_ = true;
    }
    /// A picture begins. `newSequence`: nothing from before is in force.
    void picture(bool newSequence) {
        if (newSequence) inForce_ = {};
        if (!pending_) return;
        if (said_.contentLight != v4l2::ContentLight{}) inForce_.contentLight = said_.contentLight;
        if (said_.masteringDisplay != v4l2::MasteringDisplay{}) inForce_.masteringDisplay = said_.masteringDisplay;
        said_ = {};
        pending_ = false;
    }
    [[nodiscard]] const v4l2::Hdr10& inForce() const { return inForce_; }

private:
    v4l2::Hdr10 said_;
    v4l2::Hdr10 inForce_;
    bool pending_ = false;
};

}  // namespace daedalus::codec::bitstream
