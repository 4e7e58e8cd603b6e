// Finds out what a file is and opens it: by libavformat's own probing, by its name's ending where that says more, and IVF by
// hand where libavformat will not.
extern "C" {
#include <libavutil/dict.h>
#include <libavutil/log.h>
}

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <string_view>

#include "daedalus/base/log.h"
#include "daedalus/base/unique_fd.h"
#include "ivf_reader.h"
#include "lavf_source.h"

namespace daedalus::tools {
namespace {

/// Endings that say "a raw stream of this codec", and the demuxer to force where probing finds something else.
struct Ending {
    const char* ending;
    const char* demuxer;
    AVCodecID codec;
};
constexpr Ending kEndings[] = {
    {"26l", "h264", AV_CODEC_ID_H264},
    {"jsv", "h264", AV_CODEC_ID_H264},
    {"avc", "h264", AV_CODEC_ID_H264},
    {"jvt", "h264", AV_CODEC_ID_H264},
    {"264", "h264", AV_CODEC_ID_H264},
    {"h264", "h264", AV_CODEC_ID_H264},
    {"h26l", "h264", AV_CODEC_ID_H264},
    {"265", "hevc", AV_CODEC_ID_HEVC},
    {"h265", "hevc", AV_CODEC_ID_HEVC},
    {"hevc", "hevc", AV_CODEC_ID_HEVC},
    {"m1v", "mpegvideo", AV_CODEC_ID_MPEG1VIDEO},
    {"m2v", "mpegvideo", AV_CODEC_ID_MPEG2VIDEO},
    {"mpv", "mpegvideo", AV_CODEC_ID_MPEG2VIDEO},
    {"m4v", "m4v", AV_CODEC_ID_MPEG4},
    {"263", "h263", AV_CODEC_ID_H263},
    {"h263", "h263", AV_CODEC_ID_H263},
    {"mjpeg", "mjpeg", AV_CODEC_ID_MJPEG},
    {"mjpg", "mjpeg", AV_CODEC_ID_MJPEG},
    {"vc1", "vc1", AV_CODEC_ID_VC1},
    {"rcv", "vc1test", AV_CODEC_ID_WMV3},
    {"obu", "obu", AV_CODEC_ID_AV1},
};
/// Endings that several codecs use: tried in this order where probing finds no video at all.
constexpr Ending kAmbiguous[] = {{"bit", "hevc", AV_CODEC_ID_HEVC},  {"bit", "h264", AV_CODEC_ID_H264},
                                 {"bin", "hevc", AV_CODEC_ID_HEVC},  {"bin", "h264", AV_CODEC_ID_H264},
                                 {"bits", "hevc", AV_CODEC_ID_HEVC}, {"bits", "h264", AV_CODEC_ID_H264},
                                 {"bits", "m4v", AV_CODEC_ID_MPEG4}, {"cmp", "m4v", AV_CODEC_ID_MPEG4}};

std::string endingOf(const std::string& path) {
    const size_t dot = path.rfind('.');
    std::string ending = dot == std::string::npos ? "" : path.substr(dot + 1);
    std::ranges::transform(ending, ending.begin(),
                           [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
    return ending;
}

constexpr std::string_view kFile = "file:";

/// What the user named, as libavformat shall open it.
struct Input {
    std::string path;
    std::string url;
    bool reopens = true;  ///< false: it can be read once only, as a pipe
    uint64_t size = 0;    ///< of a file; 0 for pipes and the like
};

/// Checks what libavformat's messages would not say clearly.
Outcome<Input> checkReadable(const std::string& path) {
    struct stat status {};
    if (path == "-" || path == "/dev/stdin") {
        if (::fstat(STDIN_FILENO, &status) == 0 && S_ISREG(status.st_mode) && ::lseek(STDIN_FILENO, 0, SEEK_CUR) == 0)
            if (auto file = checkReadable("/proc/self/fd/0")) {
                file->path = path;
                return file;
            }
        return Input{.path = path, .url = "pipe:0", .reopens = false, .size = 0};
    }
    Input input{.path = path, .url = std::string(kFile) + path, .reopens = true, .size = 0};
    // A writer that finds a FIFO open, and closed again, takes us for gone.
    if (::stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode)) {
        input.reopens = false;
        return input;
    }
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return failure("{}: cannot be read: {}; check the name and its permissions", path, std::strerror(errno));
    if (::fstat(fd.get(), &status) != 0) return failure("{}: {}; check the name", path, std::strerror(errno));
    if (S_ISDIR(status.st_mode)) return failure("{}: is a folder; give a file with a video stream", path);
    if (!S_ISREG(status.st_mode)) return input;
    if (status.st_size == 0) return failure("{}: the file is empty; give a file with a video stream", path);
    input.size = static_cast<uint64_t>(status.st_size);
    return input;
}

/// A file whose streams are known, and the number of its video stream.
struct Opened {
    FormatPtr format;
    int stream = -1;
    [[nodiscard]] AVCodecID codec() const { return format->streams[stream]->codecpar->codec_id; }
    [[nodiscard]] int width() const { return format->streams[stream]->codecpar->width; }
};

/// The number of the video stream that `ffmpeg -i FILE` decodes, so that results compare: with packets near the start, then
/// marked as the default, then the largest, then the first; cover pictures last. -1 if there is none.
int videoStreamOf(const AVFormatContext& format) {
    int best = -1;
    int64_t bestScore = 0;
    for (unsigned i = 0; i < format.nb_streams; ++i) {
        const AVStream& stream = *format.streams[i];
        if (stream.codecpar->codec_type != AVMEDIA_TYPE_VIDEO) continue;
        // So many pixels count as much for FFmpeg.
        constexpr int64_t kHasPackets = 100'000'000;
        constexpr int64_t kDefault = 5'000'000;
        int64_t score = 1;
        if ((stream.disposition & AV_DISPOSITION_ATTACHED_PIC) == 0) {
            score += int64_t{stream.codecpar->width} * stream.codecpar->height;
            if ((stream.event_flags & AVSTREAM_EVENT_FLAG_NEW_PACKETS) != 0) score += kHasPackets;
            if ((stream.disposition & AV_DISPOSITION_DEFAULT) != 0) score += kDefault;
        }
        if (score <= bestScore) continue;
        best = static_cast<int>(i);
        bestScore = score;
    }
    return best;
}

/// Keeps the first error that libavformat logs while this object lives. One at a time.
class FirstComplaint {
public:
    FirstComplaint() {
        text.clear();
        ::av_log_set_callback([](void* context, int level, const char* format, va_list arguments) {
            va_list copy;
            va_copy(copy, arguments);
            ::av_log_default_callback(context, level, format, copy);
            va_end(copy);
            const std::scoped_lock lock(mutex);
            if (level > AV_LOG_ERROR || !text.empty()) return;
            std::array<char, 256> line{};
            std::vsnprintf(line.data(), line.size(), format, arguments);
            text = line.data();
            while (text.ends_with('\n') || text.ends_with('.')) text.pop_back();
        });
    }
    ~FirstComplaint() { ::av_log_set_callback(::av_log_default_callback); }
    FirstComplaint(const FirstComplaint&) = delete;
    FirstComplaint& operator=(const FirstComplaint&) = delete;

    [[nodiscard]] static std::string take() {
        const std::scoped_lock lock(mutex);
        return std::exchange(text, {});
    }

private:
    // libavutil's callback has no pointer of ours.
    static inline std::mutex mutex;
    static inline std::string text;
};

/// Opens with a demuxer, or by probing if it is null. Nothing if that finds no video; `reason` then tells why.
std::optional<Opened> tryOpen(const Input& input, const char* demuxer, std::string& reason) {
    const FirstComplaint complaint;
    const auto refused = [&](int error) {
        reason = FirstComplaint::take();
        if (reason.empty()) reason = error < 0 ? errorText(error) : "there is none among its streams";
        return std::nullopt;
    };
    AVDictionary* options = nullptr;
    // Playlists must not lead to other files or to the network.
    av_dict_set(&options, "protocol_whitelist", "file,pipe", 0);
    av_dict_set(&options, "scan_all_pmts", "1", 0);
    AVFormatContext* raw = nullptr;
    int error =
        avformat_open_input(&raw, input.url.c_str(), demuxer != nullptr ? av_find_input_format(demuxer) : nullptr, &options);
    av_dict_free(&options);
    if (error < 0) return refused(error);
    Opened opened{.format = FormatPtr(raw)};
    error = avformat_find_stream_info(raw, nullptr);
    if (error < 0) return refused(error);
    opened.stream = videoStreamOf(*raw);
    if (opened.stream < 0) return refused(0);
    return opened;
}

std::optional<Opened> probe(const Input& input, std::string& reason) {
    const std::string ending = endingOf(input.path);
    auto opened = tryOpen(input, nullptr, reason);
    // What was read of a pipe is gone.
    if (!input.reopens) return opened;
    std::string ignored;
    for (const Ending& row : kEndings) {
        if (ending != row.ending || (opened && opened->codec() == row.codec)) continue;
        auto forced = tryOpen(input, row.demuxer, ignored);
        // A demuxer that finds no picture size did not understand the file.
        if (forced && forced->codec() == row.codec && (!opened || forced->width() > 0)) return forced;
    }
    for (const Ending& row : kAmbiguous) {
        if (opened || ending != row.ending) continue;
        opened = tryOpen(input, row.demuxer, ignored);
    }
    return opened;
}

/// For IVF files that libavformat refuses.
class IvfSource : public PacketSource {
public:
    IvfSource(IvfReader reader, v4l2::Codec codec, uint64_t fileSize) : reader_(std::move(reader)) {
        const auto& header = reader_.header();
        info_.codec = codec;
        info_.width = header.width;
        info_.height = header.height;
        info_.fileSize = fileSize;
        if (header.timeBaseNum != 0 && header.timeBaseDen != 0) {
            info_.timeBase = {header.timeBaseNum, header.timeBaseDen};
            info_.frameRate = {header.timeBaseDen, header.timeBaseNum};
        } else {
            info_.timeBase = {1, 25};
            timed_ = false;
        }
    }
    Outcome<std::optional<Packet>> next() override {
        const auto frame = reader_.next();
        if (!frame) return std::optional<Packet>();
        Packet packet{.bytes = frame->bytes, .pts = {}, .duration = 1, .discard = false};
        if (timed_) packet.pts = static_cast<int64_t>(frame->pts);
        return packet;
    }

private:
    IvfReader reader_;
    bool timed_ = true;  ///< the frames' times mean something
};

/// `reason` is why libavformat would not.
Outcome<std::unique_ptr<PacketSource>> openIvf(const Input& input, const std::string& reason) {
    auto reader = input.reopens ? IvfReader::open(input.url.substr(kFile.size())) : fail(ESPIPE);
    if (!reader)
        return failure("{}: no video stream found: {}; give a file that libavformat, ffprobe's library, can read", input.path,
                       reason);
    const std::string name = v4l2::fourccName(reader->header().fourcc);
    constexpr std::pair<const char*, v4l2::Codec> kCodecs[] = {
        {"VP80", v4l2::Codec::Vp8}, {"VP90", v4l2::Codec::Vp9}, {"AV01", v4l2::Codec::Av1}, {"H264", v4l2::Codec::H264}};
    for (const auto& [fourcc, codec] : kCodecs) {
        if (name == fourcc) return std::make_unique<IvfSource>(std::move(*reader), codec, input.size);
    }
    return failure("{}: unsupported codec \"{}\"; `daedalus codecs` lists those that can be decoded", input.path, name);
}

}  // namespace

Outcome<std::unique_ptr<PacketSource>> openInput(const std::string& path) {
    av_log_set_level(spdlog::should_log(spdlog::level::debug) ? AV_LOG_INFO : AV_LOG_FATAL);
    const auto input = checkReadable(path);
    if (!input) return failure(input.error());
    std::string reason;
    auto opened = probe(*input, reason);
    if (!opened) return openIvf(*input, reason);
    return makeLavfSource(std::move(opened->format), opened->stream, input->size, path);
}

}  // namespace daedalus::tools
