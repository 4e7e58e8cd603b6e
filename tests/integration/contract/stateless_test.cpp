// The stateless decoder's contract (docs/contract/stateless.md): requests, their media device, and controls.
#include <fcntl.h>
#include <linux/media.h>
#include <poll.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <future>
#include <thread>

#include "daedalus/codec/decoder.h"
#include "daedalus/device/device.h"
#include "daedalus/ioctl/node.h"
#include "daedalus/transport/inproc.h"

namespace daedalus {
namespace {

/// A stateless node in this process, with a client that has both of its files.
class Stage {
public:
    Stage()
        : codecs_(codec::makeFfmpegFactory()),
          device_(loop_, pool_, *codecs_, {.kind = &device::kStatelessDecoder}),
          node_(device_),
          descriptors_(transport::makeInprocDescriptors()),
          thread_([this] { loop_.run(); }),
          video_(openVideo()),
          media_(*transport::openInproc(
              loop_, [this] { return node_.openMedia("test", 0); }, 0, descriptors_)) {}
    ~Stage() {
        video_.reset();
        media_.reset();
        loop_.post([this] { descriptors_.reset(); });
        loop_.stop();
        thread_.join();
    }
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;

    std::unique_ptr<transport::InprocFile> openVideo() { return *transport::openInproc(loop_, node_, 0, descriptors_); }
    transport::InprocFile& video() { return *video_; }
    transport::InprocFile& media() { return *media_; }

    static int call(transport::InprocFile& file, unsigned long cmd, void* argument) {
        return file.ioctl(cmd, argument) == 0 ? 0 : errno;
    }

    struct Request {
        int number = -1;
        std::unique_ptr<transport::InprocFile> file;
    };
    Request makeRequest() {
        Request request;
        REQUIRE(call(*media_, MEDIA_IOC_REQUEST_ALLOC, &request.number) == 0);
        request.file = media_->take(request.number);
        REQUIRE(request.file);
        return request;
    }

