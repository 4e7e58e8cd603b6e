// What CUSE adds to single calls: round trips, memory that clients bring, 32-bit programs, and what such a device lacks.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "daedalus/memory/memory.h"
#include "own_memory.h"
#include "streaming.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

struct Buffer {
    v4l2_buffer buffer{};
    v4l2_plane planes[VIDEO_MAX_PLANES]{};

    Buffer(uint32_t type, uint32_t memory, uint32_t index = 0) {
        buffer.type = type;
        buffer.memory = memory;
        buffer.index = index;
        buffer.length = 1;
        buffer.m.planes = planes;
    }
};

/// ioctl(2) as a 32-bit program enters the kernel. Returns 0 or an errno.
int ioctl32(int fd, uint32_t cmd, void* argument) {
    long result = 54;  // __NR_ioctl of i386
    asm volatile("int $0x80" : "+a"(result) : "b"(fd), "c"(cmd), "d"(argument) : "memory", "r8", "r9", "r10", "r11");
    return static_cast<int>(-result);
}

/// One page below 4 GiB.
void* lowPage() { return ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0); }

}  // namespace

TEST_CASE("a call is one round trip; where memory is out of reach, one more for each level of pointers") {
    TestNode node;
    V4l2Client client(node);
    REQUIRE(client.request(kOutput, 1) == 0);
    const auto trips = [&](auto call) {
        const uint64_t before = node.cuseRoundTrips();
        CHECK(call() == 0);
        return node.cuseRoundTrips() - before;
    };
    v4l2_capability capability{};
    v4l2_format format{};
    format.type = kOutput;
    Buffer buffer(kOutput, V4L2_MEMORY_MMAP);
    v4l2_ext_control control{};
    control.id = V4L2_CID_MPEG_VIDEO_H264_PROFILE;
    v4l2_ext_controls controls{};
    controls.count = 1;
    controls.controls = &control;
    const uint64_t more = kernelReachesMemory() ? 0 : 1;
    CHECK(trips([&] { return client.ioctl(VIDIOC_LOG_STATUS, nullptr); }) == 1);
    CHECK(trips([&] { return client.ioctl(VIDIOC_QUERYCAP, &capability); }) == 1 + more);
    CHECK(trips([&] { return client.ioctl(VIDIOC_G_FMT, &format); }) == 1 + more);
    CHECK(trips([&] { return client.ioctl(VIDIOC_QUERYBUF, &buffer.buffer); }) == 1 + 2 * more);
    CHECK(trips([&] { return client.ioctl(VIDIOC_G_EXT_CTRLS, &controls); }) == 1 + 2 * more);
    CHECK(std::string(reinterpret_cast<char*>(capability.driver)) == "daedalus");
}

TEST_CASE("many controls in one call, more than the kernel copies at once") {
    TestNode node;
    V4l2Client client(node);
    std::vector<v4l2_ext_control> many(V4L2_CID_MAX_CTRLS);
    for (auto& control : many) control.id = V4L2_CID_MPEG_VIDEO_H264_PROFILE;
    v4l2_ext_controls controls{};
    controls.count = static_cast<uint32_t>(many.size());
    controls.controls = many.data();
    CHECK(client.ioctl(VIDIOC_G_EXT_CTRLS, &controls) == 0);
    CHECK(many.back().value == many.front().value);
    // Each with a payload of its own.
    v4l2_ctrl_hdr10_cll_info payload{};
    for (auto& control : many) {
        control.id = V4L2_CID_COLORIMETRY_HDR10_CLL_INFO;
        control.size = sizeof payload;
        control.ptr = &payload;
    }
    const int error = client.ioctl(VIDIOC_G_EXT_CTRLS, &controls);
    CHECK(error == (kernelReachesMemory() ? 0 : ENOMEM));
    ++controls.count;
    CHECK(client.ioctl(VIDIOC_G_EXT_CTRLS, &controls) == EINVAL);
}

