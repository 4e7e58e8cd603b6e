// libavcodec's objects with an owner, for the test programs that call it themselves.
#pragma once

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
}

#include <memory>

namespace daedalus::test {

struct Freer {
    void operator()(AVCodecContext* context) const { avcodec_free_context(&context); }
    void operator()(AVFrame* frame) const { av_frame_free(&frame); }
    void operator()(AVPacket* packet) const { av_packet_free(&packet); }
    void operator()(AVBSFContext* filter) const { av_bsf_free(&filter); }
};
template <class T>
using Owned = std::unique_ptr<T, Freer>;

}  // namespace daedalus::test
