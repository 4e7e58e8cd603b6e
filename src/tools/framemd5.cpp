#include "framemd5.h"

extern "C" {
#include <libavutil/md5.h>
}
#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <array>
#include <cinttypes>

namespace daedalus::tools {

std::string md5Hex(std::span<const std::byte> bytes) {
    std::array<uint8_t, 16> digest{};
    av_md5_sum(digest.data(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    return fmt::format("{:02x}", fmt::join(digest, ""));
}

void FrameMd5Writer::header(uint32_t width, uint32_t height) {
    std::fprintf(out_,
                 "#format: frame checksums\n#version: 2\n#hash: MD5\n#software: daedalus " DAEDALUS_VERSION "\n#tb 0: %" PRId64
                 "/%" PRId64 "\n#media_type 0: video\n#codec_id 0: rawvideo\n#dimensions 0: %" PRIu32 "x%" PRIu32
                 "\n#sar 0: %" PRId64 "/%" PRId64 "\n#stream#, dts,        pts, duration,     size, hash\n",
                 timeBase_.num, timeBase_.den, width, height, sampleAspect_.num, sampleAspect_.den);
}

void FrameMd5Writer::frame(uint32_t width, uint32_t height, int64_t pts, int64_t duration, std::span<const std::byte> bytes) {
    if (!headerWritten_) header(width, height);
    headerWritten_ = true;
    std::fprintf(out_, "0, %10" PRId64 ", %10" PRId64 ", %8" PRId64 ", %8zu, %s\n", pts, pts, duration, bytes.size(),
                 md5Hex(bytes).c_str());
}

}  // namespace daedalus::tools
