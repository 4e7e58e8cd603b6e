// S18, S19: memory that a client brings, and memory that it takes away with it.
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "decoding.h"
#include "own_memory.h"
#include "skip.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

/// True where the node can reach this process's memory; the tests over CUSE also run where a filter of the kernel forbids it.
bool isReached() { return TestNode::transport() != "cuse" || kernelReachesMemory(); }

/// QBUF or PREPARE_BUF of a buffer of one plane.
int handIn(V4l2Client& client, uint32_t type, uint32_t memory, v4l2_plane plane, unsigned long call = VIDIOC_QBUF) {
    v4l2_buffer buffer{};
    buffer.type = type;
    buffer.memory = memory;
    buffer.length = 1;
    buffer.m.planes = &plane;
    return client.ioctl(call, &buffer);
}

v4l2_plane userptr(unsigned char* address, size_t length) {
    v4l2_plane plane{};
    plane.m.userptr = reinterpret_cast<unsigned long>(address);
    plane.length = static_cast<uint32_t>(length);
    return plane;
}

/// A plane that another open of the node has exported: its descriptor, and this process's view of it.
class Exported {
public:
    Exported(V4l2Client& owner, uint32_t type) {
        v4l2_exportbuffer exported{};
        exported.type = type;
        exported.flags = O_RDWR | O_CLOEXEC;
        REQUIRE(owner.ioctl(VIDIOC_EXPBUF, &exported) == 0);
        fd_ = UniqueFd(exported.fd);
        CHECK((::fcntl(fd_.get(), F_GETFD) & FD_CLOEXEC) != 0);
        length_ = owner.query(type, 0).planes[0].length;
        void* const address = ::mmap(nullptr, length_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
        REQUIRE(address != MAP_FAILED);
        bytes_ = static_cast<unsigned char*>(address);
    }
    ~Exported() { ::munmap(bytes_, length_); }
    Exported(const Exported&) = delete;
    Exported& operator=(const Exported&) = delete;

    [[nodiscard]] unsigned char* bytes() const { return bytes_; }
    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] v4l2_plane plane(uint32_t length = 0) const {
        v4l2_plane plane{};
        plane.m.fd = fd_.get();
        plane.length = length;
        return plane;
    }

private:
    UniqueFd fd_;
    size_t length_ = 0;
    unsigned char* bytes_ = nullptr;
};

uint32_t sizeOf(V4l2Client& client, uint32_t type) { return client.format(type).fmt.pix_mp.plane_fmt[0].sizeimage; }

/// Decodes one frame from `coded` into `frame`, which lie in the client's own memory at `in` and `out`; returns what DQBUF
/// gave for the two.
std::pair<Taken, Taken> decode(Subscribed& subscribed, uint32_t memory, v4l2_plane coded, unsigned char* in, v4l2_plane frame) {
    auto& client = subscribed.client;
    const std::string text = "size 64x48\nframe 5\n";
    std::memcpy(in, text.data(), text.size());
    coded.bytesused = static_cast<uint32_t>(text.size());
    REQUIRE(request(client, kOutput, memory, 1) == 0);
    REQUIRE(handIn(client, kOutput, memory, coded) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    subscribed.sourceChange();
    REQUIRE(request(client, kCapture, memory, 1) == 0);
    REQUIRE(handIn(client, kCapture, memory, frame) == 0);
    REQUIRE(client.streamOn(kCapture) == 0);
    const auto taken = client.await(kCapture);
    REQUIRE(taken.error == 0);
    CHECK_FALSE(taken.buffer.flags & V4L2_BUF_FLAG_ERROR);
    CHECK(taken.buffer.memory == memory);
    CHECK(taken.planes[0].bytesused == 64 * 48 * 3 / 2);
    return {client.await(kOutput), taken};
}

/// Of the frame that decode() gives.
bool isRight(const unsigned char* frame) {
    for (uint32_t y = 0; y < 48; ++y)
        for (uint32_t x = 0; x < 64; ++x)
            if (frame[y * 64 + x] != codec::fake::fakeSample(5, 0, x, y, 8)) return false;
    return true;
}

}  // namespace

TEST_CASE("S18 S19: USERPTR on both queues, at any address, and none that is too short", "[client-memory]") {
    if (!isReached()) return skip("the node may not reach this process's memory");
    const uint32_t shift = GENERATE(0U, 1U, 13U);
    CAPTURE(shift);
    Subscribed subscribed;
    auto& client = subscribed.client;
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
    std::vector<unsigned char> coded(sizeOf(client, kOutput) + shift);
    std::vector<unsigned char> frame(sizeOf(client, kCapture) + shift);
    const auto in = userptr(coded.data() + shift, coded.size() - shift);
    const auto out = userptr(frame.data() + shift, frame.size() - shift);
    const auto [output, capture] = decode(subscribed, V4L2_MEMORY_USERPTR, in, coded.data() + shift, out);
    CHECK(isRight(frame.data() + shift));
    CHECK(output.planes[0].m.userptr == in.m.userptr);
    CHECK(capture.planes[0].m.userptr == out.m.userptr);
    CHECK(capture.planes[0].length == out.length);

    auto wrong = out;
    wrong.length -= 1;
    CHECK(handIn(client, kCapture, V4L2_MEMORY_USERPTR, wrong) == EINVAL);
    wrong = out;
    wrong.m.userptr = 0x1000;
    CHECK(handIn(client, kCapture, V4L2_MEMORY_USERPTR, wrong) == EFAULT);
    // The buffers are of one kind.
    CHECK(handIn(client, kCapture, V4L2_MEMORY_MMAP, out) == EINVAL);
    v4l2::CreateBuffers create{};
    create.count = 1;
    create.memory = V4L2_MEMORY_MMAP;
    create.format = client.format(kCapture);
    CHECK(client.ioctl(VIDIOC_CREATE_BUFS, &create) == EINVAL);
    v4l2_exportbuffer exported{};
    exported.type = kCapture;
    CHECK(client.ioctl(VIDIOC_EXPBUF, &exported) == EINVAL);
}

