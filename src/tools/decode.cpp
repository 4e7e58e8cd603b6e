#include "daedalus/tools/decode.h"

#include <algorithm>
#include <cctype>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "daedalus/base/log.h"
#include "decoder_client.h"
#include "framemd5.h"
#include "progress.h"

namespace daedalus::tools {
namespace {

/// A stdio stream to a file, or stdout.
class OutputFile {
public:
    [[nodiscard]] Outcome<> open(const std::string& path) {
        path_ = path == "-" ? "stdout" : path;
        file_ = path == "-" ? stdout : std::fopen(path.c_str(), "wbe");
        if (file_ == nullptr) return failure("{}: cannot be written: {}; choose another file", path, std::strerror(errno));
        return {};
    }
    OutputFile() = default;
    ~OutputFile() {
        if (file_ != nullptr && file_ != stdout) std::fclose(file_);
    }
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;

    [[nodiscard]] std::FILE* get() const { return file_; }
    /// What went wrong with any write since open().
    [[nodiscard]] Outcome<> check() const {
        if (file_ != nullptr && (std::fflush(file_) != 0 || std::ferror(file_) != 0))
            return failure("{}: cannot be written: {}; make room, or choose another file", path_, std::strerror(errno));
        return {};
    }

private:
    std::string path_;
    std::FILE* file_ = nullptr;
};

/// num/den of `value` ticks of `from`, in ticks of `to`, rounded to the nearest.
int64_t rescale(int64_t value, Fraction from, Fraction to) {
    const auto exact = static_cast<long double>(value) * static_cast<long double>(from.num) * static_cast<long double>(to.den) /
                       (static_cast<long double>(from.den) * static_cast<long double>(to.num));
    return static_cast<int64_t>(exact < 0 ? exact - 0.5L : exact + 0.5L);
}

/// Hashes and writes frames.
class FrameWriter : public FrameSink {
public:
    FrameWriter(const StreamInfo& stream, Order order) : stream_(stream), order_(order) {}

    [[nodiscard]] Outcome<> open(const DecodeOptions& options) {
        if (!options.frameMd5.empty()) {
            if (const auto done = md5File_.open(options.frameMd5); !done) return done;
            md5_ = std::make_unique<FrameMd5Writer>(md5File_.get(), tick(), stream_.sampleAspect);
        }
        return options.output.empty() ? Outcome<>() : rawFile_.open(options.output);
    }

    Outcome<> frame(const Picture& picture, const FrameInfo& info) override {
        progress_.frames(++count_);
        if (!md5_ && rawFile_.get() == nullptr) return {};
        if (!packVisible(picture, order_, packed_))
            return failure("the visible rectangle {}x{} at {},{} lies outside of the frame; the driver is broken",
                           picture.visible.width, picture.visible.height, picture.visible.left, picture.visible.top);
        if (md5_) {
            const int64_t pts = std::max(info.pts ? rescale(*info.pts, stream_.timeBase, tick()) : nextPts_, nextPts_);
            const int64_t duration = std::max<int64_t>(1, rescale(info.duration, stream_.timeBase, tick()));
            nextPts_ = pts + 1;
            md5_->frame(picture.visible.width, picture.visible.height, pts, duration, packed_);
        }
        if (rawFile_.get() != nullptr && std::fwrite(packed_.data(), 1, packed_.size(), rawFile_.get()) != packed_.size())
            return rawFile_.check();
        return {};
    }

    [[nodiscard]] Outcome<> finish() const {
        if (const auto done = md5File_.check(); !done) return done;
        return rawFile_.check();
    }
    [[nodiscard]] double seconds() const { return progress_.seconds(); }

private:
    /// One frame's time: the time base of what the ffmpeg command writes.
    [[nodiscard]] Fraction tick() const { return {stream_.frameRate.den, stream_.frameRate.num}; }

