// libavcodec's pictures, counted.
#pragma once

#include <memory>

#include "av.h"
#include "daedalus/memory/budget.h"

namespace daedalus::codec::ffmpeg {

/// Before avcodec_open2(): each picture that the decoder allocates takes its bytes from `budget` until nobody holds it any
/// more; one that the budget does not have fails with ENOMEM. Pictures keep the budget; the context does not: it must not
/// outlive it.
void countPictures(AVCodecContext& context, const std::shared_ptr<memory::Budget>& budget);

}  // namespace daedalus::codec::ffmpeg
