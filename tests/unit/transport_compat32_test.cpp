// The structs of 32-bit programs: laid out by hand here as i386 has them, in memory that its pointers reach.
#include <linux/videodev2.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "src/transport/compat32.h"

namespace daedalus::transport {
namespace {

/// Words of a 32-bit program.
class Memory {
public:
    Memory()
        : words_(static_cast<uint32_t*>(
              ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0))) {
        REQUIRE(words_ != MAP_FAILED);
    }
    ~Memory() { ::munmap(words_, kBytes); }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    uint32_t& operator[](size_t index) { return words_[index]; }
    [[nodiscard]] uint32_t address(size_t index) const {
        return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(words_ + index));
    }
    void fill(size_t count) {
        for (size_t i = 0; i < count; ++i) words_[i] = static_cast<uint32_t>(0x1000 + i);
    }

private:
    static constexpr size_t kBytes = 4096;
    uint32_t* words_;
};

uint32_t narrowed(unsigned long cmd, uint32_t size) { return _IOC(_IOC_DIR(cmd), _IOC_TYPE(cmd), _IOC_NR(cmd), size); }

template <class T>
T argumentOf(const ioctl::Payload& payload) {
    T value;
    REQUIRE(payload.argument.size() == sizeof value);
    std::memcpy(&value, payload.argument.data(), sizeof value);
    return value;
}

/// Gathers, and scatters the same again: nothing of the program's memory changes.
ioctl::Payload roundTrip(const Compat32& compat, Memory& memory) {
    std::vector<uint32_t> before(&memory[0], &memory[0] + 512);
    auto payload = compat.gather(::getpid(), memory.address(0));
    REQUIRE(payload);
    REQUIRE(compat.scatter(::getpid(), memory.address(0), *payload));
    CHECK(std::memcmp(before.data(), &memory[0], 512 * sizeof(uint32_t)) == 0);
    return *payload;
}

}  // namespace

TEST_CASE("calls whose struct is the same in 32 bits need no conversion") {
    for (const unsigned long cmd : {VIDIOC_QUERYCAP, VIDIOC_REQBUFS, VIDIOC_STREAMON, VIDIOC_EXPBUF, VIDIOC_QUERY_EXT_CTRL,
                                    VIDIOC_G_SELECTION, VIDIOC_DECODER_CMD, VIDIOC_SUBSCRIBE_EVENT, VIDIOC_G_CTRL})
        CHECK_FALSE(Compat32::of(static_cast<uint32_t>(cmd)));
    // As large as a narrow buffer and a narrow format.
    static_assert(sizeof(v4l2_queryctrl) == 68 && sizeof(v4l2_streamparm) == 204);
    for (const unsigned long cmd : {VIDIOC_QUERYCTRL, VIDIOC_G_PARM, VIDIOC_S_PARM})
        CHECK_FALSE(Compat32::of(static_cast<uint32_t>(cmd)));
    CHECK_FALSE(Compat32::of(narrowed(VIDIOC_G_FMT, 0)));
    CHECK_FALSE(Compat32::of(narrowed(VIDIOC_G_FMT, 68)));
}

TEST_CASE("v4l2_buffer of 32 bits, with times of 32 and 64 bits") {
    for (const size_t time : {1U, 2U}) {
        Memory memory;
        const uint32_t size = 60 + 8 * static_cast<uint32_t>(time);
        const auto compat = Compat32::of(narrowed(VIDIOC_QBUF, size));
        REQUIRE(compat);
        CHECK(compat->cmd() == VIDIOC_QBUF);
        memory.fill(size / 4);
        memory[1] = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
        memory[5] = static_cast<uint32_t>(-1);  // seconds
        if (time == 2) memory[6] = static_cast<uint32_t>(-1);
        memory[5 + time] = 250;
        if (time == 2) memory[8] = 0;
        const size_t behind = 5 + 2 * time;
        memory[behind + 6] = memory.address(100);  // planes
        memory[behind + 7] = 2;
        for (size_t i = 0; i < 30; ++i) memory[100 + i] = static_cast<uint32_t>(0x2000 + i);

        const auto payload = roundTrip(*compat, memory);
        const auto buffer = argumentOf<v4l2_buffer>(payload);
        CHECK(buffer.index == 0x1000);
        CHECK(buffer.field == 0x1004);
        CHECK(buffer.timestamp.tv_sec == -1);
        CHECK(buffer.timestamp.tv_usec == 250);
        CHECK(buffer.timecode.type == 0x1000 + behind);
        CHECK(buffer.sequence == 0x1000 + behind + 4);
        CHECK(buffer.memory == 0x1000 + behind + 5);
        CHECK(reinterpret_cast<uintptr_t>(buffer.m.planes) == memory.address(100));
        CHECK(buffer.length == 2);
        CHECK(buffer.request_fd == static_cast<int>(0x1000 + behind + 9));
        REQUIRE(payload.nested.size() == 1);
        v4l2_plane planes[2];
        REQUIRE(payload.nested[0].bytes.size() == sizeof planes);
        std::memcpy(planes, payload.nested[0].bytes.data(), sizeof planes);
        CHECK(planes[1].bytesused == 0x200F);
        CHECK(planes[1].m.userptr == 0x2011);
        CHECK(planes[1].data_offset == 0x2012);
    }
}