    void setFormat(uint32_t fourcc, uint32_t width, uint32_t height) {
        v4l2_format format{};
        format.type = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
        format.fmt.pix_mp.pixelformat = fourcc;
        format.fmt.pix_mp.width = width;
        format.fmt.pix_mp.height = height;
        format.fmt.pix_mp.num_planes = 1;
        REQUIRE(call(*video_, VIDIOC_S_FMT, &format) == 0);
        REQUIRE(format.fmt.pix_mp.pixelformat == fourcc);
    }
    void allocate(uint32_t type, uint32_t count) {
        v4l2_requestbuffers request{};
        request.type = type;
        request.memory = V4L2_MEMORY_MMAP;
        request.count = count;
        REQUIRE(call(*video_, VIDIOC_REQBUFS, &request) == 0);
    }
    /// QBUF, into a request unless that is -1.
    int queue(uint32_t type, uint32_t index, int request, v4l2_buffer* answer = nullptr) {
        v4l2_plane planes[VIDEO_MAX_PLANES] = {};
        v4l2_buffer buffer{};
        buffer.type = type;
        buffer.memory = V4L2_MEMORY_MMAP;
        buffer.index = index;
        buffer.m.planes = planes;
        buffer.length = VIDEO_MAX_PLANES;
        planes[0].bytesused = V4L2_TYPE_IS_OUTPUT(type) ? 16 : 0;
        if (request >= 0) {
            buffer.flags = V4L2_BUF_FLAG_REQUEST_FD;
            buffer.request_fd = request;
        }
        const int error = call(*video_, VIDIOC_QBUF, &buffer);
        if (answer) *answer = buffer;
        return error;
    }
    int dequeue(uint32_t type, v4l2_buffer& buffer) {
        v4l2_plane planes[VIDEO_MAX_PLANES] = {};
        buffer = {};
        buffer.type = type;
        buffer.memory = V4L2_MEMORY_MMAP;
        buffer.m.planes = planes;
        buffer.length = VIDEO_MAX_PLANES;
        return call(*video_, VIDIOC_DQBUF, &buffer);
    }
    template <class T>
    int control(unsigned long cmd, uint32_t id, T& value, int request = -1, uint32_t size = sizeof(T)) {
        v4l2_ext_control entry{};
        entry.id = id;
        entry.size = size;
        entry.ptr = &value;
        v4l2_ext_controls controls{};
        controls.which = request >= 0 ? V4L2_CTRL_WHICH_REQUEST_VAL : V4L2_CTRL_WHICH_CUR_VAL;
        controls.request_fd = request;
        controls.count = 1;
        controls.controls = &entry;
        return call(*video_, cmd, &controls);
    }
    int stream(unsigned long cmd, int type) { return call(*video_, cmd, &type); }

private:
    EventLoop loop_;
    WorkerPool pool_{2};
    std::unique_ptr<codec::Factory> codecs_;
    device::Device device_;
    ioctl::Node node_;
    std::shared_ptr<transport::InprocDescriptors> descriptors_;
    std::thread thread_;
    std::unique_ptr<transport::InprocFile> video_;
    std::unique_ptr<transport::InprocFile> media_;
};

constexpr uint32_t kOutput = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
constexpr uint32_t kCapture = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;

v4l2_ctrl_vp8_frame vp8Frame() {
    v4l2_ctrl_vp8_frame frame{};
    frame.num_dct_parts = 1;
    frame.flags = V4L2_VP8_FRAME_FLAG_KEY_FRAME;
    return frame;
}

short pollOf(transport::InprocFile& file, short events, int timeoutMs) {
    short got = 0;
    return file.poll(events, &got, timeoutMs) > 0 ? got : short{0};
}

/// What a request file says while nothing waits for it.
void queueAll(Stage& stage, Stage::Request& request) {
    stage.setFormat(V4L2_PIX_FMT_VP8_FRAME, 64, 64);
    stage.allocate(kOutput, 2);
    stage.allocate(kCapture, 2);
    auto frame = vp8Frame();
    REQUIRE(stage.control(VIDIOC_S_EXT_CTRLS, V4L2_CID_STATELESS_VP8_FRAME, frame, request.number) == 0);
    REQUIRE(stage.queue(kOutput, 0, request.number) == 0);
    REQUIRE(Stage::call(*request.file, MEDIA_REQUEST_IOC_QUEUE, nullptr) == 0);
}

}  // namespace

TEST_CASE("L1 L3 L4: the media device and its topology are those of the video node") {
    Stage stage;
    v4l2_capability capability{};
    media_device_info info{};
    REQUIRE(Stage::call(stage.video(), VIDIOC_QUERYCAP, &capability) == 0);
    REQUIRE(Stage::call(stage.media(), MEDIA_IOC_DEVICE_INFO, &info) == 0);
    CHECK(std::memcmp(capability.bus_info, info.bus_info, sizeof info.bus_info) == 0);
    CHECK(info.driver_version == capability.version);

    media_v2_topology topology{};
    REQUIRE(Stage::call(stage.media(), MEDIA_IOC_G_TOPOLOGY, &topology) == 0);
    CHECK(topology.num_entities == 3U);
    CHECK(topology.num_interfaces == 1U);
    CHECK(topology.num_pads == 4U);
    CHECK(topology.num_links == 4U);
    media_v2_entity entities[3] = {};
    media_v2_interface interfaces[1] = {};
    topology.ptr_entities = reinterpret_cast<uintptr_t>(entities);
    topology.ptr_interfaces = reinterpret_cast<uintptr_t>(interfaces);
    REQUIRE(Stage::call(stage.media(), MEDIA_IOC_G_TOPOLOGY, &topology) == 0);
    CHECK(entities[1].function == MEDIA_ENT_F_PROC_VIDEO_DECODER);
    CHECK(interfaces[0].devnode.major == 81U);
    topology.num_entities = 2;
    CHECK(Stage::call(stage.media(), MEDIA_IOC_G_TOPOLOGY, &topology) == ENOSPC);
}

TEST_CASE("L5 L6 L7: entities and links one by one") {
    Stage stage;
    media_entity_desc entity{};
    CHECK(Stage::call(stage.media(), MEDIA_IOC_ENUM_ENTITIES, &entity) == EINVAL);
    unsigned found = 0;
    unsigned links = 0;
    for (entity.id = MEDIA_ENT_ID_FLAG_NEXT; Stage::call(stage.media(), MEDIA_IOC_ENUM_ENTITIES, &entity) == 0; ++found) {
        links += entity.links;
        media_pad_desc pads[2] = {};
        media_link_desc outbound[1] = {};
        media_links_enum wanted{};
        wanted.entity = entity.id;
        wanted.pads = pads;
        wanted.links = outbound;
        REQUIRE(Stage::call(stage.media(), MEDIA_IOC_ENUM_LINKS, &wanted) == 0);
        CHECK(pads[0].entity == entity.id);
        if (entity.links > 0) {
            CHECK(outbound[0].source.entity == entity.id);
            CHECK(Stage::call(stage.media(), MEDIA_IOC_SETUP_LINK, &outbound[0]) == 0);
            outbound[0].flags = 0;
            CHECK(Stage::call(stage.media(), MEDIA_IOC_SETUP_LINK, &outbound[0]) == EINVAL);
        }
        entity.id |= MEDIA_ENT_ID_FLAG_NEXT;
    }
    CHECK(found == 3U);
    CHECK(links == 2U);
}

TEST_CASE("L8 L50: a file takes only the ioctls of its kind") {
    Stage stage;
    auto request = stage.makeRequest();
    v4l2_capability capability{};
    CHECK(Stage::call(stage.media(), VIDIOC_QUERYCAP, &capability) == ENOTTY);
    CHECK(Stage::call(*request.file, VIDIOC_QUERYCAP, &capability) == ENOTTY);
    CHECK(Stage::call(stage.video(), MEDIA_REQUEST_IOC_QUEUE, nullptr) == ENOTTY);
    CHECK(Stage::call(stage.media(), MEDIA_REQUEST_IOC_REINIT, nullptr) == ENOTTY);
    int number = 0;
    CHECK(Stage::call(stage.video(), MEDIA_IOC_REQUEST_ALLOC, &number) == ENOTTY);
    CHECK(pollOf(stage.media(), POLLIN | POLLOUT, 0) == (POLLIN | POLLOUT));
}

TEST_CASE("L14 L21 L23: what a stateless node lists, and what it has no ioctl for") {
    Stage stage;
    v4l2_fmtdesc format{};
    format.type = kOutput;
    unsigned found = 0;
    for (; Stage::call(stage.video(), VIDIOC_ENUM_FMT, &format) == 0; ++format.index) {
        CHECK(format.flags == V4L2_FMT_FLAG_COMPRESSED);
        ++found;
    }
    CHECK(found == 4U);
    v4l2_selection selection{};
    selection.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    CHECK(Stage::call(stage.video(), VIDIOC_G_SELECTION, &selection) == ENOTTY);
    v4l2_control minimum{V4L2_CID_MIN_BUFFERS_FOR_CAPTURE, 0};
    CHECK(Stage::call(stage.video(), VIDIOC_G_CTRL, &minimum) == EINVAL);
}

TEST_CASE("L25 L56 L58: buffers of OUTPUT come by requests, those of CAPTURE do not") {
    Stage stage;
    stage.setFormat(V4L2_PIX_FMT_VP8_FRAME, 64, 64);
    v4l2_requestbuffers buffers{};
    buffers.type = kOutput;
    buffers.memory = V4L2_MEMORY_MMAP;
    buffers.count = 2;
    REQUIRE(Stage::call(stage.video(), VIDIOC_REQBUFS, &buffers) == 0);
    CHECK((buffers.capabilities & V4L2_BUF_CAP_SUPPORTS_REQUESTS) != 0);
    CHECK((buffers.capabilities & V4L2_BUF_CAP_SUPPORTS_M2M_HOLD_CAPTURE_BUF) != 0);
    stage.allocate(kCapture, 1);
    auto request = stage.makeRequest();
    CHECK(stage.queue(kOutput, 0, -1) == EBADR);
    CHECK(stage.queue(kOutput, 9, -1) == EINVAL);
    CHECK(stage.queue(kOutput, 0, 12345) == EINVAL);
    CHECK(stage.queue(kCapture, 0, request.number) == EBADR);
    CHECK(stage.queue(kCapture, 0, -1) == 0);
}

TEST_CASE("L47 L49: what a request must have to be queued") {
    Stage stage;
    stage.setFormat(V4L2_PIX_FMT_VP8_FRAME, 64, 64);
    stage.allocate(kOutput, 2);
    auto request = stage.makeRequest();
    const auto queue = [&] { return Stage::call(*request.file, MEDIA_REQUEST_IOC_QUEUE, nullptr); };
    CHECK(queue() == ENOENT);
    REQUIRE(stage.queue(kOutput, 0, request.number) == 0);
    CHECK(queue() == ENOENT);
    int32_t unrelated = 1;
    v4l2_ext_control entry{};
    entry.id = V4L2_CID_STATELESS_H264_DECODE_MODE;
    entry.value = unrelated;
    v4l2_ext_controls controls{};
    controls.which = V4L2_CTRL_WHICH_REQUEST_VAL;
    controls.request_fd = request.number;
    controls.count = 1;
    controls.controls = &entry;
    REQUIRE(Stage::call(stage.video(), VIDIOC_S_EXT_CTRLS, &controls) == 0);
    CHECK(queue() == ENOENT);
    auto frame = vp8Frame();
    REQUIRE(stage.control(VIDIOC_S_EXT_CTRLS, V4L2_CID_STATELESS_VP8_FRAME, frame, request.number) == 0);
    REQUIRE(stage.queue(kOutput, 1, request.number) == 0);
    CHECK(queue() == EINVAL);
    REQUIRE(Stage::call(*request.file, MEDIA_REQUEST_IOC_REINIT, nullptr) == 0);
    CHECK(queue() == ENOENT);
    // Both buffers are the client's again.
    CHECK(stage.queue(kOutput, 1, request.number) == 0);
}

TEST_CASE("L51 L53 L60: a request and its buffer while they wait") {
    Stage stage;
    auto request = stage.makeRequest();
    CHECK(pollOf(*request.file, POLLPRI, 0) == POLLERR);
    CHECK(pollOf(*request.file, POLLIN | POLLOUT, 0) == 0);
    queueAll(stage, request);
    CHECK(pollOf(*request.file, POLLPRI, 0) == 0);
    CHECK(Stage::call(*request.file, MEDIA_REQUEST_IOC_QUEUE, nullptr) == EBUSY);
    CHECK(Stage::call(*request.file, MEDIA_REQUEST_IOC_REINIT, nullptr) == EBUSY);
    auto frame = vp8Frame();
    CHECK(stage.control(VIDIOC_S_EXT_CTRLS, V4L2_CID_STATELESS_VP8_FRAME, frame, request.number) == EBUSY);
    CHECK(stage.control(VIDIOC_G_EXT_CTRLS, V4L2_CID_STATELESS_VP8_FRAME, frame, request.number) == EACCES);
    v4l2_plane planes[VIDEO_MAX_PLANES] = {};
    v4l2_buffer buffer{};
    buffer.type = kOutput;
    buffer.m.planes = planes;
    buffer.length = VIDEO_MAX_PLANES;
    REQUIRE(Stage::call(stage.video(), VIDIOC_QUERYBUF, &buffer) == 0);
    CHECK((buffer.flags & (V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_IN_REQUEST | V4L2_BUF_FLAG_REQUEST_FD)) ==
          (V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_REQUEST_FD));
    CHECK(buffer.request_fd == request.number);
}

TEST_CASE("L60: a buffer in a request shows it") {
    Stage stage;
    stage.setFormat(V4L2_PIX_FMT_VP8_FRAME, 64, 64);
    stage.allocate(kOutput, 1);
    auto request = stage.makeRequest();
    v4l2_buffer buffer{};
    REQUIRE(stage.queue(kOutput, 0, request.number, &buffer) == 0);
    CHECK((buffer.flags & (V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_IN_REQUEST | V4L2_BUF_FLAG_REQUEST_FD)) ==
          (V4L2_BUF_FLAG_IN_REQUEST | V4L2_BUF_FLAG_REQUEST_FD));
    CHECK(buffer.request_fd == request.number);
    CHECK(stage.queue(kOutput, 0, request.number) == EINVAL);
    // L64: an idle request that is closed lets go of it.
    request.file.reset();
    auto other = stage.makeRequest();
    CHECK(stage.queue(kOutput, 0, other.number) == 0);
}

TEST_CASE("L63 L82: a unit that cannot be decoded completes its request, with ERROR on CAPTURE") {
    Stage stage;
    auto request = stage.makeRequest();
    queueAll(stage, request);
    REQUIRE(stage.queue(kCapture, 0, -1) == 0);
    REQUIRE(stage.stream(VIDIOC_STREAMON, kOutput) == 0);
    REQUIRE(stage.stream(VIDIOC_STREAMON, kCapture) == 0);
    CHECK(pollOf(*request.file, POLLPRI, 10'000) == POLLPRI);
    stage.video().setNonblocking(true);
    v4l2_buffer buffer;
    REQUIRE(stage.dequeue(kCapture, buffer) == 0);
    CHECK((buffer.flags & V4L2_BUF_FLAG_ERROR) != 0);
    REQUIRE(stage.dequeue(kOutput, buffer) == 0);
    CHECK(buffer.request_fd == request.number);
    auto frame = vp8Frame();
    CHECK(stage.control(VIDIOC_G_EXT_CTRLS, V4L2_CID_STATELESS_VP8_FRAME, frame, request.number) == 0);
    REQUIRE(Stage::call(*request.file, MEDIA_REQUEST_IOC_REINIT, nullptr) == 0);
    CHECK(pollOf(*request.file, POLLPRI, 0) == POLLERR);
}

TEST_CASE("L86 F5: STREAMOFF of OUTPUT completes what is queued") {
    Stage stage;
    auto request = stage.makeRequest();
    queueAll(stage, request);
    REQUIRE(stage.stream(VIDIOC_STREAMON, kOutput) == 0);
    REQUIRE(stage.stream(VIDIOC_STREAMOFF, kOutput) == 0);
    CHECK(pollOf(*request.file, POLLPRI, 0) == POLLPRI);
}

TEST_CASE("L65 F6: the video node is closed with a request queued, or the request before its video node") {
    Stage stage;
    auto request = stage.makeRequest();
    queueAll(stage, request);
    SECTION("a request that is closed is decoded all the same") {
        request.file.reset();
        REQUIRE(stage.queue(kCapture, 0, -1) == 0);
        REQUIRE(stage.stream(VIDIOC_STREAMON, kOutput) == 0);
        REQUIRE(stage.stream(VIDIOC_STREAMON, kCapture) == 0);
        v4l2_buffer buffer;
        CHECK(stage.dequeue(kCapture, buffer) == 0);
        CHECK(stage.dequeue(kOutput, buffer) == 0);
    }
}

TEST_CASE("L37 L46: payloads that are too short, and values that cannot be") {
    Stage stage;
    stage.setFormat(V4L2_PIX_FMT_VP8_FRAME, 64, 64);
    auto frame = vp8Frame();
    CHECK(stage.control(VIDIOC_S_EXT_CTRLS, V4L2_CID_STATELESS_VP8_FRAME, frame, -1, 16) == EFAULT);
    CHECK(stage.control(VIDIOC_G_EXT_CTRLS, V4L2_CID_STATELESS_VP8_FRAME, frame, -1, 0) == ENOSPC);
    frame.num_dct_parts = 3;
    CHECK(stage.control(VIDIOC_TRY_EXT_CTRLS, V4L2_CID_STATELESS_VP8_FRAME, frame) == EINVAL);
    frame.num_dct_parts = 8;
    CHECK(stage.control(VIDIOC_S_EXT_CTRLS, V4L2_CID_STATELESS_VP8_FRAME, frame) == 0);
}

TEST_CASE("L19 L20: CAPTURE follows the sequence parameters") {
    Stage stage;
    stage.setFormat(V4L2_PIX_FMT_H264_SLICE, 64, 64);
    v4l2_ctrl_h264_sps sps{};
    sps.profile_idc = 110;
    sps.chroma_format_idc = 1;
    sps.bit_depth_luma_minus8 = 2;
    sps.bit_depth_chroma_minus8 = 2;
    sps.pic_width_in_mbs_minus1 = 3;
    sps.pic_height_in_map_units_minus1 = 3;
    sps.flags = V4L2_H264_SPS_FLAG_FRAME_MBS_ONLY;
    REQUIRE(stage.control(VIDIOC_S_EXT_CTRLS, V4L2_CID_STATELESS_H264_SPS, sps) == 0);
    v4l2_format format{};
    format.type = kCapture;
    REQUIRE(Stage::call(stage.video(), VIDIOC_G_FMT, &format) == 0);
    CHECK(format.fmt.pix_mp.pixelformat == V4L2_PIX_FMT_P010);
    sps.bit_depth_chroma_minus8 = 0;
    CHECK(stage.control(VIDIOC_S_EXT_CTRLS, V4L2_CID_STATELESS_H264_SPS, sps) == EINVAL);
    sps.bit_depth_chroma_minus8 = 2;
    sps.pic_width_in_mbs_minus1 = 4;
    CHECK(stage.control(VIDIOC_S_EXT_CTRLS, V4L2_CID_STATELESS_H264_SPS, sps) == EINVAL);
    sps.pic_width_in_mbs_minus1 = 3;
    stage.allocate(kCapture, 1);
    sps.profile_idc = 100;
    sps.bit_depth_luma_minus8 = 0;
    sps.bit_depth_chroma_minus8 = 0;
    CHECK(stage.control(VIDIOC_S_EXT_CTRLS, V4L2_CID_STATELESS_H264_SPS, sps) == EBUSY);
}

TEST_CASE("L45 L77: FLUSH is the only command, and there are no events of streams") {
    Stage stage;
    v4l2_decoder_cmd command{};
    command.cmd = V4L2_DEC_CMD_STOP;
    CHECK(Stage::call(stage.video(), VIDIOC_DECODER_CMD, &command) == EINVAL);
    command.cmd = V4L2_DEC_CMD_FLUSH;
    CHECK(Stage::call(stage.video(), VIDIOC_DECODER_CMD, &command) == 0);
    v4l2_event_subscription subscription{};
    subscription.type = V4L2_EVENT_EOS;
    CHECK(Stage::call(stage.video(), VIDIOC_SUBSCRIBE_EVENT, &subscription) == EINVAL);
    subscription.type = V4L2_EVENT_CTRL;
    subscription.id = V4L2_CID_STATELESS_VP8_FRAME;
    CHECK(Stage::call(stage.video(), VIDIOC_SUBSCRIBE_EVENT, &subscription) == 0);
}

}  // namespace daedalus
