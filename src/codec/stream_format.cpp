#include "daedalus/codec/decoder.h"

namespace daedalus::codec {

bool StreamFormat::sameSetup(const StreamFormat& other) const {
    return codedWidth == other.codedWidth && codedHeight == other.codedHeight && visible == other.visible &&
           chroma == other.chroma && bitDepth == other.bitDepth && zeroBits == other.zeroBits &&
           minCaptureBuffers == other.minCaptureBuffers && interlaced == other.interlaced;
}

uint32_t StreamFormat::field() const {
    if (!interlaced) return V4L2_FIELD_NONE;
    return bottomFirst ? V4L2_FIELD_INTERLACED_BT : V4L2_FIELD_INTERLACED_TB;
}

}  // namespace daedalus::codec
