#include "stream_decoding.h"

#include <chrono>
#include <span>
#include <thread>

#include "daedalus/v4l2/formats.h"
#include "skip.h"

namespace daedalus::test {
namespace {

constexpr uint32_t kOutputBuffers = 4;
constexpr uint32_t kExtraCaptureBuffers = 2;

std::string failure(const char* call, int error) { return std::string(call) + ": " + std::strerror(error); }

}  // namespace

std::vector<SynthStream> streamsOfAllCodecs(unsigned frames, uint32_t width, uint32_t height) {
    std::vector<SynthStream> streams;
    for (const auto& coded : v4l2::codedFormats()) {
        SynthOptions options;
        options.seed = static_cast<uint32_t>(coded.codec) + 1;
        if (coded.codec == v4l2::Codec::H264 || coded.codec == v4l2::Codec::Hevc) options.bframes = 2;
        // There is no free encoder of VC-1; without one of another codec the test is less than it says.
        if (coded.codec == v4l2::Codec::Vc1G || coded.codec == v4l2::Codec::Vc1L) continue;
        if (auto stream = synth(coded.codec, width, height, frames, options))
            streams.push_back(*std::move(stream));
        else
            skipWithoutEncoder();
    }
    return streams;
}

std::string StreamDecoding::run() {
    std::string wrong = begin();
    auto lastProgress = std::chrono::steady_clock::now();
    size_t progress = 0;
    while (wrong.empty() && !ended_) {
        wrong = feed();
        if (!wrong.empty()) break;
        const short ready = client_.file().poll(awaited(), kPatienceMs);
        if (wrong.empty() && (ready & POLLPRI)) wrong = takeEvents();
        if (wrong.empty() && (ready & POLLOUT)) wrong = takeOutput();
        if (wrong.empty() && (ready & POLLIN)) wrong = takeCapture();
        const auto now = std::chrono::steady_clock::now();
        if (const size_t reached = fed_ + frames_ + setUp_ + ended_; reached != progress) {
            progress = reached;
            lastProgress = now;
        } else if (now - lastProgress > std::chrono::milliseconds(kPatienceMs)) {
            wrong = "no progress; poll() gives " + std::to_string(ready);
        } else if ((ready & POLLHUP) != 0) {
            wrong = "the device is gone";
        } else if ((ready & (POLLIN | POLLOUT | POLLPRI)) == 0) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }
    if (wrong.empty() && frames_ != stream_.frameMd5.size()) wrong = "frames are missing";
    return wrong.empty() ? wrong : where() + ": " + wrong;
}

std::string StreamDecoding::where() const {
    return std::string(v4l2::findCoded(stream_.codec)->name) + ", " + std::to_string(fed_) + " of " +
           std::to_string(stream_.units.size()) + " units in, " + std::to_string(frames_) + " of " +
           std::to_string(stream_.frameMd5.size()) + " frames out";
}

std::string StreamDecoding::begin() {
    if (const int error = client_.subscribe(V4L2_EVENT_SOURCE_CHANGE)) return failure("SUBSCRIBE_EVENT", error);
    if (const int error = client_.setFormat(kOutput, v4l2::findCoded(stream_.codec)->fourcc, stream_.width, stream_.height))
        return failure("S_FMT(OUTPUT)", error);
    if (const int error = client_.request(kOutput, kOutputBuffers)) return failure("REQBUFS(OUTPUT)", error);
    if (const int error = client_.streamOn(kOutput)) return failure("STREAMON(OUTPUT)", error);
    for (uint32_t i = 0; i < kOutputBuffers; ++i) freeOutput_.push_back(i);
    return {};
}

short StreamDecoding::awaited() const {
    short events = POLLPRI;
    if (freeOutput_.size() < kOutputBuffers && fed_ < stream_.units.size()) events |= POLLOUT;
    if (setUp_) events |= POLLIN;
    return events;
}

std::string StreamDecoding::feed() {
    while (!freeOutput_.empty() && fed_ < stream_.units.size()) {
        const auto& unit = stream_.units[fed_].bytes;
        const std::string_view bytes(reinterpret_cast<const char*>(unit.data()), unit.size());
        if (const int error = client_.feed(freeOutput_.back(), bytes, static_cast<long>(fed_)))
            return failure("QBUF(OUTPUT)", error);
        freeOutput_.pop_back();
        ++fed_;
    }
    if (fed_ == stream_.units.size() && setUp_ && !stopSent_) {
        stopSent_ = true;
        if (const int error = client_.command(V4L2_DEC_CMD_STOP)) return failure("DECODER_CMD(STOP)", error);
    }
    return {};
}

std::string StreamDecoding::takeEvents() {
    for (;;) {
        v4l2_event event{};
        const int error = client_.ioctl(VIDIOC_DQEVENT, &event);
        if (error == ENOENT || error == EAGAIN) return {};
        if (error != 0) return failure("DQEVENT", error);
        if (event.type != V4L2_EVENT_SOURCE_CHANGE) continue;
        if (setUp_) return "a second source change";
        if (auto wrong = setUpCapture(); !wrong.empty()) return wrong;
    }
}

std::string StreamDecoding::setUpCapture() {
    v4l2_format format = client_.format(kCapture);
    format.fmt.pix_mp.pixelformat = captureFourcc_;
    if (const int error = client_.ioctl(VIDIOC_S_FMT, &format)) return failure("S_FMT(CAPTURE)", error);
    format_ = format.fmt.pix_mp;
    if (format_.pixelformat != captureFourcc_) return "the CAPTURE format was not taken";
    v4l2_selection selection{};
    selection.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    selection.target = V4L2_SEL_TGT_COMPOSE;
    if (const int error = client_.ioctl(VIDIOC_G_SELECTION, &selection)) return failure("G_SELECTION", error);
    visible_ = selection.r;
    int32_t least = 0;
    if (const int error = client_.getControl(V4L2_CID_MIN_BUFFERS_FOR_CAPTURE, least)) return failure("G_CTRL", error);
    const uint32_t count = static_cast<uint32_t>(least) + kExtraCaptureBuffers;
    if (const int error = client_.request(kCapture, count)) return failure("REQBUFS(CAPTURE)", error);
    for (uint32_t i = 0; i < count; ++i)
        if (const int error = client_.queue(i)) return failure("QBUF(CAPTURE)", error);
    if (const int error = client_.streamOn(kCapture)) return failure("STREAMON(CAPTURE)", error);
    setUp_ = true;
    onSetUp_();
    return {};
}

std::string StreamDecoding::takeOutput() {
    for (;;) {
        const auto taken = client_.take(kOutput);
        if (taken.error == EAGAIN) return {};
        if (taken.error != 0) return failure("DQBUF(OUTPUT)", taken.error);
        freeOutput_.push_back(taken.buffer.index);
    }
}

std::string StreamDecoding::takeCapture() {
    for (;;) {
        const auto taken = client_.take(kCapture);
        if (taken.error == EAGAIN) return {};
        if (taken.error != 0) return failure("DQBUF(CAPTURE)", taken.error);
        if (taken.buffer.flags & V4L2_BUF_FLAG_ERROR) return "a frame has the ERROR flag";
        if (taken.planes[0].bytesused > 0)
            if (auto wrong = check(taken); !wrong.empty()) return wrong;
        ended_ = (taken.buffer.flags & V4L2_BUF_FLAG_LAST) != 0;
        if (ended_) return {};
        if (const int error = client_.queue(taken.buffer.index)) return failure("QBUF(CAPTURE)", error);
    }
}

std::string StreamDecoding::check(const Taken& taken) {
    if (frames_ == stream_.frameMd5.size()) return "a frame too many";
    const v4l2::RawFormat& raw = *v4l2::findRaw(captureFourcc_);
    const auto layout = v4l2::layoutOf(raw, format_.width, format_.height);
    if (layout.bytesPerLine[0] != format_.plane_fmt[0].bytesperline) return "bytesperline is not what the layout says";
    std::vector<std::byte> samples;
    for (uint32_t plane = 0; plane < 3; ++plane) {
        const bool interleaved = plane > 0 && raw.colorPlanes == 2;
        const auto& component = layout.component[interleaved ? 1 : plane];
        const auto* const memory =
            reinterpret_cast<const std::byte*>(client_.pixels(taken.buffer.index, component.memoryPlane));
        const uint32_t shift = plane > 0 ? 1 : 0;
        const uint32_t left = static_cast<uint32_t>(visible_.left) >> shift;
        const uint32_t top = static_cast<uint32_t>(visible_.top) >> shift;
        const uint32_t right = (static_cast<uint32_t>(visible_.left) + visible_.width + shift) >> shift;
        const uint32_t bottom = (static_cast<uint32_t>(visible_.top) + visible_.height + shift) >> shift;
        for (uint32_t y = top; y < bottom; ++y) {
            const std::byte* const line = memory + component.offset + component.stride * y;
            for (uint32_t x = left; x < right; ++x) samples.push_back(line[interleaved ? 2 * x + plane - 1 : x]);
        }
    }
    if (md5(samples) != stream_.frameMd5[frames_]) return "a frame's pixels differ";
    ++frames_;
    return {};
}

}  // namespace daedalus::test
