// libav* objects that free themselves.
#pragma once

extern "C" {
#include <libavcodec/bsf.h>
#include <libavcodec/packet.h>
#include <libavformat/avformat.h>
}

#include <memory>

namespace daedalus::tools {

struct FreeFormat {
    void operator()(AVFormatContext* context) const { avformat_close_input(&context); }
};
struct FreeFilter {
    void operator()(AVBSFContext* filter) const { av_bsf_free(&filter); }
};
struct FreePacket {
    void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};
using FormatPtr = std::unique_ptr<AVFormatContext, FreeFormat>;
using FilterPtr = std::unique_ptr<AVBSFContext, FreeFilter>;
using PacketPtr = std::unique_ptr<AVPacket, FreePacket>;

}  // namespace daedalus::tools
