// What single calls on a V4L2 device file cost: QUERYCAP, and QBUF and DQBUF of a buffer that is ready, without the wait for
// it. Works on a decoder (its OUTPUT queue; with MMAP or USERPTR) and on a capture device (vivid; with MMAP).
// Usage: device_calls NODE [userptr]
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kBatches = 9;
constexpr int kCalls = 300;
constexpr int kPairs = 60;
constexpr uint32_t kPayloadBytes = 64;

double microseconds(Clock::duration time) { return std::chrono::duration<double, std::micro>(time).count(); }

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values.at(values.size() / 2);
}

class Device {
public:
    Device(const char* path, uint32_t memory) : fd_(::open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK)), memory_(memory) {
        v4l2_capability capability{};
        if (fd_ < 0 || !call(VIDIOC_QUERYCAP, &capability)) return;
        decoder_ = (capability.device_caps & V4L2_CAP_VIDEO_M2M_MPLANE) != 0;
        type_ = decoder_ ? V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE;
        good_ = true;
    }
    ~Device() { ::close(fd_); }
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    [[nodiscard]] bool good() const { return good_; }

    double querycap() {
        v4l2_capability capability{};
        const auto began = Clock::now();
        for (int i = 0; i < kCalls; ++i) good_ = good_ && call(VIDIOC_QUERYCAP, &capability);
        return microseconds(Clock::now() - began) / kCalls;
    }

    bool start() {
        v4l2_format format{};
        format.type = type_;
        v4l2_requestbuffers request{};
        request.type = type_;
        request.memory = memory_;
        request.count = 2;
        if (!call(VIDIOC_G_FMT, &format) || !call(VIDIOC_REQBUFS, &request)) return good_ = false;
        if (decoder_) payload_.assign(format.fmt.pix_mp.plane_fmt[0].sizeimage, 0);
        for (uint32_t i = 0; i < 2 && good_; ++i) queue(i);
        return good_ = good_ && call(VIDIOC_STREAMON, &type_);
    }

    /// Microseconds within DQBUF and QBUF of one buffer.
    double pair() {
        pollfd one{fd_, static_cast<short>(decoder_ ? POLLOUT : POLLIN), 0};
        good_ = good_ && ::poll(&one, 1, 5000) == 1;
        v4l2_buffer buffer = prepared(0);
        const auto began = Clock::now();
        good_ = good_ && call(VIDIOC_DQBUF, &buffer);
        queue(buffer.index);
        return microseconds(Clock::now() - began);
    }

private:
    bool call(unsigned long cmd, void* argument) { return ::ioctl(fd_, cmd, argument) == 0; }
    v4l2_buffer prepared(uint32_t index) {
        v4l2_buffer buffer{};
        buffer.type = type_;
        buffer.memory = memory_;
        buffer.index = index;
        if (!decoder_) return buffer;
        plane_ = {};
        buffer.length = 1;
        buffer.m.planes = &plane_;
        plane_.bytesused = kPayloadBytes;
        if (memory_ == V4L2_MEMORY_MMAP) return buffer;
        plane_.length = static_cast<uint32_t>(payload_.size());
        plane_.m.userptr = reinterpret_cast<uintptr_t>(payload_.data());
        return buffer;
    }
    void queue(uint32_t index) {
        v4l2_buffer buffer = prepared(index);
        good_ = good_ && call(VIDIOC_QBUF, &buffer);
    }

    int fd_;
    uint32_t memory_;
    bool decoder_ = false;
    bool good_ = false;
    uint32_t type_ = 0;
    v4l2_plane plane_{};
    std::vector<char> payload_;
};

}  // namespace

int main(int argc, char** argv) {
    const bool userptr = argc == 3 && std::strcmp(argv[2], "userptr") == 0;
    if (argc != 2 && !userptr) return std::fputs("usage: device_calls NODE [userptr]\n", stderr), 2;
    Device device(argv[1], userptr ? V4L2_MEMORY_USERPTR : V4L2_MEMORY_MMAP);
    if (!device.good()) return std::perror(argv[1]), 1;
    std::vector<double> querycaps;
    for (int i = 0; i < kBatches; ++i) querycaps.push_back(device.querycap());
    std::vector<double> pairs;
    device.start();
    for (int i = 0; i < kPairs && device.good(); ++i) pairs.push_back(device.pair());
    if (!device.good()) return std::perror(argv[1]), 1;
    // Microseconds: medians of batches, and of pairs.
    std::printf("%.1f %.1f\n", median(querycaps), median(pairs));
    return 0;
}
