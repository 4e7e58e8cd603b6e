// The fake decoder's toy bitstream, for tests of what is around a codec.
//
// A buffer is text; its lines are carried out in order, unknown words are damage:
//
//   size WxH [crop L,T,R,B] [depth N] [chroma mono|420|422|444|440|411|rgb|other] [reorder N] [min N] [interlaced]
//        [bottom] [profile N] [level N] [tier N] [light N] [display N] [colorspace N] [transfer N] [matrix N] [range N]
//        [aspect N,D]
//                       headers: from here on frames look like this; before the first frame headers() tells it. light and
//                       display: HDR10 metadata that begins with N; colorspace, transfer, matrix, range: V4L2's numbers
//   frame N [I|P|B] [damaged] [sleep MS] [gate]
//                       one frame that stands at place N of the display order; its pixels are fakeSample(N, …)
//   damage REASON       a unit that cannot be decoded: receive() gives Damaged
//   fatal ERRNO         send() fails with this number
//   nomem               send() throws std::bad_alloc
//   eos                 a mark that says that the stream ends here
//   nothing             takes the buffer, gives no frame
//
// `gate` waits until openGate(), as a decoder that is stuck. At most `reorder` frames are held back; then the one with the
// lowest N comes out. A frame before any `size` is damage.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "daedalus/codec/decoder.h"

namespace daedalus::codec::fake {

/// The value of the sample at (x, y) of colour plane `plane` (0: luma, 1: Cb, 2: Cr; of RGB 0: R, 1: G, 2: B) in frame N, in
/// the low `bitDepth` bits. Coordinates count samples of that plane in the coded frame.
[[nodiscard]] constexpr uint16_t fakeSample(uint32_t number, uint32_t plane, uint32_t x, uint32_t y, unsigned bitDepth) {
    return static_cast<uint16_t>((number * 7 + plane * 85 + x + y * 3) & ((1U << bitDepth) - 1));
}

/// A line or more of the toy syntax as the bytes of a buffer. `text` must outlive the result.
[[nodiscard]] inline std::span<const std::byte> fakeUnit(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

/// From now on `gate` waits, ten seconds at most. Any thread.
void closeGate();
/// Lets all go on that wait at the gate; false if one of them has stopped waiting by itself. Any thread.
bool openGate();

}  // namespace daedalus::codec::fake
