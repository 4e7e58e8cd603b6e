// Other drivers import what the shim exports. Runs as root in the VM, with cuse, the shim, vivid and vgem loaded; [small] with
// a vivid that wants its memory in one piece (allocators=1).
#include <linux/dma-buf.h>
#include <linux/videodev2.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <vector>

#include "shim_client.h"
#include "vivid.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

/// What the kernel's DRM interface has for imports; its header comes with libdrm only.
struct PrimeHandle {
    uint32_t handle;
    uint32_t flags;
    int32_t fd;
};
struct GemClose {
    uint32_t handle;
    uint32_t pad;
};
constexpr unsigned long kPrimeFdToHandle = _IOWR('d', 0x2e, PrimeHandle);
constexpr unsigned long kGemClose = _IOW('d', 0x09, GemClose);

/// A dma-buf over memfds of the test.
struct Exporter {
    UniqueFd control = openControl();
    ToyNode node;
    int error = node.attach(control.get());
    UniqueFd client = node.open();

    UniqueFd dmabufOf(int memory) {
        HeldCall call(control.get(), client.get());
        REQUIRE(call.give(memory, DAEDALUS_SHIM_GIVE_DMABUF, O_RDWR | O_CLOEXEC) == 0);
        REQUIRE(call.release() == 0);
        return call.given();
    }
};

/// Kilobytes of shared memory in the system.
long sharedMemory() {
    std::ifstream info("/proc/meminfo");
    for (std::string line; std::getline(info, line);) {
        if (line.starts_with("Shmem:")) return std::stol(line.substr(6));
    }
    return -1;
}

/// vivid's capture device, with a picture that does not move and has no text on it.
class Vivid {
public:
    /// `input`: 0 is a webcam, 3 an HDMI connector, whose pictures may have any size.
    Vivid(int input, uint32_t width, uint32_t height) : fd_(openVivid("vivid-000-vid-cap")) {
        REQUIRE(fd_);
        REQUIRE(command(fd_.get(), VIDIOC_S_INPUT, &input) == 0);
        REQUIRE(setVividControl(fd_.get(), "OSD Text Mode", 2) == 0);
        REQUIRE(setVividControl(fd_.get(), "Insert SAV Code in Image", 0) == 0);
        v4l2_format format{};
        format.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        format.fmt.pix.width = width;
        format.fmt.pix.height = height;
        format.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
        REQUIRE(command(fd_.get(), VIDIOC_S_FMT, &format) == 0);
        size_ = format.fmt.pix.sizeimage;
    }

    [[nodiscard]] size_t size() const { return size_; }

    /// Captures one picture into the dma-buf, or into memory of vivid's own (-1), which is returned then.
    std::vector<char> capture(int dmabuf) {
        v4l2_requestbuffers request{};
        request.count = 1;
        request.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        request.memory = dmabuf < 0 ? V4L2_MEMORY_MMAP : V4L2_MEMORY_DMABUF;
        REQUIRE(command(fd_.get(), VIDIOC_REQBUFS, &request) == 0);
        // vivid wants two buffers; the other one is its own or the same memory again.
        std::vector<char> picture;
        int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        for (uint32_t i = 0; i < request.count; ++i) {
            v4l2_buffer buffer = describe(request, i);
            if (dmabuf < 0) REQUIRE(command(fd_.get(), VIDIOC_QUERYBUF, &buffer) == 0);
            if (dmabuf >= 0) buffer.m.fd = dmabuf;
            REQUIRE(command(fd_.get(), VIDIOC_QBUF, &buffer) == 0);
        }
        REQUIRE(command(fd_.get(), VIDIOC_STREAMON, &type) == 0);
        v4l2_buffer done = describe(request, 0);
        REQUIRE(command(fd_.get(), VIDIOC_DQBUF, &done) == 0);
        CHECK(!(done.flags & V4L2_BUF_FLAG_ERROR));
        if (dmabuf < 0) {
            const Mapping mapping(fd_.get(), done.m.offset, done.length);
            REQUIRE(mapping.error() == 0);
            picture.resize(size_);
            std::memcpy(picture.data(), const_cast<uint32_t*>(mapping.words()), size_);
        }
        REQUIRE(command(fd_.get(), VIDIOC_STREAMOFF, &type) == 0);
        request.count = 0;
        REQUIRE(command(fd_.get(), VIDIOC_REQBUFS, &request) == 0);
        return picture;
    }

private:
    static v4l2_buffer describe(const v4l2_requestbuffers& request, uint32_t index) {
        v4l2_buffer buffer{};
        buffer.index = index;
        buffer.type = request.type;
        buffer.memory = request.memory;
        return buffer;
    }

    UniqueFd fd_;
    size_t size_ = 0;
};

void vividCaptures(int input, uint32_t width, uint32_t height) {
    Exporter exporter;
    REQUIRE(exporter.error == 0);
    Vivid vivid(input, width, height);
    const UniqueFd memory = makeMemory(vivid.size());
    const UniqueFd dmabuf = exporter.dmabufOf(memory.get());
    vivid.capture(dmabuf.get());
    const Mapping ours(memory.get(), 0, vivid.size());
    const std::vector<char> wanted = vivid.capture(-1);
    CHECK(std::memcmp(wanted.data(), const_cast<uint32_t*>(ours.words()), wanted.size()) == 0);
    CHECK(std::count(wanted.begin(), wanted.end(), wanted[0]) < static_cast<long>(wanted.size()));
}

}  // namespace

TEST_CASE("vivid captures into a dma-buf that the kernel maps", "[large]") { vividCaptures(0, 640, 360); }
TEST_CASE("vivid captures into a dma-buf of one page that its device maps", "[small]") { vividCaptures(3, 32, 32); }

TEST_CASE("a dma-buf's pages stay while a device has them, and go with it", "[large]") {
    constexpr size_t kSize = 64 << 20;
    const UniqueFd vgem(::open("/dev/dri/card0", O_RDWR | O_CLOEXEC));
    REQUIRE(vgem);
    Exporter exporter;
    const long before = sharedMemory();
    {
        UniqueFd memory = makeMemory(kSize);
        UniqueFd dmabuf = exporter.dmabufOf(memory.get());
        CHECK(sharedMemory() - before < static_cast<long>(kSize >> 11));
        PrimeHandle prime{0, 0, dmabuf.get()};
        REQUIRE(command(vgem.get(), kPrimeFdToHandle, &prime) == 0);
        // The kernel's counter lags behind by some pages.
        CHECK(sharedMemory() - before >= static_cast<long>(kSize >> 10) - 1024);
        // Nothing that a device may write to is taken away from under it.
        REQUIRE(::fallocate(memory.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kSize) == 0);
        dma_buf_sync sync{DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW};
        CHECK(command(dmabuf.get(), DMA_BUF_IOCTL_SYNC, &sync) == 0);
        memory.reset();
        dmabuf.reset();
        const GemClose close{prime.handle, 0};
        CHECK(command(vgem.get(), kGemClose, &close) == 0);
    }
    CHECK(sharedMemory() - before < static_cast<long>(kSize >> 11));
}
