// A client that no preload library reaches, for it is linked statically: decodes an IVF file of VP8 through a node by MMAP
// buffers and writes the frames (YU12, tightly packed) to a file. Usage: static_client NODE IVF OUTPUT
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

constexpr uint32_t kOutput = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
constexpr uint32_t kCapture = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
constexpr size_t kIvfHeader = 32;
constexpr size_t kFrameHeader = 12;

int node = -1;

bool call(unsigned long cmd, void* argument, const char* name) {
    int result = 0;
    do result = ::ioctl(node, cmd, argument);
    while (result < 0 && errno == EINTR);
    if (result == 0) return true;
    std::perror(name);
    std::exit(1);
}

/// A queue of single-plane MMAP buffers.
struct Queue {
    uint32_t type;
    std::vector<void*> memory{};

    v4l2_buffer describe(v4l2_plane& plane, uint32_t index) const {
        v4l2_buffer buffer{};
        buffer.type = type;
        buffer.memory = V4L2_MEMORY_MMAP;
        buffer.index = index;
        buffer.m.planes = &plane;
        buffer.length = 1;
        return buffer;
    }
    void allocate(uint32_t count) {
        v4l2_requestbuffers request{};
        request.count = count;
        request.type = type;
        request.memory = V4L2_MEMORY_MMAP;
        call(VIDIOC_REQBUFS, &request, "REQBUFS");
        for (uint32_t i = 0; i < request.count; ++i) {
            v4l2_plane plane{};
            v4l2_buffer buffer = describe(plane, i);
            call(VIDIOC_QUERYBUF, &buffer, "QUERYBUF");
            memory.push_back(::mmap(nullptr, plane.length, PROT_READ | PROT_WRITE, MAP_SHARED, node, plane.m.mem_offset));
            if (memory.back() == MAP_FAILED) std::perror("mmap"), std::exit(1);
        }
    }
    void queue(uint32_t index, uint32_t used) const {
        v4l2_plane plane{};
        plane.bytesused = used;
        v4l2_buffer buffer = describe(plane, index);
        call(VIDIOC_QBUF, &buffer, "QBUF");
    }
    v4l2_buffer dequeue(v4l2_plane& plane) const {
        v4l2_buffer buffer = describe(plane, 0);
        call(VIDIOC_DQBUF, &buffer, "DQBUF");
        return buffer;
    }
    void on() const {
        uint32_t argument = type;
        call(VIDIOC_STREAMON, &argument, "STREAMON");
    }
};

/// The frames of an IVF file, one after the other.
class Frames {
public:
    explicit Frames(const char* path) {
        std::FILE* file = std::fopen(path, "rb");
        if (!file) std::perror(path), std::exit(1);
        std::array<char, 4096> piece;
        for (size_t size = 0; (size = std::fread(piece.data(), 1, piece.size(), file)) > 0;)
            bytes_.insert(bytes_.end(), piece.begin(), piece.begin() + static_cast<ptrdiff_t>(size));
        std::fclose(file);
    }
    /// Copies the next one; 0 after the last.
    uint32_t next(void* into) {
        uint32_t size = 0;
        if (at_ + kFrameHeader > bytes_.size()) return 0;
        std::memcpy(&size, bytes_.data() + at_, sizeof size);
        std::memcpy(into, bytes_.data() + at_ + kFrameHeader, size);
        at_ += kFrameHeader + size;
        return size;
    }

private:
    std::vector<char> bytes_;
    size_t at_ = kIvfHeader;
};

void drain() {
    v4l2_decoder_cmd stop{};
    stop.cmd = V4L2_DEC_CMD_STOP;
    call(VIDIOC_DECODER_CMD, &stop, "DECODER_CMD");
}

void waitForFormat() {
    pollfd waiting{node, POLLPRI, 0};
    if (::poll(&waiting, 1, 20'000) != 1) std::fprintf(stderr, "no source change within 20 s\n"), std::exit(1);
    v4l2_event event{};
    call(VIDIOC_DQEVENT, &event, "DQEVENT");
    v4l2_format format{};
    format.type = kCapture;
    call(VIDIOC_G_FMT, &format, "G_FMT");
    format.fmt.pix_mp.pixelformat = V4L2_PIX_FMT_YUV420;
    call(VIDIOC_S_FMT, &format, "S_FMT");
}

/// Feeds and drains until the last frame; how many there were.
int decode(Queue& output, Queue& capture, Frames& frames, std::FILE* to) {
    bool fed = false;
    for (int count = 0;;) {
        pollfd ready{node, static_cast<short>(POLLIN | (fed ? 0 : POLLOUT)), 0};
        if (::poll(&ready, 1, 20'000) != 1) std::fprintf(stderr, "nothing within 20 s\n"), std::exit(1);
        if (!fed && (ready.revents & POLLOUT)) {
            v4l2_plane plane{};
            const v4l2_buffer buffer = output.dequeue(plane);
            const uint32_t size = frames.next(output.memory[buffer.index]);
            if (size > 0) output.queue(buffer.index, size);
            fed = size == 0;
            if (fed) drain();
        }
        if (!(ready.revents & POLLIN)) continue;
        v4l2_plane plane{};
        const v4l2_buffer buffer = capture.dequeue(plane);
        if (plane.bytesused > 0) {
            ++count;
            std::fwrite(capture.memory[buffer.index], 1, plane.bytesused, to);
        }
        if (buffer.flags & V4L2_BUF_FLAG_LAST) return count;
        capture.queue(buffer.index, 0);
    }
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 4) return 2;
    node = ::open(arguments[1], O_RDWR | O_CLOEXEC);
    std::FILE* const to = std::fopen(arguments[3], "wb");
    if (node < 0 || !to) return std::perror("open"), 1;
    Frames frames(arguments[2]);

    v4l2_event_subscription change{};
    change.type = V4L2_EVENT_SOURCE_CHANGE;
    call(VIDIOC_SUBSCRIBE_EVENT, &change, "SUBSCRIBE_EVENT");
    v4l2_format format{};
    format.type = kOutput;
    format.fmt.pix_mp.pixelformat = V4L2_PIX_FMT_VP8;
    call(VIDIOC_S_FMT, &format, "S_FMT");
    Queue output{kOutput};
    output.allocate(4);
    output.on();
    for (uint32_t i = 0; i < output.memory.size(); ++i)
        if (const uint32_t size = frames.next(output.memory[i]); size > 0) output.queue(i, size);
    waitForFormat();
    Queue capture{kCapture};
    capture.allocate(4);
    for (uint32_t i = 0; i < capture.memory.size(); ++i) capture.queue(i, 0);
    capture.on();
    std::printf("%d frames\n", decode(output, capture, frames, to));
    return std::fclose(to) == 0 ? 0 : 1;
}
