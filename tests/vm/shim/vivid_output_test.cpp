// Pictures that the node decoded go to a display: vivid's output imports the node's own dma-bufs, without a copy, and what it
// shows comes back by vivid's loop to its input. Runs as root in the VM, with the shim and vivid loaded and the daemon at
// $DAEDALUS_NODE. $DAEDALUS_TEST_STREAM: H.264 with delimiters, 1280x720, which is vivid's size too; what was seen goes to
// $DAEDALUS_TEST_PICTURES, as NV12.
#include <poll.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <iterator>
#include <map>
#include <vector>

#include "fd_client.h"
#include "v4l2_client.h"
#include "vivid.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr uint32_t kWidth = 1280;
constexpr uint32_t kHeight = 720;
constexpr uint32_t kPictureBytes = kWidth * kHeight * 3 / 2;
constexpr uint32_t kPictures = 4;
constexpr uint32_t kAccessUnits = 8;
constexpr uint32_t kHdmiInput = 3;
constexpr uint32_t kHdmiOutput = 1;
/// Pictures that vivid may show before it comes to the one that was queued.
constexpr int kTurns = 60;

std::string fromEnvironment(const char* name) {
    const char* const value = std::getenv(name);
    REQUIRE(value != nullptr);
    return value;
}

std::vector<std::string> accessUnits(const std::string& path) {
    const std::string delimiter("\0\0\0\1\x09", 5);
    std::ifstream file(path, std::ios::binary);
    const std::string all{std::istreambuf_iterator<char>(file), {}};
    std::vector<std::string> units;
    for (size_t at = 0; at < all.size() && units.size() < kAccessUnits;) {
        const size_t next = std::min(all.find(delimiter, at + 1), all.size());
        units.push_back(all.substr(at, next - at));
        at = next;
    }
    return units;
}

/// The first pictures of the stream, decoded into the node's own buffers.
class Decoder {
public:
    Decoder()
        : fd_(::open(fromEnvironment("DAEDALUS_NODE").c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK)),
          client_(std::make_unique<FdClient>(UniqueFd(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0)))) {
        REQUIRE(fd_);
    }
    void decode(const std::vector<std::string>& units) {
        REQUIRE(client_.subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0);
        REQUIRE(client_.setFormat(kOutput, V4L2_PIX_FMT_H264, kWidth, kHeight) == 0);
        REQUIRE(client_.request(kOutput, kAccessUnits) == 0);
        REQUIRE(client_.streamOn(kOutput) == 0);
        for (uint32_t i = 0; i < units.size(); ++i) REQUIRE(client_.feed(i, units[i]) == 0);
        REQUIRE(client_.event());
        REQUIRE(client_.setFormat(kCapture, V4L2_PIX_FMT_NV12, kWidth, kHeight) == 0);
        const v4l2_format format = client_.format(kCapture);
        REQUIRE(format.fmt.pix_mp.plane_fmt[0].bytesperline == kWidth);
        REQUIRE(format.fmt.pix_mp.plane_fmt[0].sizeimage >= kPictureBytes);
        REQUIRE(client_.request(kCapture, kPictures) == 0);
        for (uint32_t i = 0; i < kPictures; ++i) REQUIRE(client_.queue(i) == 0);
        REQUIRE(client_.streamOn(kCapture) == 0);
        for (uint32_t i = 0; i < kPictures; ++i) {
            const Taken taken = client_.await(kCapture);
            REQUIRE(taken.error == 0);
            REQUIRE(taken.planes[0].bytesused >= kPictureBytes);
            order_.push_back(taken.buffer.index);
        }
    }
    /// Picture number `number` in display order, as a dma-buf.
    UniqueFd dmabufOf(uint32_t number) {
        v4l2_exportbuffer request{};
        request.type = kCapture;
        request.index = order_.at(number);
        request.flags = O_RDWR | O_CLOEXEC;
        REQUIRE(client_.ioctl(VIDIOC_EXPBUF, &request) == 0);
        return UniqueFd(request.fd);
    }
    const unsigned char* pixels(uint32_t number) { return client_.pixels(order_.at(number)); }

private:
    UniqueFd fd_;
    V4l2Client client_;
    std::vector<uint32_t> order_;
};