TEST_CASE("formats of 32 bits") {
    Memory memory;
    memory.fill(62);
    const auto format = Compat32::of(narrowed(VIDIOC_S_FMT, 204));
    REQUIRE(format);
    CHECK(format->cmd() == VIDIOC_S_FMT);
    const auto whole = argumentOf<v4l2_format>(roundTrip(*format, memory));
    CHECK(whole.type == 0x1000);
    CHECK(whole.fmt.pix_mp.width == 0x1001);
    const auto create = Compat32::of(narrowed(VIDIOC_CREATE_BUFS, 248));
    REQUIRE(create);
    CHECK(create->cmd() == VIDIOC_CREATE_BUFS);
    const auto buffers = argumentOf<v4l2_create_buffers>(roundTrip(*create, memory));
    CHECK(buffers.memory == 0x1002);
    CHECK(buffers.format.type == 0x1003);
    CHECK(buffers.format.fmt.pix_mp.width == 0x1004);
    CHECK(buffers.capabilities == 0x1000 + 3 + 51);
}

TEST_CASE("controls of 32 bits, with a payload") {
    Memory memory;
    const auto compat = Compat32::of(narrowed(VIDIOC_G_EXT_CTRLS, 24));
    REQUIRE(compat);
    CHECK(compat->cmd() == VIDIOC_G_EXT_CTRLS);
    memory[1] = 2;
    memory[5] = memory.address(100);
    memory[100] = V4L2_CID_MIN_BUFFERS_FOR_CAPTURE;
    memory[103] = 7;
    memory[105] = V4L2_CID_COLORIMETRY_HDR10_CLL_INFO;
    memory[106] = sizeof(v4l2_ctrl_hdr10_cll_info);
    memory[108] = memory.address(200);
    memory[200] = 0x00640032;
    const auto payload = roundTrip(*compat, memory);
    REQUIRE(payload.nested.size() == 2);
    v4l2_ctrl_hdr10_cll_info info;
    REQUIRE(payload.nested[1].bytes.size() == sizeof info);
    std::memcpy(&info, payload.nested[1].bytes.data(), sizeof info);
    CHECK(info.max_content_light_level == 0x32);
    CHECK(info.max_pic_average_light_level == 0x64);
}

TEST_CASE("events of 32 bits") {
    for (const uint32_t size : {120U, 128U}) {
        Memory memory;
        const auto compat = Compat32::of(narrowed(VIDIOC_DQEVENT, size));
        REQUIRE(compat);
        CHECK(compat->cmd() == VIDIOC_DQEVENT);
        ioctl::Payload answer{.argument = std::vector<std::byte>(sizeof(v4l2_event)), .nested = {}};
        v4l2_event event{};
        event.type = V4L2_EVENT_SOURCE_CHANGE;
        event.u.src_change.changes = 1;
        event.pending = 3;
        event.timestamp = {5, 6};
        event.id = 9;
        std::memcpy(answer.argument.data(), &event, sizeof event);
        REQUIRE(compat->scatter(::getpid(), memory.address(0), answer));
        CHECK(memory[0] == V4L2_EVENT_SOURCE_CHANGE);
        CHECK(memory[1] == 1);
        CHECK(memory[17] == 3);
        CHECK(memory[19] == 5);
        CHECK(memory[size == 120 ? 20 : 21] == 6);
        CHECK(memory[size == 120 ? 21 : 23] == 9);
    }
}

TEST_CASE("what a 32-bit program points to must be there") {
    Memory memory;
    const auto compat = Compat32::of(narrowed(VIDIOC_QBUF, 68));
    REQUIRE(compat);
    CHECK(compat->gather(::getpid(), 16).error().value == EFAULT);
    memory[1] = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
    memory[14] = VIDEO_MAX_PLANES + 1;
    CHECK(compat->gather(::getpid(), memory.address(0)).error().value == EINVAL);
    memory[14] = 1;
    CHECK(compat->gather(::getpid(), memory.address(0)).error().value == EFAULT);
}

}  // namespace daedalus::transport