TEST_CASE("S18 S19: planes that EXPBUF gave serve another open as DMABUF on both queues, and none that is too short",
          "[client-memory]") {
    if (!isReached()) return skip("the node may not reach this process's memory");
    Subscribed subscribed;
    auto& client = subscribed.client;
    V4l2Client owner(subscribed.node);
    for (auto* each : {&client, &owner}) REQUIRE(each->setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
    REQUIRE(owner.request(kOutput, 1) == 0);
    REQUIRE(owner.request(kCapture, 1) == 0);
    const Exported coded(owner, kOutput);
    const Exported frame(owner, kCapture);
    // Length 0: the whole file.
    const auto [output, capture] =
        decode(subscribed, V4L2_MEMORY_DMABUF, coded.plane(), coded.bytes(), frame.plane(sizeOf(client, kCapture)));
    CHECK(isRight(frame.bytes()));
    // It is the memory that the owner has mapped.
    CHECK(isRight(owner.pixels(0)));
    CHECK(output.planes[0].m.fd == coded.fd());
    CHECK(capture.planes[0].m.fd == frame.fd());

    CHECK(handIn(client, kCapture, V4L2_MEMORY_DMABUF, frame.plane(sizeOf(client, kCapture) - 1)) == EINVAL);
    CHECK(handIn(client, kCapture, V4L2_MEMORY_DMABUF, frame.plane(1U << 30)) != 0);
    // A frame's memory is too little for the bitstream.
    CHECK(handIn(client, kOutput, V4L2_MEMORY_DMABUF, frame.plane()) == EINVAL);
    auto wrong = frame.plane();
    wrong.m.fd = -1;
    CHECK(handIn(client, kCapture, V4L2_MEMORY_DMABUF, wrong) == EINVAL);
}

TEST_CASE("S17: more bitstream than an access unit can have is refused before anything is copied", "[client-memory]") {
    if (!isReached()) return skip("the node may not reach this process's memory");
    Subscribed subscribed;
    auto& client = subscribed.client;
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
    v4l2_requestbuffers request{};
    request.type = kOutput;
    request.memory = V4L2_MEMORY_DMABUF;
    request.count = 1;
    REQUIRE(client.ioctl(VIDIOC_REQBUFS, &request) == 0);
    // It has no pages: reading it would make them.
    constexpr uint32_t kLength = 1U << 30;
    const UniqueFd sparse(::memfd_create("sparse", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    REQUIRE(::ftruncate(sparse.get(), kLength) == 0);
    v4l2_plane plane{};
    plane.m.fd = sparse.get();
    plane.length = kLength;
    for (const uint32_t used : {v4l2::kMaxPayloadBytes + 1, kLength, 0U}) {
        plane.bytesused = used;
        CAPTURE(used);
        CHECK(handIn(client, kOutput, V4L2_MEMORY_DMABUF, plane) == EINVAL);
    }
    plane.bytesused = v4l2::kMaxPayloadBytes;
    CHECK(handIn(client, kOutput, V4L2_MEMORY_DMABUF, plane) == 0);
}

TEST_CASE("S18: EXPBUF gives each plane's own memory, by the flags of an open, and it outlives the buffers", "[multi-planar]") {
    TestNode node;
    V4l2Client client(node);
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
    REQUIRE(client.setFormat(kCapture, V4L2_PIX_FMT_NV12M, 64, 48) == 0);
    REQUIRE(client.request(kCapture, 2) == 0);
    v4l2_exportbuffer exported{};
    exported.type = kCapture;
    exported.index = 1;
    exported.plane = 1;
    exported.flags = O_RDWR;
    REQUIRE(client.ioctl(VIDIOC_EXPBUF, &exported) == 0);
    const UniqueFd file(exported.fd);
    CHECK((::fcntl(file.get(), F_GETFD) & FD_CLOEXEC) == 0);
    const size_t length = client.query(kCapture, 1).planes[1].length;
    void* const address = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    REQUIRE(address != MAP_FAILED);
    auto* bytes = static_cast<unsigned char*>(address);
    bytes[length - 1] = 0x5a;
    CHECK(client.pixels(1, 1)[length - 1] == 0x5a);
    CHECK(client.pixels(1, 0)[length - 1] != 0x5a);
    for (const auto& [index, plane, flags] : {std::array<uint32_t, 3>{2, 0, 0}, {0, 2, 0}, {0, 0, O_APPEND}}) {
        exported.index = index;
        exported.plane = plane;
        exported.flags = flags;
        CHECK(client.ioctl(VIDIOC_EXPBUF, &exported) == EINVAL);
    }
    REQUIRE(client.request(kCapture, 0) == 0);
    CHECK(bytes[length - 1] == 0x5a);
    ::munmap(address, length);
}