/// One end of vivid's loop.
class VividQueue {
public:
    VividQueue(const char* name, uint32_t type, uint32_t memory) : fd_(openVivid(name)), type_(type), memory_(memory) {
        REQUIRE(fd_);
    }
    [[nodiscard]] int fd() const { return fd_.get(); }
    void allocate(uint32_t count) {
        v4l2_format format{};
        format.type = type_;
        format.fmt.pix.width = kWidth;
        format.fmt.pix.height = kHeight;
        format.fmt.pix.pixelformat = V4L2_PIX_FMT_NV12;
        REQUIRE(command(fd(), VIDIOC_S_FMT, &format) == 0);
        REQUIRE(format.fmt.pix.width == kWidth);
        REQUIRE(format.fmt.pix.height == kHeight);
        REQUIRE(format.fmt.pix.pixelformat == V4L2_PIX_FMT_NV12);
        REQUIRE(format.fmt.pix.sizeimage == kPictureBytes);
        v4l2_requestbuffers request{};
        request.count = count;
        request.type = type_;
        request.memory = memory_;
        REQUIRE(command(fd(), VIDIOC_REQBUFS, &request) == 0);
        REQUIRE(request.count == count);
    }
    /// `dmabuf`: for memory that is not vivid's own.
    void queue(uint32_t index, int dmabuf = -1) {
        v4l2_buffer buffer = described(index);
        if (memory_ == V4L2_MEMORY_DMABUF) buffer.m.fd = dmabuf;
        if (type_ == V4L2_BUF_TYPE_VIDEO_OUTPUT) buffer.bytesused = kPictureBytes;
        REQUIRE(command(fd(), VIDIOC_QBUF, &buffer) == 0);
    }
    uint32_t dequeue() {
        v4l2_buffer buffer = described(0);
        REQUIRE(command(fd(), VIDIOC_DQBUF, &buffer) == 0);
        CHECK(!(buffer.flags & V4L2_BUF_FLAG_ERROR));
        return buffer.index;
    }
    void streamOn() { REQUIRE(command(fd(), VIDIOC_STREAMON, &type_) == 0); }
    void streamOff() { REQUIRE(command(fd(), VIDIOC_STREAMOFF, &type_) == 0); }
    uint32_t offsetOf(uint32_t index) {
        v4l2_buffer buffer = described(index);
        REQUIRE(command(fd(), VIDIOC_QUERYBUF, &buffer) == 0);
        return buffer.m.offset;
    }

private:
    [[nodiscard]] v4l2_buffer described(uint32_t index) const {
        v4l2_buffer buffer{};
        buffer.index = index;
        buffer.type = type_;
        buffer.memory = memory_;
        return buffer;
    }
    UniqueFd fd_;
    uint32_t type_;
    uint32_t memory_;
};

/// vivid's input, which shows what its output was given.
class Screen {
public:
    Screen() {
        uint32_t input = kHdmiInput;
        REQUIRE(command(queue_.fd(), VIDIOC_S_INPUT, &input) == 0);
        REQUIRE(setVividControl(queue_.fd(), "OSD Text Mode", 2) == 0);
        REQUIRE(setVividControl(queue_.fd(), "Loop Video", 1) == 0);
        queue_.allocate(kBuffers);
        for (uint32_t i = 0; i < kBuffers; ++i) {
            memory_.push_back(std::make_unique<Mapping>(queue_.fd(), queue_.offsetOf(i), kPictureBytes));
            REQUIRE(memory_.back()->error() == 0);
            queue_.queue(i);
        }
        queue_.streamOn();
    }
    /// Waits for a picture that equals `wanted`, and keeps it. False if none came.
    bool shows(const unsigned char* wanted, std::string& seen) {
        for (int turn = 0; turn < kTurns; ++turn) {
            const uint32_t index = queue_.dequeue();
            const auto* const bytes = reinterpret_cast<const char*>(const_cast<uint32_t*>(memory_[index]->words()));
            seen.assign(bytes, kPictureBytes);
            queue_.queue(index);
            if (std::memcmp(seen.data(), wanted, kPictureBytes) == 0) return true;
        }
        return false;
    }

private:
    static constexpr uint32_t kBuffers = 4;
    VividQueue queue_{"vivid-000-vid-cap", V4L2_BUF_TYPE_VIDEO_CAPTURE, V4L2_MEMORY_MMAP};
    std::vector<std::unique_ptr<Mapping>> memory_;
};

}  // namespace

TEST_CASE("vivid's output shows the pictures in the node's dma-bufs") {
    const std::vector<std::string> units = accessUnits(fromEnvironment("DAEDALUS_TEST_STREAM"));
    REQUIRE(units.size() == kAccessUnits);
    Decoder decoder;
    decoder.decode(units);

    VividQueue display("vivid-000-vid-out", V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_MEMORY_DMABUF);
    uint32_t output = kHdmiOutput;
    REQUIRE(command(display.fd(), VIDIOC_S_OUTPUT, &output) == 0);
    display.allocate(kPictures);
    std::vector<UniqueFd> dmabufs;
    for (uint32_t i = 0; i < kPictures; ++i) dmabufs.push_back(decoder.dmabufOf(i));
    // vivid streams with two; the one that was queued last stays on the screen until another comes.
    display.queue(0, dmabufs[0].get());
    display.queue(1, dmabufs[0].get());
    display.streamOn();
    Screen screen;
    std::ofstream pictures(fromEnvironment("DAEDALUS_TEST_PICTURES"), std::ios::binary);
    for (uint32_t i = 0; i < kPictures; ++i) {
        INFO("picture " << i);
        if (i > 0) display.queue(display.dequeue(), dmabufs[i].get());
        std::string seen;
        CHECK(screen.shows(decoder.pixels(i), seen));
        pictures.write(seen.data(), static_cast<std::streamsize>(seen.size()));
    }
    display.streamOff();
}