    const StreamInfo& stream_;
    Order order_;
    OutputFile md5File_;
    OutputFile rawFile_;
    std::unique_ptr<FrameMd5Writer> md5_;
    std::vector<std::byte> packed_;
    Progress progress_;
    uint64_t count_ = 0;
    int64_t nextPts_ = 0;
};

Outcome<const v4l2::RawFormat*> captureFormat(const std::string& wanted) {
    if (wanted.empty()) return nullptr;
    std::string upper = wanted;
    std::ranges::transform(upper, upper.begin(), [](unsigned char letter) { return static_cast<char>(std::toupper(letter)); });
    std::string known;
    for (const v4l2::RawFormat& format : v4l2::rawFormats()) {
        if (upper == format.name || upper == v4l2::fourccName(format.fourcc)) return &format;
        if (!known.empty()) known += ", ";
        known += format.name;
    }
    return failure("--capture {}: unsupported format; choose one of {}", wanted, known);
}

Outcome<uint32_t> memoryType(const std::string& name) {
    if (name == "mmap") return V4L2_MEMORY_MMAP;
    if (name == "userptr") return V4L2_MEMORY_USERPTR;
    if (name == "dmabuf") return V4L2_MEMORY_DMABUF;
    return failure("--memory {}: no such memory; choose mmap, userptr or dmabuf", name);
}

Outcome<DmabufAllocator> dmabufAllocator(const DecodeOptions& options) {
    if (options.exportDevice.empty()) return DmabufAllocator();
    if (options.memory != "dmabuf")
        return failure("--export-device {}: only dma-bufs come from another device; add --memory dmabuf", options.exportDevice);
    auto exporter = DeviceExporter::open(options.exportDevice);
    if (!exporter) return failure(exporter.error());
    return DmabufAllocator(std::move(*exporter));
}

Outcome<std::unique_ptr<Endpoint>> openEndpoint(const DecodeOptions& options, v4l2::Codec codec) {
    if (options.inProcess) return openInProcess(options.decoder);
    if (!options.device.empty()) return openDevice(options.device);
    return findDevice(v4l2::findCoded(codec)->fourcc);
}

Outcome<> decode(const DecodeOptions& options) {
    if (options.frameMd5 == "-" && options.output == "-")
        return failure("--framemd5 - and -o - would mix on stdout; give one of them a file");
    const auto format = captureFormat(options.capture);
    if (!format) return failure(format.error());
    const auto memory = memoryType(options.memory);
    if (!memory) return failure(memory.error());
    const auto dmabufs = dmabufAllocator(options);
    if (!dmabufs) return failure(dmabufs.error());
    const auto source = openInput(options.input);
    if (!source) return failure(source.error());
    const auto endpoint = openEndpoint(options, (*source)->info().codec);
    if (!endpoint) return failure(endpoint.error());

    const bool native = options.native || *format == nullptr;
    FrameWriter writer((*source)->info(), native ? Order::Native : Order::Capture);
    if (const auto done = writer.open(options); !done) return done;
    ClientSettings settings;
    settings.memory = *memory;
    settings.capture = *format;
    settings.outputCorrupt = options.outputCorrupt;
    settings.frames = options.frames;
    settings.patience = std::chrono::seconds(std::max(1U, options.timeoutSeconds));
    DecoderClient client(**endpoint, **source, writer, *dmabufs, settings);
    const auto decoded = client.decode();
    const auto written = writer.finish();
    const ClientSummary& summary = client.summary();
    if (summary.frames > 0)
        log::info("{}: {} frames of {}x{} in {}, {:.1f} fps", options.input, summary.frames, summary.width, summary.height,
                  summary.format, static_cast<double>(summary.frames) / writer.seconds());
    if (summary.damaged + summary.lost > 0)
        log::warn("{}: {} frames are damaged, {} were lost", options.input, summary.damaged, summary.lost);
    if (summary.frames > 0 && summary.withheld > 0)
        log::warn("{}: {} damaged frames before the first key frame were left out; --output-corrupt writes them", options.input,
                  summary.withheld);
    return decoded ? written : decoded;
}

}  // namespace

int decodeMain(const DecodeOptions& options) {
    // ulimit -f: an error of the write, or of the memory, that we tell.
    ::signal(SIGXFSZ, SIG_IGN);
    const auto done = decode(options);
    if (done) return EXIT_SUCCESS;
    log::error("{}", done.error().message);
    return EXIT_FAILURE;
}

}  // namespace daedalus::tools