TEST_CASE("USERPTR: bad addresses are refused, good ones are read and filled") {
    TestNode node;
    V4l2Client client(node);
    REQUIRE(client.subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0);
    REQUIRE(request(client, kOutput, V4L2_MEMORY_USERPTR, 2) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    const auto length = client.format(kOutput).fmt.pix_mp.plane_fmt[0].sizeimage;
    std::vector<char> coded(length, '\n');
    Buffer output(kOutput, V4L2_MEMORY_USERPTR);
    const auto queue = [&](const void* address) {
        output.planes[0] = {};
        output.planes[0].length = length;
        output.planes[0].bytesused = length;
        output.planes[0].m.userptr = reinterpret_cast<uintptr_t>(address);
        return client.ioctl(VIDIOC_QBUF, &output.buffer);
    };
    if (!kernelReachesMemory()) {
        CHECK(queue(coded.data()) == EFAULT);
        return;
    }
    CHECK(queue(nullptr) == EINVAL);
    CHECK(queue(reinterpret_cast<void*>(0x1000)) == EFAULT);
    CHECK(queue(reinterpret_cast<void*>(UINTPTR_MAX - 4096)) == EFAULT);
    const std::string text = "size 64x48\nframe 5\n";
    std::ranges::copy(text, coded.begin());
    REQUIRE(queue(coded.data()) == 0);
    REQUIRE(client.event());
    const auto size = client.format(kCapture).fmt.pix_mp.plane_fmt[0].sizeimage;
    REQUIRE(request(client, kCapture, V4L2_MEMORY_USERPTR, 1) == 0);
    std::vector<unsigned char> frame(size);
    Buffer capture(kCapture, V4L2_MEMORY_USERPTR);
    capture.planes[0].length = size;
    capture.planes[0].m.userptr = reinterpret_cast<uintptr_t>(frame.data());
    REQUIRE(client.ioctl(VIDIOC_QBUF, &capture.buffer) == 0);
    REQUIRE(client.streamOn(kCapture) == 0);
    REQUIRE((client.file().poll(POLLIN, kPatienceMs) & POLLIN) != 0);
    REQUIRE(client.ioctl(VIDIOC_DQBUF, &capture.buffer) == 0);
    CHECK(capture.planes[0].m.userptr == reinterpret_cast<uintptr_t>(frame.data()));
    CHECK(frame[0] == codec::fake::fakeSample(5, 0, 0, 0, 8));
    CHECK(frame[63] == codec::fake::fakeSample(5, 0, 63, 0, 8));
}

TEST_CASE("DMABUF: a sealed memfd is taken out of the client, anything else is refused") {
    TestNode node;
    V4l2Client client(node);
    REQUIRE(client.subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0);
    REQUIRE(request(client, kOutput, V4L2_MEMORY_DMABUF, 2) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    const auto length = client.format(kOutput).fmt.pix_mp.plane_fmt[0].sizeimage;
    Buffer output(kOutput, V4L2_MEMORY_DMABUF);
    const auto queue = [&](int fd) {
        output.planes[0] = {};
        output.planes[0].length = length;
        output.planes[0].bytesused = 64;
        output.planes[0].m.fd = fd;
        return client.ioctl(VIDIOC_QBUF, &output.buffer);
    };
    const UniqueFd file(::open("/dev/zero", O_RDWR | O_CLOEXEC));
    CHECK(queue(-1) == EINVAL);
    CHECK(queue(9999) == EINVAL);
    CHECK(queue(file.get()) == EINVAL);
    const auto memory = memory::allocate(length, "client");
    REQUIRE(memory);
    if (!kernelReachesMemory()) {
        CHECK(queue((*memory)->fd()) == EINVAL);
        return;
    }
    const std::string text = "size 64x48\n";
    std::ranges::fill((*memory)->bytes(), std::byte{'\n'});
    std::memcpy((*memory)->bytes().data(), text.data(), text.size());
    REQUIRE(queue((*memory)->fd()) == 0);
    CHECK(client.event());
}

TEST_CASE("what a CUSE device cannot do fails as with a driver that does not do it") {
    TestNode node;
    V4l2Client client(node);
    char byte = 0;
    CHECK(::read(descriptor(client), &byte, 1) == -1);
    CHECK(errno == EINVAL);
    CHECK(::write(descriptor(client), &byte, 1) == -1);
    CHECK(errno == EINVAL);
    REQUIRE(client.request(kCapture, 1) == 0);
    const auto plane = client.query(kCapture, 0).planes[0];
    CHECK(::mmap(nullptr, plane.length, PROT_READ, MAP_SHARED, descriptor(client), plane.m.mem_offset) == MAP_FAILED);
    CHECK(errno == ENODEV);
}

TEST_CASE("with an extension: EXPBUF gives the buffer's memory, and freed buffers cannot be mapped") {
    TestNode node;
    V4l2Client client(node);
    REQUIRE(client.request(kCapture, 2) == 0);
    const auto plane = client.query(kCapture, 1).planes[0];
    v4l2_exportbuffer exported{};
    exported.type = kCapture;
    exported.index = 1;
    exported.flags = O_RDWR | O_CLOEXEC;
    exported.fd = -1;
    REQUIRE(client.ioctl(VIDIOC_EXPBUF, &exported) == 0);
    const UniqueFd fd(exported.fd);
    CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
    auto* const byOffset = static_cast<char*>(client.file().mmap(plane.length, PROT_READ | PROT_WRITE, plane.m.mem_offset));
    auto* const byFd = static_cast<char*>(::mmap(nullptr, plane.length, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
    REQUIRE(byOffset != MAP_FAILED);
    REQUIRE(byFd != MAP_FAILED);
    byOffset[100] = 42;
    CHECK(byFd[100] == 42);
    ::munmap(byOffset, plane.length);
    ::munmap(byFd, plane.length);

    v4l2::RemoveBuffers removal{};
    removal.index = 0;
    removal.count = 1;
    removal.type = kCapture;
    const auto first = client.query(kCapture, 0).planes[0].m.mem_offset;
    REQUIRE(client.ioctl(VIDIOC_REMOVE_BUFS, &removal) == 0);
    CHECK(client.file().mmap(plane.length, PROT_READ, first) == MAP_FAILED);
    void* const kept = client.file().mmap(plane.length, PROT_READ, plane.m.mem_offset);
    CHECK(kept != MAP_FAILED);
    ::munmap(kept, plane.length);
    REQUIRE(client.request(kCapture, 0) == 0);
    CHECK(client.file().mmap(plane.length, PROT_READ, plane.m.mem_offset) == MAP_FAILED);
}

TEST_CASE("a 32-bit program gets ENOTTY, and its memory is left alone") {
    TestNode node;
    V4l2Client client(node);
    void* const page = lowPage();
    REQUIRE(page != MAP_FAILED);
    std::memset(page, 0x5a, 4096);
    CHECK(ioctl32(descriptor(client), static_cast<uint32_t>(VIDIOC_QUERYCAP), page) == ENOTTY);
    CHECK(ioctl32(descriptor(client), static_cast<uint32_t>(VIDIOC_G_FMT), page) == ENOTTY);
    const auto* const bytes = static_cast<const unsigned char*>(page);
    CHECK(std::all_of(bytes, bytes + 4096, [](unsigned char each) { return each == 0x5a; }));
    CHECK(client.ioctl(VIDIOC_QUERYCAP, page) == 0);
    ::munmap(page, 4096);
}

TEST_CASE("a client that dies in a call, or with buffers queued, leaves nothing behind") {
    TestNode node;
    V4l2Client observer(node);
    const auto priority = [&] {
        uint32_t highest = 0;
        CHECK(observer.ioctl(VIDIOC_G_PRIORITY, &highest) == 0);
        return highest;
    };
    for (int round = 0; round < 20; ++round) {
        const pid_t child = ::fork();
        if (child == 0) {
            // Only system calls: the fork of a process with threads.
            const int fd = ::open("/dev/video250", O_RDWR | O_CLOEXEC);
            uint32_t highest = V4L2_PRIORITY_RECORD;
            v4l2_event event{};
            if (fd < 0 || ::ioctl(fd, VIDIOC_S_PRIORITY, &highest) != 0) ::_exit(1);
            ::ioctl(fd, VIDIOC_DQEVENT, &event);
            ::_exit(2);
        }
        REQUIRE(eventually([&] { return priority() == V4L2_PRIORITY_RECORD; }));
        ::kill(child, SIGKILL);
        int status = 0;
        REQUIRE(eventually([&] { return ::waitpid(child, &status, WNOHANG) == child; }));
        CHECK(WIFSIGNALED(status));
        CHECK(eventually([&] { return priority() == V4L2_PRIORITY_INTERACTIVE; }));
    }
}
