// The contenders without a node: libavcodec in one process, each frame converted to NV12 as an application would (or dropped).
extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/log.h>
}

#include <libyuv.h>

#include <atomic>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "arguments.h"
#include "measured.h"

namespace daedalus::bench {
namespace {

/// As many frames as the node's client lets rotate: buffers that are warm in the cache would flatter this side.
constexpr size_t kRotatingFrames = 8;

const AVCodec* findDecoder(const std::string& codec) {
    return avcodec_find_decoder_by_name(codec == "av1" ? "libdav1d" : codec.c_str());
}

/// The thread types that src/codec/ffmpeg takes.
void setThreads(AVCodecContext& context, const std::string& codec, unsigned threads) {
    context.thread_count = static_cast<int>(threads);
    context.thread_type = codec == "h264" || codec == "hevc" ? FF_THREAD_FRAME : FF_THREAD_SLICE;
    if (codec == "av1") context.flags |= AV_CODEC_FLAG_LOW_DELAY;
}

struct PacketDeleter {
    void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};
using PacketPtr = std::unique_ptr<AVPacket, PacketDeleter>;

/// The access units of a clip as the packets that a demuxer would give: counted references, with padding.
std::vector<PacketPtr> packetsOf(const Clip& clip) {
    std::vector<PacketPtr> packets;
    for (const auto& unit : clip.units) {
        PacketPtr packet(av_packet_alloc());
        if (!packet || av_new_packet(packet.get(), static_cast<int>(unit.size())) < 0) return {};
        std::memcpy(packet->data, unit.data(), unit.size());
        packets.push_back(std::move(packet));
    }
    return packets;
}

/// One stream. One thread at a time.
class Stream {
public:
    Stream(const Arguments& arguments, const Clip& clip, const std::vector<PacketPtr>& packets)
        : arguments_(arguments), clip_(clip), packets_(packets), dueAt_(arguments.frames) {}
    ~Stream() {
        av_frame_free(&frame_);
        av_packet_free(&packet_);
        avcodec_free_context(&context_);
    }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    /// Decodes one access unit more, the last time what is left in the decoder. False at the end, or when failed(). Latencies
    /// count from `due`, or else from now.
    bool step(std::optional<Clock::time_point> due = std::nullopt) {
        if (!context_ && !open()) return false;
        if (next_ == arguments_.frames) {
            failed_ = failed_ || avcodec_send_packet(context_, nullptr) < 0;
            receive();
            return false;
        }
        av_packet_unref(packet_);
        if (av_packet_ref(packet_, packets_[next_ % packets_.size()].get()) < 0) return fail();
        packet_->pts = static_cast<int64_t>(next_);
        dueAt_[next_++] = due.value_or(Clock::now());
        if (avcodec_send_packet(context_, packet_) < 0) return fail();
        return receive();
    }

    [[nodiscard]] bool failed() const { return failed_; }
    [[nodiscard]] const Tally& tally() const { return tally_; }

private:
    bool fail() {
        failed_ = true;
        return false;
    }

    bool open() {
        openedAt_ = Clock::now();
        const AVCodec* codec = findDecoder(clip_.codec);
        context_ = codec ? avcodec_alloc_context3(codec) : nullptr;
        frame_ = av_frame_alloc();
        packet_ = av_packet_alloc();
        if (!context_ || !frame_ || !packet_) return fail();
        setThreads(*context_, clip_.codec, arguments_.threads);
        return avcodec_open2(context_, codec, nullptr) >= 0 || fail();
    }

    bool receive() {
        for (;;) {
            const int error = avcodec_receive_frame(context_, frame_);
            if (error == AVERROR(EAGAIN) || error == AVERROR_EOF) return true;
            if (error < 0) return fail();
            if (!arguments_.drop && !convert()) return fail();
            const auto now = Clock::now();
            if (++received_ == 1) tally_.firstFrame(openedAt_, now);
            tally_.frame(now);
            if (arguments_.pacedUs != 0 && frame_->pts >= 0)
                tally_.latency(secondsBetween(dueAt_[static_cast<size_t>(frame_->pts) % dueAt_.size()], now) * 1e6);
            av_frame_unref(frame_);
        }
    }

