// The single-planar API as a client of its own writes it. What it has in common with the multi-planar one is shown by the other
// tests, which run over a single-planar node too (SinglePlanarClient).
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "daedalus/v4l2/planes.h"
#include "own_memory.h"
#include "skip.h"
#include "src/codec/fake/fake_decoder.h"
#include "test_node.h"

using namespace daedalus;
using namespace daedalus::test;
using v4l2::PlanesApi;

namespace {

constexpr uint32_t kSingleOutput = V4L2_BUF_TYPE_VIDEO_OUTPUT;
constexpr uint32_t kSingleCapture = V4L2_BUF_TYPE_VIDEO_CAPTURE;
constexpr uint32_t kFrameBytes = 64 * 48 * 3 / 2;
constexpr uint32_t kOtherBits = 0xa5a5a5a5;  ///< what a client leaves where nothing is expected

device::DeviceOptions withPlanes(PlanesApi planes) {
    device::DeviceOptions options;
    options.planes = planes;
    return options;
}

/// Where DAEDALUS_TEST_PLANES makes single-planar nodes of the multi-planar ones, there are none of these.
std::vector<PlanesApi> apisUnderTest() {
    if (TestNode::isSinglePlanar()) return {PlanesApi::Single};
    return {PlanesApi::Single, PlanesApi::Multi};
}

/// A node that speaks `planes`, and an open of it.
struct Open {
    explicit Open(PlanesApi planes = PlanesApi::Single, int flags = 0)
        : node(codec::makeFakeFactory(), 2, withPlanes(planes)), file(node.open(flags)) {}
    int ioctl(unsigned long cmd, void* argument) const { return file->ioctl(cmd, argument); }
    template <class Argument>
    int withType(unsigned long cmd, uint32_t type) const {
        Argument argument{};
        argument.type = type;
        return ioctl(cmd, &argument);
    }
    [[nodiscard]] v4l2_pix_format format(uint32_t type) const {
        v4l2_format format{};
        format.type = type;
        REQUIRE(ioctl(VIDIOC_G_FMT, &format) == 0);
        CHECK(format.type == type);
        return format.fmt.pix;
    }
    void setOutput(uint32_t fourcc, uint32_t width, uint32_t height) const {
        v4l2_format format{};
        format.type = kSingleOutput;
        format.fmt.pix = {.width = width, .height = height, .pixelformat = fourcc};
        REQUIRE(ioctl(VIDIOC_S_FMT, &format) == 0);
    }
    void request(uint32_t type, uint32_t memory) const {
        v4l2_requestbuffers request{};
        request.type = type;
        request.memory = memory;
        request.count = 1;
        REQUIRE(ioctl(VIDIOC_REQBUFS, &request) == 0);
        CHECK(request.type == type);
        CHECK(request.count == 1);
    }
    void stream(uint32_t type) const { REQUIRE(ioctl(VIDIOC_STREAMON, &type) == 0); }

