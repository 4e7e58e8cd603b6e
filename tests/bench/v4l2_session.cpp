#include "v4l2_session.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace daedalus::bench {
namespace {

constexpr uint32_t kOutput = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
constexpr uint32_t kCapture = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
constexpr uint32_t kOutputBuffers = 6;
constexpr uint32_t kExtraCaptureBuffers = 4;
constexpr uint32_t kOutputBytes = 1U << 20;

uint32_t fourccOf(const std::string& codec) {
    if (codec == "h264") return V4L2_PIX_FMT_H264;
    if (codec == "hevc") return V4L2_PIX_FMT_HEVC;
    if (codec == "vp9") return V4L2_PIX_FMT_VP9;
    return v4l2_fourcc('A', 'V', '0', '1');
}

}  // namespace

V4l2Session::~V4l2Session() {
    for (auto* buffers : {&output_, &capture_})
        for (const auto& buffer : *buffers) ::munmap(buffer.address, buffer.length);
    if (fd_ >= 0) ::close(fd_);
}

bool V4l2Session::call(unsigned long cmd, void* argument, const char* name) {
    if (::ioctl(fd_, cmd, argument) == 0) return true;
    std::fprintf(stderr, "%s %s: %s\n", clip_.codec.c_str(), name, std::strerror(errno));
    return false;
}

bool V4l2Session::open(const std::string& node) {
    openedAt_ = Clock::now();
    fd_ = ::open(node.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd_ >= 0) return true;
    std::fprintf(stderr, "%s: %s\n", node.c_str(), std::strerror(errno));
    return false;
}

bool V4l2Session::request(uint32_t type, uint32_t count, std::vector<Buffer>& buffers) {
    v4l2_requestbuffers request{};
    request.type = type;
    request.memory = V4L2_MEMORY_MMAP;
    request.count = count;
    if (!call(VIDIOC_REQBUFS, &request, "REQBUFS")) return false;
    for (uint32_t i = 0; i < request.count; ++i) {
        buffer_ = {};
        buffer_.type = type;
        buffer_.index = i;
        buffer_.m.planes = planes_.data();
        buffer_.length = VIDEO_MAX_PLANES;
        if (!call(VIDIOC_QUERYBUF, &buffer_, "QUERYBUF")) return false;
        const size_t length = planes_[0].length;
        void* const address = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, planes_[0].m.mem_offset);
        if (address == MAP_FAILED) {
            std::fprintf(stderr, "%s mmap: %s\n", clip_.codec.c_str(), std::strerror(errno));
            return false;
        }
        buffers.push_back({address, length});
    }
    return true;
}

bool V4l2Session::start(bool paced) {
    paced_ = paced;
    v4l2_event_subscription subscription{};
    subscription.type = V4L2_EVENT_SOURCE_CHANGE;
    v4l2_format format{};
    format.type = kOutput;
    format.fmt.pix_mp.pixelformat = fourccOf(clip_.codec);
    format.fmt.pix_mp.width = clip_.width;
    format.fmt.pix_mp.height = clip_.height;
    format.fmt.pix_mp.num_planes = 1;
    format.fmt.pix_mp.plane_fmt[0].sizeimage = kOutputBytes;
    auto type = static_cast<int>(kOutput);
    if (!call(VIDIOC_SUBSCRIBE_EVENT, &subscription, "SUBSCRIBE_EVENT") || !call(VIDIOC_S_FMT, &format, "S_FMT(OUTPUT)") ||
        !request(kOutput, kOutputBuffers, output_) || !call(VIDIOC_STREAMON, &type, "STREAMON(OUTPUT)"))
        return false;
    while (!paced_ && untouched_ < output_.size() && fed_ < frames_)
        if (!feed(untouched_++, Clock::now())) return false;
    return paced_ || drainIfFed();
}

bool V4l2Session::feed(uint32_t index, Clock::time_point due) {
    const auto& unit = clip_.unit(fed_);
    if (unit.size() > output_[index].length) {
        std::fprintf(stderr, "%s: an access unit of %zu bytes is larger than an OUTPUT buffer\n", clip_.codec.c_str(),
                     unit.size());
        return false;
    }
    std::memcpy(output_[index].address, unit.data(), unit.size());
    buffer_ = {};
    planes_[0] = {};
    planes_[0].bytesused = static_cast<uint32_t>(unit.size());
    buffer_.type = kOutput;
    buffer_.memory = V4L2_MEMORY_MMAP;
    buffer_.index = index;
    buffer_.timestamp.tv_sec = static_cast<time_t>(fed_);
    buffer_.m.planes = planes_.data();
    buffer_.length = 1;
    dueAt_[fed_++] = due;
    return call(VIDIOC_QBUF, &buffer_, "QBUF(OUTPUT)");
}

