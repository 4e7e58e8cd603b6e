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

TEST_CASE("a 32-bit program is served: its structs are those of i386") {
    TestNode node;
    V4l2Client client(node);
    const int fd = descriptor(client);
    void* const page = lowPage();
    REQUIRE(page != MAP_FAILED);
    auto* const words = static_cast<uint32_t*>(page);
    uint32_t* const plane = words + 64;
    const auto address = [](const uint32_t* word) { return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(word)); };
    const auto call = [&](unsigned long cmd, uint32_t size) {
        return ioctl32(fd, _IOC(_IOC_DIR(cmd), _IOC_TYPE(cmd), _IOC_NR(cmd), size), page);
    };
    const auto clear = [&] { std::memset(page, 0, 4096); };

    // The same struct in both worlds.
    clear();
    CHECK(call(VIDIOC_QUERYCAP, sizeof(v4l2_capability)) == 0);
    CHECK(std::string(static_cast<char*>(page)) == "daedalus");

    clear();
    words[0] = kOutput;
    words[1] = 640;
    words[2] = 480;
    words[3] = V4L2_PIX_FMT_H264;
    words[6] = 65536;                                // plane_fmt[0].sizeimage
    reinterpret_cast<uint8_t*>(words)[4 + 180] = 1;  // num_planes
    CHECK(call(VIDIOC_S_FMT, 204) == 0);
    CHECK((words[1] == 640 && words[2] == 480 && words[6] >= 65536));
    REQUIRE(client.request(kOutput, 3) == 0);

    // Times of 32 bits, and of 64; one below zero comes back as it went in. And nothing is written beyond the struct.
    for (const uint32_t time : {1U, 2U}) {
        const uint32_t size = 60 + 8 * time;
        const auto describe = [&] {
            clear();
            words[0] = time;
            words[1] = kOutput;
            words[5 + 2 * time + 5] = V4L2_MEMORY_MMAP;
            words[5 + 2 * time + 6] = address(plane);
            words[5 + 2 * time + 7] = 1;
            words[size / 4] = 0x5a5a5a5a;
            plane[15] = 0x5a5a5a5a;
        };
        describe();
        REQUIRE(call(VIDIOC_QUERYBUF, size) == 0);
        CHECK((words[0] == time && words[5 + 2 * time + 6] == address(plane) && plane[1] >= 65536));
        CHECK((words[size / 4] == 0x5a5a5a5a && plane[15] == 0x5a5a5a5a));
        describe();
        words[5] = static_cast<uint32_t>(-3);
        if (time == 2) words[6] = UINT32_MAX;
        words[5 + time] = 250;
        plane[0] = 4;
        plane[1] = 65536;
        REQUIRE(call(VIDIOC_QBUF, size) == 0);
        describe();
        REQUIRE(call(VIDIOC_QUERYBUF, size) == 0);
        CHECK((words[5] == static_cast<uint32_t>(-3) && words[5 + time] == 250 && plane[0] == 4));
    }

    clear();
    words[1] = 1;
    words[5] = address(words + 32);
    words[32] = V4L2_CID_MIN_BUFFERS_FOR_CAPTURE;
    CHECK(call(VIDIOC_G_EXT_CTRLS, 24) == 0);
    CHECK(words[35] > 0);
    words[5] = 16;
    CHECK(call(VIDIOC_G_EXT_CTRLS, 24) == EFAULT);
    CHECK(call(VIDIOC_DQBUF, 64) == ENOTTY);

    clear();
    words[0] = V4L2_EVENT_CTRL;
    words[1] = V4L2_CID_MIN_BUFFERS_FOR_CAPTURE;
    words[2] = V4L2_EVENT_SUB_FL_SEND_INITIAL;
    REQUIRE(call(VIDIOC_SUBSCRIBE_EVENT, sizeof(v4l2_event_subscription)) == 0);
    clear();
    CHECK(call(VIDIOC_DQEVENT, 120) == 0);
    CHECK((words[0] == V4L2_EVENT_CTRL && words[21] == V4L2_CID_MIN_BUFFERS_FOR_CAPTURE));
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