    TestNode node;
    std::unique_ptr<Client> file;
};

v4l2_buffer bufferOf(uint32_t type, uint32_t memory) {
    v4l2_buffer buffer{};
    buffer.type = type;
    buffer.memory = memory;
    return buffer;
}

/// How each call that names a buffer type answers this one.
std::vector<int> answers(const Open& open, uint32_t type) {
    v4l2::CreateBuffers create{};
    create.memory = V4L2_MEMORY_MMAP;
    create.format.type = type;
    v4l2_plane plane{};
    const auto buffer = [&](unsigned long cmd) {
        v4l2_buffer buffer = bufferOf(type, V4L2_MEMORY_MMAP);
        if (V4L2_TYPE_IS_MULTIPLANAR(type)) {
            buffer.length = 1;
            buffer.m.planes = &plane;
        }
        return open.ioctl(cmd, &buffer);
    };
    return {open.withType<v4l2_fmtdesc>(VIDIOC_ENUM_FMT, type),
            open.withType<v4l2_format>(VIDIOC_G_FMT, type),
            open.withType<v4l2_format>(VIDIOC_S_FMT, type),
            open.withType<v4l2_format>(VIDIOC_TRY_FMT, type),
            open.withType<v4l2_requestbuffers>(VIDIOC_REQBUFS, type),
            open.ioctl(VIDIOC_CREATE_BUFS, &create),
            open.withType<v4l2::RemoveBuffers>(VIDIOC_REMOVE_BUFS, type),
            buffer(VIDIOC_QUERYBUF),
            buffer(VIDIOC_PREPARE_BUF),
            buffer(VIDIOC_QBUF),
            buffer(VIDIOC_DQBUF),
            open.withType<v4l2_exportbuffer>(VIDIOC_EXPBUF, type),
            open.ioctl(VIDIOC_STREAMON, &type),
            open.ioctl(VIDIOC_STREAMOFF, &type)};
}

/// Of the toy codec's frame 5.
bool isRight(const unsigned char* frame) {
    for (uint32_t y = 0; y < 48; ++y)
        for (uint32_t x = 0; x < 64; ++x)
            if (frame[y * 64 + x] != codec::fake::fakeSample(5, 0, x, y, 8)) return false;
    return true;
}

/// Memory of one buffer of the client's own or of the node's.
struct Piece {
    v4l2_buffer buffer{};
    unsigned char* bytes = nullptr;
};

/// Decodes frame 5, from headers on, through one buffer on each queue; returns what DQBUF gave for CAPTURE.
v4l2_buffer decode(const Open& open, const Piece& coded, Piece frame) {
    const std::string text = "size 64x48 min 1\nframe 5\n";
    std::memcpy(coded.bytes, text.data(), text.size());
    v4l2_buffer buffer = coded.buffer;
    buffer.bytesused = static_cast<uint32_t>(text.size());
    buffer.timestamp = {12, 34};
    REQUIRE(open.ioctl(VIDIOC_QBUF, &buffer) == 0);
    CHECK(buffer.flags & V4L2_BUF_FLAG_QUEUED);
    REQUIRE(open.ioctl(VIDIOC_QBUF, &frame.buffer) == 0);
    open.stream(kSingleCapture);
    open.stream(kSingleOutput);
    buffer = bufferOf(kSingleCapture, frame.buffer.memory);
    buffer.length = kOtherBits;
    buffer.m.userptr = kOtherBits;
    REQUIRE(open.ioctl(VIDIOC_DQBUF, &buffer) == 0);
    CHECK(buffer.type == kSingleCapture);
    CHECK(buffer.bytesused == kFrameBytes);
    CHECK(buffer.timestamp.tv_sec == 12);
    CHECK(buffer.timestamp.tv_usec == 34);
    CHECK(isRight(frame.bytes));
    v4l2_buffer output = bufferOf(kSingleOutput, coded.buffer.memory);
    REQUIRE(open.ioctl(VIDIOC_DQBUF, &output) == 0);
    CHECK(output.bytesused == text.size());
    return buffer;
}

}  // namespace

TEST_CASE("a node has the capability of its API") {
    const auto planes = GENERATE(from_range(apisUnderTest()));
    Open open(planes);
    v4l2_capability cap{};
    REQUIRE(open.ioctl(VIDIOC_QUERYCAP, &cap) == 0);
    const uint32_t both = V4L2_CAP_VIDEO_M2M | V4L2_CAP_VIDEO_M2M_MPLANE;
    const uint32_t expected = planes == PlanesApi::Single ? V4L2_CAP_VIDEO_M2M : V4L2_CAP_VIDEO_M2M_MPLANE;
    CHECK((cap.capabilities & both) == expected);
    CHECK((cap.device_caps & both) == expected);
    CHECK((cap.capabilities & V4L2_CAP_DEVICE_CAPS) != 0);
}

