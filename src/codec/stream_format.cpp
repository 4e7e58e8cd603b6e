#include "daedalus/codec/decoder.h"

namespace daedalus::codec {

bool StreamFormat::sameSetup(const StreamFormat& other) const {
    return codedWidth == other.codedWidth && codedHeight == other.codedHeight && visible == other.visible &&
           chroma == other.chroma && bitDepth == other.bitDepth && minCaptureBuffers == other.minCaptureBuffers &&
           interlaced == other.interlaced;
}

}  // namespace daedalus::codec