bool V4l2Session::drainIfFed() {
    if (fed_ < frames_ || capture_.empty()) return true;
    v4l2_decoder_cmd stop{};
    stop.cmd = V4L2_DEC_CMD_STOP;
    return call(VIDIOC_DECODER_CMD, &stop, "DECODER_CMD(STOP)");
}

V4l2Session::Fed V4l2Session::feedDue(Clock::time_point due) {
    uint32_t index = untouched_;
    if (untouched_ < output_.size()) {
        ++untouched_;
    } else {
        bool any = false;
        if (!dequeue(kOutput, any)) return Fed::Failed;
        overdue_ = !any;
        if (!any) return Fed::NoBuffer;
        index = buffer_.index;
    }
    return feed(index, due) && drainIfFed() ? Fed::Queued : Fed::Failed;
}

short V4l2Session::events() const {
    short events = capture_.empty() ? POLLPRI : POLLIN;
    if (paced_ ? overdue_ : fed_ < frames_) events |= POLLOUT;
    return events;
}

bool V4l2Session::serve(short ready) {
    if ((ready & POLLPRI) != 0 && !takeEvent()) return false;
    if ((ready & POLLIN) != 0 && !takeCapture()) return false;
    if (!paced_ && (ready & POLLOUT) != 0 && !takeOutput()) return false;
    if ((ready & (POLLHUP | POLLNVAL)) != 0) {
        std::fprintf(stderr, "%s: the daemon is gone\n", clip_.codec.c_str());
        return false;
    }
    return true;
}

bool V4l2Session::takeEvent() {
    v4l2_event event{};
    if (!call(VIDIOC_DQEVENT, &event, "DQEVENT")) return false;
    return event.type != V4L2_EVENT_SOURCE_CHANGE || !capture_.empty() || (setUpCapture() && drainIfFed());
}

bool V4l2Session::setUpCapture() {
    v4l2_format format{};
    format.type = kCapture;
    if (!call(VIDIOC_G_FMT, &format, "G_FMT(CAPTURE)")) return false;
    format.fmt.pix_mp.pixelformat = V4L2_PIX_FMT_NV12;
    v4l2_control minimum{};
    minimum.id = V4L2_CID_MIN_BUFFERS_FOR_CAPTURE;
    auto type = static_cast<int>(kCapture);
    if (!call(VIDIOC_S_FMT, &format, "S_FMT(CAPTURE)") || !call(VIDIOC_G_CTRL, &minimum, "G_CTRL") ||
        !request(kCapture, static_cast<uint32_t>(minimum.value) + kExtraCaptureBuffers, capture_))
        return false;
    for (uint32_t i = 0; i < capture_.size(); ++i)
        if (!queueCapture(i)) return false;
    return call(VIDIOC_STREAMON, &type, "STREAMON(CAPTURE)");
}

bool V4l2Session::queueCapture(uint32_t index) {
    buffer_ = {};
    planes_[0] = {};
    buffer_.type = kCapture;
    buffer_.memory = V4L2_MEMORY_MMAP;
    buffer_.index = index;
    buffer_.m.planes = planes_.data();
    buffer_.length = 1;
    return call(VIDIOC_QBUF, &buffer_, "QBUF(CAPTURE)");
}

bool V4l2Session::dequeue(uint32_t type, bool& any) {
    buffer_ = {};
    buffer_.type = type;
    buffer_.memory = V4L2_MEMORY_MMAP;
    buffer_.m.planes = planes_.data();
    buffer_.length = VIDEO_MAX_PLANES;
    any = ::ioctl(fd_, VIDIOC_DQBUF, &buffer_) == 0;
    if (any || errno == EAGAIN) return true;
    std::fprintf(stderr, "%s DQBUF: %s\n", clip_.codec.c_str(), std::strerror(errno));
    return false;
}

bool V4l2Session::takeOutput() {
    bool any = false;
    if (!dequeue(kOutput, any)) return false;
    return !any || (feed(buffer_.index, Clock::now()) && drainIfFed());
}

bool V4l2Session::takeCapture() {
    bool any = false;
    if (!dequeue(kCapture, any)) return false;
    if (!any) return true;
    const bool last = (buffer_.flags & V4L2_BUF_FLAG_LAST) != 0;
    if (planes_[0].bytesused != 0) {
        const auto now = Clock::now();
        if (++received_ == 1) tally_.firstFrame(openedAt_, now);
        tally_.frame(now);
        const auto unit = static_cast<size_t>(buffer_.timestamp.tv_sec);
        if (paced_ && unit < dueAt_.size()) tally_.latency(secondsBetween(dueAt_[unit], now) * 1e6);
        if ((buffer_.flags & V4L2_BUF_FLAG_ERROR) != 0) {
            std::fprintf(stderr, "%s: frame %u has the ERROR flag\n", clip_.codec.c_str(), received_);
            return false;
        }
    }
    ended_ = last;
    return last || queueCapture(buffer_.index);
}

}  // namespace daedalus::bench