TEST_CASE("the buffer types of the other API, and of none, are EINVAL in every call") {
    const auto planes = GENERATE(from_range(apisUnderTest()));
    Open open(planes);
    const bool single = planes == PlanesApi::Single;
    const std::vector<uint32_t> wrong = {single ? V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE : V4L2_BUF_TYPE_VIDEO_OUTPUT,
                                         single ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE,
                                         V4L2_BUF_TYPE_VBI_CAPTURE,
                                         V4L2_BUF_TYPE_META_OUTPUT,
                                         0,
                                         77};
    for (const uint32_t type : wrong) {
        CAPTURE(single, type);
        const auto got = answers(open, type);
        CHECK(got == std::vector<int>(got.size(), EINVAL));
    }
    // The node's own: no buffers yet, and STREAMOFF needs none.
    const uint32_t right = single ? V4L2_BUF_TYPE_VIDEO_CAPTURE : V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
    const auto got = answers(open, right);
    CHECK(std::vector<int>(got.begin(), got.begin() + 4) == std::vector<int>(4, 0));
    CHECK(got.back() == 0);
    // The V4L2 core takes the types of both for rectangles.
    for (const uint32_t type : {V4L2_BUF_TYPE_VIDEO_CAPTURE, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE}) {
        v4l2_selection selection{};
        selection.type = type;
        selection.target = V4L2_SEL_TGT_COMPOSE;
        CHECK(open.ioctl(VIDIOC_G_SELECTION, &selection) == 0);
        CHECK(selection.r.width == 1280);
        CHECK(selection.type == type);
    }
}

TEST_CASE("only formats of one memory plane are listed, set and sized", "[stateful]") {
    Open open;
    for (const auto& coded : v4l2::codedFormats()) {
        CAPTURE(coded.name);
        open.setOutput(coded.fourcc, 64, 48);
        v4l2_fmtdesc desc{};
        desc.type = kSingleCapture;
        for (; open.ioctl(VIDIOC_ENUM_FMT, &desc) == 0; ++desc.index) {
            const auto* raw = v4l2::findRaw(desc.pixelformat);
            REQUIRE(raw);
            CHECK(raw->memoryPlanes == 1);
        }
        CHECK(desc.index >= 2);
    }
    v4l2_format format{};
    format.type = kSingleCapture;
    format.fmt.pix.pixelformat = V4L2_PIX_FMT_NV12M;
    REQUIRE(open.ioctl(VIDIOC_S_FMT, &format) == 0);
    CHECK(format.fmt.pix.pixelformat == V4L2_PIX_FMT_NV12);
    v4l2_frmsizeenum sizes{};
    sizes.pixel_format = V4L2_PIX_FMT_NV12M;
    CHECK(open.ioctl(VIDIOC_ENUM_FRAMESIZES, &sizes) == EINVAL);
    // Whatever a stream is made of, one of these holds it exactly.
    for (const auto& coded : v4l2::codedFormats()) {
        for (const auto& sampling : coded.samplings) {
            CAPTURE(coded.name, v4l2::nameOf(sampling.chroma), sampling.bitDepth);
            const auto& formats = v4l2::rawFormats();
            CHECK(std::any_of(formats.begin(), formats.end(), [&](const auto& raw) {
                return v4l2::hasFormat(PlanesApi::Single, raw) && v4l2::fitOf(raw, sampling) == v4l2::Fit::Exact;
            }));
        }
    }
}