    bool convert() {
        if (frame_->format != AV_PIX_FMT_YUV420P) return false;
        const auto width = static_cast<size_t>(frame_->width);
        const auto height = static_cast<size_t>(frame_->height);
        if (rotating_.size() < kRotatingFrames) rotating_.emplace_back(width * height * 3 / 2);
        auto& place = rotating_[received_ % rotating_.size()];
        const int stride = frame_->width;
        return libyuv::I420ToNV12(frame_->data[0], frame_->linesize[0], frame_->data[1], frame_->linesize[1], frame_->data[2],
                                  frame_->linesize[2], place.data(), stride, place.data() + width * height, stride,
                                  frame_->width, frame_->height) == 0;
    }

    const Arguments& arguments_;
    const Clip& clip_;
    const std::vector<PacketPtr>& packets_;
    std::vector<Clock::time_point> dueAt_;
    AVCodecContext* context_ = nullptr;
    AVFrame* frame_ = nullptr;
    AVPacket* packet_ = nullptr;
    std::vector<std::vector<uint8_t>> rotating_;
    Clock::time_point openedAt_;
    size_t next_ = 0;
    size_t received_ = 0;
    bool failed_ = false;
    Tally tally_;
};

using Streams = std::vector<std::unique_ptr<Stream>>;

/// Access units at a steady rate. One that has to wait for the one before it counts from when it was due.
void runPaced(Stream& stream, unsigned periodUs) {
    auto due = Clock::now();
    while (stream.step(due)) {
        due += std::chrono::microseconds(periodUs);
        std::this_thread::sleep_until(due);
    }
}

void runInTurn(Streams& streams, unsigned workers) {
    std::mutex mutex;
    std::deque<Stream*> waiting;
    for (auto& stream : streams) waiting.push_back(stream.get());
    const auto work = [&] {
        for (;;) {
            Stream* stream = nullptr;
            {
                const std::lock_guard lock(mutex);
                // Whoever holds the last streams goes on with them.
                if (waiting.empty()) return;
                stream = waiting.front();
                waiting.pop_front();
            }
            if (!stream->step()) continue;
            const std::lock_guard lock(mutex);
            waiting.push_back(stream);
        }
    };
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < workers; ++i) threads.emplace_back(work);
}

void runEach(Streams& streams) {
    std::vector<std::jthread> threads;
    for (auto& stream : streams)
        threads.emplace_back([&stream] {
            while (stream->step()) {
            }
        });
}

int run(const Arguments& arguments) {
    std::vector<std::vector<PacketPtr>> packets;
    for (const auto& clip : arguments.clips) packets.push_back(packetsOf(clip));
    Streams streams;
    for (unsigned i = 0; i < arguments.sessions; ++i) {
        const size_t at = i % arguments.clips.size();
        streams.push_back(std::make_unique<Stream>(arguments, arguments.clips[at], packets[at]));
    }
    const double cpuBefore = cpuSecondsSoFar();
    if (arguments.pacedUs != 0) {
        runPaced(*streams.front(), arguments.pacedUs);
    } else if (arguments.sessions == 1) {
        while (streams.front()->step()) {
        }
    } else if (arguments.workers != 0) {
        runInTurn(streams, arguments.workers);
    } else {
        runEach(streams);
    }
    Measured measured;
    measured.cpuSeconds = cpuSecondsSoFar() - cpuBefore;
    Tally tally;
    for (const auto& stream : streams) {
        if (stream->failed()) {
            std::fprintf(stderr, "libavcodec does not decode this benchmark's own clip\n");
            return 1;
        }
        tally.add(stream->tally());
    }
    tally.tell(measured);
    printMeasured(measured);
    return 0;
}

}  // namespace
}  // namespace daedalus::bench

int main(int argc, char** argv) {
    daedalus::bench::Arguments arguments;
    if (!daedalus::bench::parseArguments(argc, argv, arguments)) return 2;
    av_log_set_level(AV_LOG_ERROR);
    return daedalus::bench::run(arguments);
}
