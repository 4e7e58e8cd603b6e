#include "daedalus/v4l2/print.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>

using namespace daedalus::v4l2;

namespace {

template <class T>
std::string printed(const T& arg) {
    std::string out;
    print(out, arg);
    return out;
}

}  // namespace

TEST_CASE("a REQBUFS prints as strace would print it") {
    v4l2_requestbuffers arg{};
    arg.type = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
    arg.count = 4;
    arg.memory = V4L2_MEMORY_MMAP;
    CHECK(printed(arg) == "{type=VIDEO_OUTPUT_MPLANE, count=4, memory=MMAP}");
    arg.capabilities = V4L2_BUF_CAP_SUPPORTS_MMAP | V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS | 0x8000;
    CHECK(printed(arg) ==
          "{type=VIDEO_OUTPUT_MPLANE, count=4, memory=MMAP, capabilities=SUPPORTS_MMAP|SUPPORTS_ORPHANED_BUFS|0x8000}");
}

TEST_CASE("a buffer prints its planes") {
    v4l2_plane planes[2]{};
    planes[0].bytesused = 10;
    planes[0].length = 4096;
    planes[1].length = 8192;
    planes[1].m.mem_offset = 0x1000;
    v4l2_buffer arg{};
    arg.index = 3;
    arg.type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
    arg.memory = V4L2_MEMORY_MMAP;
    arg.flags = V4L2_BUF_FLAG_TIMESTAMP_COPY | V4L2_BUF_FLAG_LAST | V4L2_BUF_FLAG_DONE;
    arg.field = V4L2_FIELD_NONE;
    arg.timestamp = {1, 33};
    arg.sequence = 7;
    arg.length = 2;
    arg.m.planes = planes;
    CHECK(printed(arg) ==
          "{index=3, type=VIDEO_CAPTURE_MPLANE, memory=MMAP, flags=TIMESTAMP_COPY|DONE|LAST, field=NONE, "
          "timestamp=1.000033, sequence=7, planes=[{bytesused=10, length=4096, mem_offset=0x0}, "
          "{bytesused=0, length=8192, mem_offset=0x1000}]}");
}

TEST_CASE("pointers that cannot have been gathered are not followed") {
    v4l2_buffer buffer{};
    buffer.type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
    buffer.length = VIDEO_MAX_PLANES + 1;
    buffer.m.planes = reinterpret_cast<v4l2_plane*>(8);
    CHECK(printed(buffer).find("planes=[9 > 8]") != std::string::npos);
    buffer.length = 1;
    buffer.m.planes = nullptr;
    CHECK(printed(buffer).find("planes=NULL") != std::string::npos);

    v4l2_ext_controls controls{};
    controls.count = V4L2_CID_MAX_CTRLS + 1;
    controls.controls = reinterpret_cast<v4l2_ext_control*>(8);
    CHECK(printed(controls) == "{which=CUR_VAL, count=1025, error_idx=0}");
    controls.count = 1;
    controls.controls = nullptr;
    CHECK(printed(controls) == "{which=CUR_VAL, count=1, error_idx=0, controls=NULL}");
}

TEST_CASE("controls and events are named") {
    v4l2_queryctrl query{};
    query.id = V4L2_CTRL_FLAG_NEXT_CTRL | V4L2_CID_MIN_BUFFERS_FOR_CAPTURE;
    CHECK(printed(query) == "{id=NEXT_CTRL|MIN_BUFFERS_FOR_CAPTURE}");
    v4l2_control control{};
    control.id = 0x12345;
    control.value = -1;
    CHECK(printed(control) == "{id=0x12345, value=-1}");
    v4l2_event_subscription subscription{};
    subscription.type = V4L2_EVENT_SOURCE_CHANGE;
    CHECK(printed(subscription) == "{type=SOURCE_CHANGE}");
    v4l2_event event{};
    event.type = V4L2_EVENT_SOURCE_CHANGE;
    event.u.src_change.changes = V4L2_EVENT_SRC_CH_RESOLUTION;
    CHECK(printed(event) == "{type=SOURCE_CHANGE, changes=RESOLUTION, pending=0, sequence=0, timestamp=0.000000000}");
}

TEST_CASE("a format prints no more planes than it has room for") {
    v4l2_format arg{};
    arg.type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
    arg.fmt.pix_mp.width = 320;
    arg.fmt.pix_mp.height = 240;
    arg.fmt.pix_mp.pixelformat = V4L2_PIX_FMT_NV12;
    arg.fmt.pix_mp.field = V4L2_FIELD_NONE;
    arg.fmt.pix_mp.num_planes = 1;
    arg.fmt.pix_mp.plane_fmt[0].sizeimage = 115200;
    arg.fmt.pix_mp.plane_fmt[0].bytesperline = 320;
    CHECK(printed(arg) ==
          "{type=VIDEO_CAPTURE_MPLANE, size=320x240, pixelformat=\"NV12\", field=NONE, num_planes=1, "
          "planes=[{sizeimage=115200, bytesperline=320}]}");
    arg.fmt.pix_mp.num_planes = 255;
    CHECK(printed(arg).find(", ...]") != std::string::npos);
}

TEST_CASE("every struct prints whatever bytes it holds") {
    const auto hostile = [](auto arg) {
        for (const int byte : {0x00, 0x01, 0x0a, 0x7f, 0x80, 0xff}) {
            std::memset(static_cast<void*>(&arg), byte, sizeof arg);
            const std::string text = printed(arg);
            CHECK(text.size() > 2);
            CHECK(text.size() < 8192);
            for (const char letter : text) CHECK((letter >= ' ' && letter <= '~'));
        }
    };
    hostile(v4l2_capability{});
    hostile(v4l2_fmtdesc{});
    hostile(v4l2_format{});
    hostile(v4l2_requestbuffers{});
    hostile(CreateBuffers{});
    hostile(RemoveBuffers{});
    hostile(v4l2_exportbuffer{});
    hostile(v4l2_queryctrl{});
    hostile(v4l2_query_ext_ctrl{});
    hostile(v4l2_querymenu{});
    hostile(v4l2_control{});
    hostile(v4l2_event_subscription{});
    hostile(v4l2_event{});
    hostile(v4l2_decoder_cmd{});
    hostile(v4l2_selection{});
    hostile(v4l2_cropcap{});
    hostile(v4l2_crop{});
    hostile(v4l2_frmsizeenum{});
    hostile(v4l2_streamparm{});
    hostile(int{});
    hostile(uint32_t{});
    // These follow a pointer, which the dispatcher bounds: only those that are not followed.
    v4l2_buffer buffer{};
    std::memset(static_cast<void*>(&buffer), 0xff, sizeof buffer);
    CHECK(printed(buffer).size() > 2);
}

TEST_CASE("errno values have names") {
    CHECK(errnoName(EINVAL) == "EINVAL");
    CHECK(errnoName(99999) == "99999");
}