TEST_CASE("what is behind `priv` counts with the magic number only, which every answer has", "[stateful]") {
    Open open;
    const bool extended = GENERATE(false, true);
    v4l2_format format{};
    format.type = kSingleOutput;
    auto& pix = format.fmt.pix;
    pix = {.width = 64,
           .height = 48,
           .pixelformat = V4L2_PIX_FMT_HEVC,
           .sizeimage = 3 << 20,
           .colorspace = V4L2_COLORSPACE_BT2020,
           .priv = extended ? V4L2_PIX_FMT_PRIV_MAGIC : kOtherBits,
           .ycbcr_enc = V4L2_YCBCR_ENC_BT2020,
           .quantization = V4L2_QUANTIZATION_FULL_RANGE,
           .xfer_func = V4L2_XFER_FUNC_SMPTE2084};
    const auto cmd = GENERATE(VIDIOC_TRY_FMT, VIDIOC_S_FMT);
    REQUIRE(open.ioctl(cmd, &format) == 0);
    CHECK(pix.sizeimage == 3 << 20);
    CHECK(pix.bytesperline == 0);
    CHECK(pix.colorspace == V4L2_COLORSPACE_BT2020);
    CHECK(pix.priv == V4L2_PIX_FMT_PRIV_MAGIC);
    CHECK(pix.ycbcr_enc == (extended ? V4L2_YCBCR_ENC_BT2020 : V4L2_YCBCR_ENC_DEFAULT));
    CHECK(pix.quantization == (extended ? V4L2_QUANTIZATION_FULL_RANGE : V4L2_QUANTIZATION_DEFAULT));
    CHECK(pix.xfer_func == (extended ? V4L2_XFER_FUNC_SMPTE2084 : V4L2_XFER_FUNC_DEFAULT));
    const auto capture = open.format(kSingleCapture);
    CHECK(capture.priv == V4L2_PIX_FMT_PRIV_MAGIC);
    if (cmd != VIDIOC_S_FMT) return;
    CHECK(capture.bytesperline == 64);
    CHECK(capture.sizeimage == kFrameBytes);
    CHECK(capture.ycbcr_enc == pix.ycbcr_enc);
    v4l2::CreateBuffers create{};
    create.count = 1;
    create.memory = V4L2_MEMORY_MMAP;
    create.format.type = kSingleCapture;
    create.format.fmt.pix = {.width = 64, .height = 48, .pixelformat = V4L2_PIX_FMT_NV12, .sizeimage = kFrameBytes - 1};
    CHECK(open.ioctl(VIDIOC_CREATE_BUFS, &create) == EINVAL);
    CHECK(create.format.fmt.pix.sizeimage == kFrameBytes - 1);
    create.format.fmt.pix.sizeimage = kFrameBytes + 4096;
    REQUIRE(open.ioctl(VIDIOC_CREATE_BUFS, &create) == 0);
    CHECK(create.format.type == kSingleCapture);
    CHECK(create.format.fmt.pix.priv == V4L2_PIX_FMT_PRIV_MAGIC);
    v4l2_buffer buffer = bufferOf(kSingleCapture, V4L2_MEMORY_MMAP);
    REQUIRE(open.ioctl(VIDIOC_QUERYBUF, &buffer) == 0);
    CHECK(buffer.length == kFrameBytes + 4096);
}

TEST_CASE("single-planar MMAP buffers: length and offset stand in v4l2_buffer itself") {
    Open open;
    open.setOutput(V4L2_PIX_FMT_H264, 64, 48);
    std::vector<Piece> pieces;
    for (const uint32_t type : {kSingleOutput, kSingleCapture}) {
        open.request(type, V4L2_MEMORY_MMAP);
        v4l2_buffer buffer = bufferOf(type, V4L2_MEMORY_MMAP);
        buffer.length = kOtherBits;  // not read
        buffer.m.userptr = 0x10;
        REQUIRE(open.ioctl(VIDIOC_QUERYBUF, &buffer) == 0);
        CHECK(buffer.type == type);
        CHECK(buffer.length == open.format(type).sizeimage);
        void* const address = open.file->mmap(buffer.length, PROT_READ | PROT_WRITE, buffer.m.offset);
        REQUIRE(address != MAP_FAILED);
        buffer.length = kOtherBits;
        pieces.push_back({buffer, static_cast<unsigned char*>(address)});
    }
    // More than there is, and another kind of memory.
    v4l2_buffer wrong = pieces[0].buffer;
    wrong.bytesused = open.format(kSingleOutput).sizeimage + 1;
    CHECK(open.ioctl(VIDIOC_QBUF, &wrong) == EINVAL);
    wrong.bytesused = 0;
    wrong.memory = V4L2_MEMORY_USERPTR;
    CHECK(open.ioctl(VIDIOC_QBUF, &wrong) == EINVAL);
    v4l2_exportbuffer exported{};
    exported.type = kSingleCapture;
    exported.plane = 1;
    CHECK(open.ioctl(VIDIOC_EXPBUF, &exported) == EINVAL);
    exported.plane = 0;
    exported.flags = O_CLOEXEC;
    REQUIRE(open.ioctl(VIDIOC_EXPBUF, &exported) == 0);
    CHECK(exported.type == kSingleCapture);
    const UniqueFd file(exported.fd);
    CHECK(::fcntl(file.get(), F_GETFD) == FD_CLOEXEC);
    const auto offset = pieces[1].buffer.m.offset;
    const auto taken = decode(open, pieces[0], pieces[1]);
    CHECK(taken.length == kFrameBytes);
    CHECK(taken.m.offset == offset);
    for (const auto& piece : pieces) ::munmap(piece.bytes, 4096);
}

