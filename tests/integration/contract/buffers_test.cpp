// S18, S19: buffers as a client meets them, over whichever transport the environment names.
#include <catch2/catch.hpp>
#include <cstdlib>

#include "decoding.h"
#include "own_memory.h"

using namespace daedalus;
using namespace daedalus::test;

TEST_CASE("S18: a 4K frame in each of 64 buffers, and a 16 MiB bitstream buffer") {
    TestNode node;
    V4l2Client client(node);
    v4l2_format format{};
    format.type = kOutput;
    format.fmt.pix_mp = {.width = 3840, .height = 2160, .pixelformat = V4L2_PIX_FMT_HEVC};
    format.fmt.pix_mp.num_planes = 1;
    format.fmt.pix_mp.plane_fmt[0].sizeimage = 16 << 20;
    REQUIRE(client.ioctl(VIDIOC_S_FMT, &format) == 0);
    CHECK(format.fmt.pix_mp.plane_fmt[0].sizeimage == 16 << 20);
    REQUIRE(client.subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0);
    REQUIRE(client.request(kOutput, 1) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    const std::string padding(15 << 20, '\n');
    REQUIRE(client.feed(0, padding + "size 3840x2160\nframe 1\n") == 0);
    REQUIRE(client.event());
    REQUIRE(client.request(kCapture, 64) == 0);
    for (uint32_t i = 0; i < 64; ++i) REQUIRE(client.queue(i) == 0);
    REQUIRE(client.streamOn(kCapture) == 0);
    const auto frame = client.await(kCapture);
    REQUIRE(frame.error == 0);
    CHECK(frame.planes[0].bytesused == 3840 * 2160 * 3 / 2);
}

TEST_CASE("a wrong mmap offset and another open's buffers are out of reach") {
    TestNode node;
    V4l2Client client(node);
    V4l2Client other(node);
    REQUIRE(client.request(kCapture, 2) == 0);
    const auto offset = client.query(kCapture, 1).planes[0].m.mem_offset;
    CHECK(client.file().mmap(4096, PROT_READ, offset + 4096 * 7) == MAP_FAILED);
    CHECK(errno == EINVAL);
    CHECK(other.file().mmap(4096, PROT_READ, offset) == MAP_FAILED);
}

TEST_CASE("a blocking DQBUF is woken by a buffer, and by STREAMOFF in another thread") {
    TestNode node;
    V4l2Client client(node, 0);
    REQUIRE(client.request(kOutput, 2) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    constexpr std::chrono::milliseconds kPatience(kPatienceMs);
    const auto dequeue = [&] { return client.take(kOutput).error; };
    {
        Waiting waiting(dequeue);
        CHECK(waiting.result(std::chrono::milliseconds(20)) == -1);
        CHECK(client.feed(0, "nothing\n") == 0);
        CHECK(waiting.result(kPatience) == 0);
    }
    Waiting waiting(dequeue);
    CHECK(waiting.result(std::chrono::milliseconds(20)) == -1);
    CHECK(client.streamOff(kOutput) == 0);
    CHECK(waiting.result(kPatience) == EINVAL);
}

TEST_CASE("S18: buffers are added, removed and asked for one by one, up to the node's most") {
    TestNode node;
    V4l2Client client(node);
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
    REQUIRE(client.request(kCapture, 3) == 0);
    v4l2::CreateBuffers create{};
    create.memory = V4L2_MEMORY_MMAP;
    create.format = client.format(kCapture);
    CHECK(client.ioctl(VIDIOC_CREATE_BUFS, &create) == 0);
    CHECK(create.index == 3);
    CHECK(create.max_num_buffers == 64);
    for (const int capability :
         {V4L2_BUF_CAP_SUPPORTS_MMAP, V4L2_BUF_CAP_SUPPORTS_USERPTR, V4L2_BUF_CAP_SUPPORTS_DMABUF,
          V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS, V4L2_BUF_CAP_SUPPORTS_MAX_NUM_BUFFERS, V4L2_BUF_CAP_SUPPORTS_REMOVE_BUFS})
        CHECK((create.capabilities & static_cast<uint32_t>(capability)) != 0);
    create.count = 100;
    CHECK(client.ioctl(VIDIOC_CREATE_BUFS, &create) == 0);
    CHECK(create.index == 3);
    CHECK(create.count == 61);
    create.count = 1;
    CHECK(client.ioctl(VIDIOC_CREATE_BUFS, &create) == ENOBUFS);

    v4l2::RemoveBuffers remove{};
    remove.type = kCapture;
    remove.index = 1;
    remove.count = 2;
    CHECK(client.ioctl(VIDIOC_REMOVE_BUFS, &remove) == 0);
    CHECK(client.query(kCapture, 0).error == 0);
    CHECK(client.query(kCapture, 1).error == EINVAL);
    CHECK(client.ioctl(VIDIOC_REMOVE_BUFS, &remove) == EINVAL);
    CHECK(client.queue(1) == EINVAL);
    // A queued buffer stays.
    REQUIRE(client.queue(0) == 0);
    remove = {};
    remove.type = kCapture;
    remove.count = 1;
    CHECK(client.ioctl(VIDIOC_REMOVE_BUFS, &remove) == EBUSY);
    create.count = 2;
    CHECK(client.ioctl(VIDIOC_CREATE_BUFS, &create) == 0);
    CHECK(create.index == 1);
    CHECK(client.query(kCapture, 1).error == 0);
    create.count = 1;
    create.format.fmt.pix_mp.plane_fmt[0].sizeimage /= 2;
    CHECK(client.ioctl(VIDIOC_CREATE_BUFS, &create) == EINVAL);
    if (TestNode::isSinglePlanar()) return;
    create.format = client.format(kCapture);
    create.format.fmt.pix_mp.num_planes = 2;
    create.format.fmt.pix_mp.plane_fmt[1] = create.format.fmt.pix_mp.plane_fmt[0];
    CHECK(client.ioctl(VIDIOC_CREATE_BUFS, &create) == EINVAL);
}

TEST_CASE("S18: memory that is mapped outlives REQBUFS(0), and new buffers are others") {
    TestNode node;
    V4l2Client client(node);
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
    REQUIRE(client.request(kCapture, 1) == 0);
    const auto info = client.query(kCapture, 0);
    auto* orphan = static_cast<unsigned char*>(
        client.file().mmap(info.planes[0].length, PROT_READ | PROT_WRITE, info.planes[0].m.mem_offset));
    REQUIRE(orphan != MAP_FAILED);
    std::memset(orphan, 0x5a, info.planes[0].length);
    REQUIRE(client.request(kCapture, 0) == 0);
    CHECK(client.query(kCapture, 0).error == EINVAL);
    REQUIRE(client.request(kCapture, 1) == 0);
    CHECK(client.pixels(0)[0] != 0x5a);
    CHECK(orphan[info.planes[0].length - 1] == 0x5a);
    ::munmap(orphan, info.planes[0].length);
}

TEST_CASE("S18: a buffer has the flag MAPPED once it is mapped, and not before") {
    TestNode node;
    V4l2Client client(node);
    REQUIRE(request(client, kCapture, V4L2_MEMORY_MMAP, 2) == 0);
    const auto isMapped = [&](uint32_t index) {
        return (client.query(kCapture, index).buffer.flags & V4L2_BUF_FLAG_MAPPED) != 0;
    };
    const auto plane = client.query(kCapture, 1).planes[0];
    CHECK_FALSE(isMapped(1));
    void* const address = client.file().mmap(plane.length, PROT_READ | PROT_WRITE, plane.m.mem_offset);
    REQUIRE(address != MAP_FAILED);
    CHECK(isMapped(1) == isToldOfMappings());
    CHECK_FALSE(isMapped(0));
    ::munmap(address, plane.length);
}

TEST_CASE_METHOD(Decoding, "S18: a prepared buffer is queued as it was prepared, and REQBUFS is EBUSY while streaming") {
    v4l2_plane plane{};
    v4l2_buffer buffer{};
    buffer.type = kOutput;
    buffer.memory = V4L2_MEMORY_MMAP;
    buffer.length = 1;
    buffer.m.planes = &plane;
    plane.bytesused = 8;
    REQUIRE(client.ioctl(VIDIOC_PREPARE_BUF, &buffer) == 0);
    CHECK(buffer.flags & V4L2_BUF_FLAG_PREPARED);
    CHECK(client.ioctl(VIDIOC_PREPARE_BUF, &buffer) == EINVAL);
    // What QBUF says of the payload comes too late.
    REQUIRE(client.feed(0, "frame 4\nframe 5\n") == 0);
    expectFrame(4);
    CHECK(client.await(kOutput).planes[0].bytesused == 8);
    CHECK(client.take(kCapture).error == EAGAIN);
    CHECK(client.request(kCapture, 2) == EBUSY);
}

TEST_CASE_METHOD(Decoding, "S19: the payload is what data_offset and bytesused say", "[multi-planar]") {
    const std::string text = "damage here\nframe 6\n";
    const uint32_t skip = 12;
    v4l2_plane plane{};
    const auto queue = [&](uint32_t used, uint32_t offset) {
        v4l2_buffer buffer{};
        buffer.type = kOutput;
        buffer.memory = V4L2_MEMORY_MMAP;
        buffer.length = 1;
        buffer.m.planes = &plane;
        plane = {};
        plane.bytesused = used;
        plane.data_offset = offset;
        return client.ioctl(VIDIOC_QBUF, &buffer);
    };
    // Fills the buffer's memory, and takes it back.
    feed(text + "nothing\n");
    REQUIRE(client.await(kCapture).buffer.flags & V4L2_BUF_FLAG_ERROR);
    expectFrame(6);
    const auto length = client.query(kOutput, 0).planes[0].length;
    CHECK(queue(length + 1, 0) == EINVAL);
    CHECK(queue(8, 8) == EINVAL);
    REQUIRE(queue(static_cast<uint32_t>(text.size()), skip) == 0);
    const auto frame = expectFrame(6);
    CHECK_FALSE(frame.buffer.flags & V4L2_BUF_FLAG_ERROR);
    const auto output = client.await(kOutput);
    CHECK(output.planes[0].data_offset == skip);
    CHECK(output.planes[0].bytesused == text.size());
    // 0: the whole buffer.
    REQUIRE(queue(0, 0) == 0);
    const auto whole = client.await(kOutput);
    CHECK(whole.planes[0].bytesused == length);
}

TEST_CASE("S18 S19: QBUF and DQBUF refuse another kind of memory, and an array with too little room for the planes",
          "[multi-planar]") {
    TestNode node;
    V4l2Client client(node);
    REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
    REQUIRE(client.setFormat(kCapture, V4L2_PIX_FMT_NV12M, 64, 48) == 0);
    REQUIRE(client.request(kOutput, 1) == 0);
    REQUIRE(client.request(kCapture, 1) == 0);
    v4l2_plane planes[2] = {};
    v4l2_buffer buffer{};
    const auto call = [&](unsigned long number, uint32_t length, uint32_t memory = V4L2_MEMORY_MMAP) {
        buffer = {};
        buffer.type = kCapture;
        buffer.memory = memory;
        buffer.length = length;
        buffer.m.planes = planes;
        return client.ioctl(number, &buffer);
    };
    CHECK(call(VIDIOC_QBUF, 2, V4L2_MEMORY_USERPTR) == EINVAL);
    CHECK(call(VIDIOC_QBUF, 2, V4L2_MEMORY_DMABUF) == EINVAL);
    CHECK(call(VIDIOC_QBUF, 1) == EINVAL);
    CHECK(call(VIDIOC_QUERYBUF, 1) == EINVAL);
    REQUIRE(call(VIDIOC_QBUF, 2) == 0);
    REQUIRE(client.streamOn(kCapture) == 0);
    REQUIRE(client.streamOn(kOutput) == 0);
    REQUIRE(client.feed(0, "size 64x48 min 1\nframe 0\n") == 0);
    REQUIRE(client.file().poll(POLLIN, kPatienceMs) & POLLIN);
    CHECK(call(VIDIOC_DQBUF, 1) == EINVAL);
    CHECK(call(VIDIOC_DQBUF, 2) == 0);
    CHECK(planes[1].bytesused == 64 * 48 / 2);
}
