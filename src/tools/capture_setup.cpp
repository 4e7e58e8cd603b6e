// The capture setup sequence: after the headers of the stream, and again after each source change.
#include <algorithm>
#include <cerrno>

#include "daedalus/base/log.h"
#include "decoder_client.h"

namespace daedalus::tools {
namespace {

/// More than the stream needs, so that the node decodes on while frames are looked at.
constexpr uint32_t kSpareBuffers = 4;

/// Formats whose bytes are those of FFmpeg's own frames, once the planes are put one after the other.
constexpr uint32_t kNativeFormats[] = {V4L2_PIX_FMT_YUV420,  V4L2_PIX_FMT_YUV422P, V4L2_PIX_FMT_YUV444M,
                                       V4L2_PIX_FMT_YUV420M, V4L2_PIX_FMT_YUV422M, V4L2_PIX_FMT_GREY,
                                       V4L2_PIX_FMT_YUV411P, V4L2_PIX_FMT_Y10,     V4L2_PIX_FMT_Y12};

}  // namespace

Outcome<const v4l2::RawFormat*> DecoderClient::chooseCaptureFormat(uint32_t current) {
    constexpr uint32_t kType = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
    std::string offered;
    if (settings_.capture != nullptr) {
        if (offers(endpoint_, kType, settings_.capture->fourcc, &offered)) return settings_.capture;
        return failure("{}: unsupported format {} for this stream: the node offers {}; choose one of these with --capture",
                       endpoint_.name(), settings_.capture->name, offered.empty() ? "nothing" : offered);
    }
    const auto suits = [this](const v4l2::RawFormat& format) {
        const bool exact = sampling_.bitDepth == 0 || v4l2::fitOf(format, sampling_) == v4l2::Fit::Exact;
        return exact && offers(endpoint_, kType, format.fourcc, nullptr);
    };
    for (const uint32_t fourcc : kNativeFormats)
        if (const auto* format = v4l2::findRaw(fourcc); suits(*format)) return format;
    for (const v4l2::RawFormat& format : v4l2::rawFormats())
        if (suits(format)) return &format;
    // Samples may have zeros below, of which the node knows: what it has chosen holds them where they stand.
    if (const auto* own = v4l2::findRaw(current);
        own != nullptr && own->bits == v4l2::Bits::High && sampling_.bitDepth == 8 * own->sampleBytes)
        return own;
    (void)offers(endpoint_, kType, 0, &offered);
    return failure(
        "{}: unsupported format: for this stream (its chroma sampling, its bit depth) the node offers {}; choose another "
        "--device",
        endpoint_.name(), offered.empty() ? "nothing" : offered);
}

v4l2::Sampling DecoderClient::streamSampling() {
    const auto value = [this](uint32_t id) {
        v4l2_control control{};
        control.id = id;
        return endpoint_.ioctl(VIDIOC_G_CTRL, &control) == 0 ? control.value : 0;
    };
    const int32_t depth = value(V4L2_CID_DAEDALUS_STREAM_BIT_DEPTH);
    const int32_t chroma = value(V4L2_CID_DAEDALUS_STREAM_CHROMA);
    if (depth < 1 || depth > 16 || chroma < 0 || chroma >= static_cast<int32_t>(v4l2::Chroma::Other)) return {};
    return {static_cast<v4l2::Chroma>(chroma), static_cast<uint8_t>(depth)};
}

v4l2::Rect DecoderClient::visibleRect() const {
    v4l2::Rect whole{.width = captureFormat_.width, .height = captureFormat_.height};
    // The first is where the visible picture lies in the buffer; not every driver has it.
    for (const uint32_t target : {V4L2_SEL_TGT_COMPOSE, V4L2_SEL_TGT_COMPOSE_DEFAULT, V4L2_SEL_TGT_CROP}) {
        v4l2_selection selection{};
        selection.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        selection.target = target;
        if (endpoint_.ioctl(VIDIOC_G_SELECTION, &selection) != 0) continue;
        const v4l2::Rect rect{selection.r.left, selection.r.top, selection.r.width, selection.r.height};
        if (rect.width > 0 && rect.height > 0) return rect;
    }
    return whole;
}

v4l2::Rect DecoderClient::croppedByContainer(v4l2::Rect visible) {
    const auto macroblocks = [](uint32_t pixels) { return (pixels + 15) / 16; };
    const StreamInfo& container = source_.info();
    const bool within = container.width > 0 && container.height > 0 && visible.left == 0 && visible.top == 0 &&
                        container.width <= visible.width && container.height <= visible.height &&
                        macroblocks(container.width) == macroblocks(visible.width) &&
                        macroblocks(container.height) == macroblocks(visible.height);
    containerCrops_ = containerCrops_ && within && container.codec == v4l2::Codec::H264;
    return containerCrops_ ? v4l2::Rect{0, 0, container.width, container.height} : visible;
}

uint32_t DecoderClient::minCaptureBuffers() {
    v4l2_control control{};
    control.id = V4L2_CID_MIN_BUFFERS_FOR_CAPTURE;
    if (endpoint_.ioctl(VIDIOC_G_CTRL, &control) != 0 || control.value < 1) return 1;
    return std::min<uint32_t>(static_cast<uint32_t>(control.value), VIDEO_MAX_FRAME - kSpareBuffers);
}

Outcome<> DecoderClient::setUpCapture() {
    sourceChanged_ = false;
    v4l2_format format{};
    format.type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
    if (endpoint_.ioctl(VIDIOC_G_FMT, &format) != 0) return callFailure(endpoint_, "VIDIOC_G_FMT(CAPTURE)", errno);
    sampling_ = streamSampling();
    const auto raw = chooseCaptureFormat(format.fmt.pix_mp.pixelformat);
    if (!raw) return failure(raw.error());
    rawFormat_ = *raw;

    const uint32_t width = format.fmt.pix_mp.width;
    const uint32_t height = format.fmt.pix_mp.height;
    format.fmt.pix_mp.pixelformat = rawFormat_->fourcc;
    format.fmt.pix_mp.num_planes = rawFormat_->memoryPlanes;
    for (auto& plane : format.fmt.pix_mp.plane_fmt) plane = {};
    if (endpoint_.ioctl(VIDIOC_S_FMT, &format) != 0) return callFailure(endpoint_, "VIDIOC_S_FMT(CAPTURE)", errno);
    captureFormat_ = format.fmt.pix_mp;
    if (captureFormat_.pixelformat != rawFormat_->fourcc || captureFormat_.num_planes != rawFormat_->memoryPlanes)
        return failure("{}: unsupported format {} for this stream, although the node lists it; choose another with --capture",
                       endpoint_.name(), rawFormat_->name);
    if (captureFormat_.width < width || captureFormat_.height < height)
        return failure("{}: a {} frame of {}x{} is too large for the node; choose another --device", endpoint_.name(),
                       rawFormat_->name, width, height);
    visible_ = croppedByContainer(visibleRect());
    summary_.width = visible_.width;
    summary_.height = visible_.height;
    summary_.format = rawFormat_->name;
    log::debug("capture setup: {}x{} {}, visible {}x{} at {},{}", uint32_t{captureFormat_.width},
               uint32_t{captureFormat_.height}, rawFormat_->name, visible_.width, visible_.height, visible_.left, visible_.top);

    if (const auto done = capture_.allocate(minCaptureBuffers() + kSpareBuffers, captureFormat_); !done) return done;
    for (uint32_t index = 0; index < capture_.count(); ++index)
        if (const auto done = capture_.queue(index); !done) return done;
    if (const auto done = capture_.streamOn(); !done) return done;
    progressed();
    return inputEnded_ ? stop() : Outcome<>();
}

}  // namespace daedalus::tools