TEST_CASE("single-planar USERPTR buffers: address and length stand in v4l2_buffer itself", "[client-memory]") {
    if (TestNode::transport() == "cuse" && !kernelReachesMemory()) return skip("the node may not reach this process's memory");
    Open open;
    open.setOutput(V4L2_PIX_FMT_H264, 64, 48);
    std::vector<unsigned char> coded(open.format(kSingleOutput).sizeimage + 3);
    std::vector<unsigned char> frame(open.format(kSingleCapture).sizeimage + 3);
    std::vector<Piece> pieces;
    for (auto* bytes : {&coded, &frame}) {
        const uint32_t type = bytes == &coded ? kSingleOutput : kSingleCapture;
        open.request(type, V4L2_MEMORY_USERPTR);
        v4l2_buffer buffer = bufferOf(type, V4L2_MEMORY_USERPTR);
        buffer.length = static_cast<uint32_t>(bytes->size() - 3);
        buffer.m.userptr = reinterpret_cast<unsigned long>(bytes->data() + 3);
        pieces.push_back({buffer, bytes->data() + 3});
        v4l2_buffer wrong = buffer;
        wrong.length -= 1;
        CHECK(open.ioctl(VIDIOC_QBUF, &wrong) == EINVAL);
        wrong = buffer;
        wrong.m.userptr = 0x1000;
        CHECK(open.ioctl(VIDIOC_QBUF, &wrong) == EFAULT);
    }
    const auto taken = decode(open, pieces[0], pieces[1]);
    CHECK(taken.length == pieces[1].buffer.length);
    CHECK(taken.m.userptr == pieces[1].buffer.m.userptr);
    CHECK(frame[0] + frame[1] + frame[2] == 0);
}

TEST_CASE("single-planar DMABUF buffers: the descriptor stands in v4l2_buffer itself, and length 0 is the whole file",
          "[client-memory]") {
    if (TestNode::transport() == "cuse" && !kernelReachesMemory()) return skip("the node may not reach this process's memory");
    Open open;
    const auto owner = open.node.open(0);
    open.setOutput(V4L2_PIX_FMT_H264, 64, 48);
    v4l2_format format{};
    format.type = kSingleOutput;
    format.fmt.pix = {.width = 64, .height = 48, .pixelformat = V4L2_PIX_FMT_H264};
    REQUIRE(owner->ioctl(VIDIOC_S_FMT, &format) == 0);
    std::vector<Piece> pieces;
    std::vector<UniqueFd> files;
    for (const uint32_t type : {kSingleOutput, kSingleCapture}) {
        v4l2_requestbuffers request{};
        request.type = type;
        request.memory = V4L2_MEMORY_MMAP;
        request.count = 1;
        REQUIRE(owner->ioctl(VIDIOC_REQBUFS, &request) == 0);
        v4l2_exportbuffer exported{};
        exported.type = type;
        exported.flags = O_RDWR;
        REQUIRE(owner->ioctl(VIDIOC_EXPBUF, &exported) == 0);
        files.emplace_back(exported.fd);
        void* const address = ::mmap(nullptr, kFrameBytes, PROT_READ | PROT_WRITE, MAP_SHARED, exported.fd, 0);
        REQUIRE(address != MAP_FAILED);
        open.request(type, V4L2_MEMORY_DMABUF);
        v4l2_buffer buffer = bufferOf(type, V4L2_MEMORY_DMABUF);
        buffer.m.fd = exported.fd;
        pieces.push_back({buffer, static_cast<unsigned char*>(address)});
    }
    v4l2_buffer wrong = pieces[1].buffer;
    wrong.length = kFrameBytes - 1;
    CHECK(open.ioctl(VIDIOC_QBUF, &wrong) == EINVAL);
    wrong = pieces[1].buffer;
    wrong.m.fd = -1;
    CHECK(open.ioctl(VIDIOC_QBUF, &wrong) == EINVAL);
    const auto taken = decode(open, pieces[0], pieces[1]);
    CHECK(taken.m.fd == files[1].get());
    CHECK(taken.length >= kFrameBytes);
    for (const auto& piece : pieces) ::munmap(piece.bytes, kFrameBytes);
}
