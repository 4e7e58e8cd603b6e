#include "daedalus/tools/codecs.h"

#include <spdlog/fmt/fmt.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "daedalus/daemon/daemon.h"
#include "daedalus/v4l2/formats.h"
#include "daedalus/v4l2/listing.h"

namespace daedalus::tools {
namespace {

/// "8 bit 4:2:0 4:2:2, 10 bit 4:2:0": what a CAPTURE format holds.
std::string samplingsOf(const v4l2::CodedFormat& coded) {
    std::string text;
    unsigned depth = 0;
    for (const v4l2::Sampling& sampling : coded.samplings) {
        if (sampling.significantBits() != depth) {
            depth = sampling.significantBits();
            text += fmt::format("{}{} bit", text.empty() ? "" : ", ", depth);
        }
        text += fmt::format(" {}", v4l2::nameOf(sampling.chroma));
    }
    return text;
}

}  // namespace

int codecsMain() {
    const daemon::Daemon decoders({.threads = 1});
    bool any = false;
    std::printf("%-6s %-6s %-26s %-12s %s\n", "fourcc", "name", "description", "decoder", "frames");
    for (const v4l2::CodedFormat& coded : v4l2::codedFormats()) {
        const char* decoder = decoders.decoderName(coded.codec);
        any = any || decoder != nullptr;
        std::string frames = decoder != nullptr ? samplingsOf(coded) : "not offered: this libavcodec lacks a decoder";
        if (decoder != nullptr && !v4l2::isListed(coded)) frames += " (not listed by ENUM_FMT)";
        std::printf("%-6s %-6s %-26s %-12s %s\n", v4l2::fourccName(coded.fourcc).c_str(), coded.name, coded.description,
                    decoder != nullptr ? decoder : "-", frames.c_str());
    }
    return any ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace daedalus::tools
