#include "make_clip.h"

extern "C" {
#include <libavformat/avformat.h>
}

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "clip.h"
#include "process.h"

namespace daedalus::bench {
namespace {

constexpr const char* kFrames = "60";
/// Sharp edges, text and moving areas; all of it wanders, under noise that no frame shares with the next.
constexpr const char* kPicture = "testsrc2=size=1920x1080:rate=30,scroll=h=0.004:v=0.002,noise=alls=8:allf=t,format=yuv420p";

/// Encoders and settings that two slow cores finish in seconds, at the bit rates of streamed 1080p.
std::vector<std::string> encoder(const std::string& codec) {
    if (codec == "h264") return {"-c:v", "libx264", "-preset", "veryfast", "-b:v", "7M", "-maxrate", "8M", "-bufsize", "8M"};
    if (codec == "hevc") return {"-c:v", "libx265", "-preset", "ultrafast", "-b:v", "5M", "-x265-params", "log-level=none"};
    if (codec == "vp9")
        return {"-c:v",    "libvpx-vp9", "-deadline",     "realtime", "-cpu-used", "8",
                "-row-mt", "1",          "-tile-columns", "2",        "-b:v",      "6M"};
    return {"-c:v", "libsvtav1", "-preset", "10", "-b:v", "4M"};
}

struct InputDeleter {
    void operator()(AVFormatContext* context) const { avformat_close_input(&context); }
};
struct PacketDeleter {
    void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};

/// Cuts a stream into its access units.
bool readUnits(const std::string& path, Clip& clip) {
    AVFormatContext* opened = nullptr;
    if (avformat_open_input(&opened, path.c_str(), nullptr, nullptr) < 0) return false;
    const std::unique_ptr<AVFormatContext, InputDeleter> input(opened);
    if (avformat_find_stream_info(opened, nullptr) < 0 || opened->nb_streams != 1) return false;
    clip.width = static_cast<uint32_t>(opened->streams[0]->codecpar->width);
    clip.height = static_cast<uint32_t>(opened->streams[0]->codecpar->height);
    const std::unique_ptr<AVPacket, PacketDeleter> packet(av_packet_alloc());
    while (packet && av_read_frame(opened, packet.get()) >= 0) {
        const auto* data = reinterpret_cast<const std::byte*>(packet->data);
        clip.units.emplace_back(data, data + packet->size);
        av_packet_unref(packet.get());
    }
    return !clip.units.empty();
}

}  // namespace

std::string makeClip(const std::string& codec, const std::string& folder) {
    const std::string path = folder + "/" + codec + ".clip";
    if (loadClip(path)) return path;
    std::error_code ignored;
    std::filesystem::create_directories(folder, ignored);
    const std::string stream = folder + "/" + codec + (codec == "h264" || codec == "hevc" ? "." + codec : ".ivf");
    std::vector<std::string> command = {"ffmpeg", "-nostdin", "-v",     "error",     "-y",   "-f",
                                        "lavfi",  "-i",       kPicture, "-frames:v", kFrames};
    std::ranges::copy(encoder(codec), std::back_inserter(command));
    command.push_back(stream);
    std::fprintf(stderr, "making the %s clip\n", codec.c_str());
    // SVT-AV1 tells its settings on stderr, whatever the log level.
    if (runProcess(command, {{"SVT_LOG", "1"}}).status != 0) {
        std::fprintf(stderr, "ffmpeg cannot make %s; does it have that encoder?\n", stream.c_str());
        return {};
    }
    Clip clip;
    clip.codec = codec;
    if (!readUnits(stream, clip) || !saveClip(clip, path)) {
        std::fprintf(stderr, "%s: cannot be cut into access units\n", stream.c_str());
        return {};
    }
    std::filesystem::remove(stream, ignored);
    return path;
}

}  // namespace daedalus::bench
