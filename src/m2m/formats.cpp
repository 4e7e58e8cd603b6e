#include "daedalus/m2m/formats.h"

#include <algorithm>

#include "daedalus/base/log.h"

namespace daedalus::m2m {

uint32_t Formats::minCaptureBuffers() const {
    // Before the headers tell better, what is said of a stream that does not tell.
    return stream() ? stream()->minCaptureBuffers : codec::StreamFormat{}.minCaptureBuffers;
}

queue::PlaneSizes Formats::planeSizes(bool ofOutput) const {
    if (ofOutput) return {.count = 1, .bytes = {output_.sizeImage}};
    queue::PlaneSizes sizes;
    sizes.count = capture_.layout.memoryPlanes;
    sizes.bytes = capture_.layout.sizeImage;
    return sizes;
}

std::vector<const v4l2::RawFormat*> Formats::fitting(const codec::StreamFormat* stream) const {
    std::vector<const v4l2::RawFormat*> found;
    if (stream) {
        found = v4l2::formatsFor(stream->sampling());
    } else {
        for (const auto& raw : v4l2::rawFormats())
            if (std::ranges::any_of(output_.coded->samplings,
                                    [&raw](const auto& sampling) { return v4l2::fitOf(raw, sampling) == v4l2::Fit::Exact; }))
                found.push_back(&raw);
    }
    std::erase_if(found, [this](const auto* raw) { return !v4l2::hasFormat(planes_, *raw); });
    return found;
}

v4l2::FrameLayout Formats::captureLayout(const v4l2::RawFormat& raw, uint32_t width, uint32_t height) const {
    if (stream()) return v4l2::layoutOf(raw, stream()->codedWidth, stream()->codedHeight);
    // Clients that set CAPTURE up before the headers, for what a container says, then meet no change.
    const uint32_t block = v4l2::blockSize(output_.coded->codec);
    const auto whole = [block](uint32_t size) { return (size + block - 1) / block * block; };
    return v4l2::layoutOf(raw, whole(width), whole(height));
}

uint32_t Formats::captureField(uint32_t wanted) const {
    if (!stream()) return output_.field;
    return stream()->interlaced && wanted == V4L2_FIELD_INTERLACED ? wanted : stream()->field();
}

void Formats::setColorimetry(const v4l2::Colorimetry& colorimetry) {
    output_.colorimetry = colorimetry;
    describeCapture();
}

void Formats::chooseCapture(const v4l2::RawFormat& raw, uint32_t width, uint32_t height, uint32_t field) {
    chosen_ = true;
    wantedField_ = field;
    setCapture(raw, width, height);
}

void Formats::setOutput(const OutputFormat& format) {
    output_ = format;
    const auto fits = fitting(nullptr);
    const bool stays = std::ranges::find(fits, capture_.raw) != fits.end();
    chosen_ = chosen_ && stays;
    wantedField_ = V4L2_FIELD_ANY;
    setCapture(stays ? *capture_.raw : *fits.front(), output_.width, output_.height);
}

void Formats::headersMissing() {
    codec::StreamFormat placeholder;
    placeholder.codedWidth = capture_.layout.width;
    placeholder.codedHeight = capture_.layout.height;
    placeholder.visible = {0, 0, placeholder.codedWidth, placeholder.codedHeight};
    found(placeholder);
}

Formats::Told Formats::tell() {
    if (!epochs_.untold()) return Told::Nothing;
    const codec::StreamFormat format = epochs_.untold()->format;
    if (format.codedWidth > limits_.maxWidth || format.codedHeight > limits_.maxHeight) {
        log::warn("{}: the stream is {}x{}, and {}x{} is the limit; raise --max-frame-size", session_, format.codedWidth,
                  format.codedHeight, limits_.maxWidth, limits_.maxHeight);
        epochs_.refuse();
        return Told::Refused;
    }
    const auto fits = fitting(&format);
    if (fits.empty()) {
        log::warn(
            "{}: no V4L2 pixel format holds this stream's pictures ({}, {} bits per sample); re-encode it, or decode it "
            "without this node",
            session_, v4l2::nameOf(format.chroma), format.bitDepth);
        epochs_.refuse();
        return Told::Refused;
    }
    epochs_.tell();
    const CaptureFormat before = capture_;
    wantedField_ = V4L2_FIELD_ANY;
    setCapture(bestOf(fits, format), format.codedWidth, format.codedHeight);
    const bool same = before.raw == capture_.raw && before.layout.width == capture_.layout.width &&
                      before.layout.height == capture_.layout.height && before.visible == capture_.visible;
    return same ? Told::SameSetup : Told::Change;
}

bool Formats::giveUpChanges(bool captureStreams) {
    epochs_.refuse();
    if (!captureStreams || !epochs_.giveUpChanges()) return false;
    capture_ = epochs_.setUp()->capture;
    describeCapture();
    return true;
}

bool Formats::describe(uint64_t epoch, const codec::StreamFormat& format) {
    if (!epochs_.describe(epoch, format)) return false;
    describeCapture();
    return true;
}

const v4l2::RawFormat& Formats::bestOf(const std::vector<const v4l2::RawFormat*>& fitting,
                                       const codec::StreamFormat& stream) const {
    const v4l2::RawFormat& current = *capture_.raw;
    const v4l2::Fit fit = v4l2::fitOf(current, stream.sampling());
    if (fit == v4l2::Fit::Exact || (chosen_ && fit == v4l2::Fit::Reduced)) return current;
    // Clients that choose before they know the stream may not know deeper formats at all (GStreamer 1.22).
    if (chosen_) {
        const auto sameDepth = std::ranges::find(fitting, current.bitDepth, &v4l2::RawFormat::bitDepth);
        if (sameDepth != fitting.end()) return **sameDepth;
    }
    return *fitting.front();
}

void Formats::setCapture(const v4l2::RawFormat& raw, uint32_t width, uint32_t height) {
    describeCapture();
    capture_.raw = &raw;
    capture_.layout = captureLayout(raw, width, height);
    const auto& layout = capture_.layout;
    if (stream()) {
        capture_.visible = stream()->visible;
        return;
    }
    // A size that the client knows from a container is rounded up for the buffers only.
    const auto container = captureLayout(raw, output_.width, output_.height);
    const bool same = container.width == layout.width && container.height == layout.height;
    capture_.visible = same ? v4l2::Rect{0, 0, output_.width, output_.height} : v4l2::Rect{0, 0, width, height};
}

void Formats::describeCapture() {
    capture_.field = captureField(wantedField_);
    v4l2::Colorimetry& colours = capture_.colorimetry;
    colours = output_.colorimetry;
    if (!stream()) return;
    const v4l2::Colorimetry& said = stream()->colorimetry;
    if (said.colorspace != V4L2_COLORSPACE_DEFAULT) colours.colorspace = said.colorspace;
    if (said.xferFunc != V4L2_XFER_FUNC_DEFAULT) colours.xferFunc = said.xferFunc;
    if (said.ycbcrEnc != V4L2_YCBCR_ENC_DEFAULT) colours.ycbcrEnc = said.ycbcrEnc;
    if (said.quantization != V4L2_QUANTIZATION_DEFAULT) colours.quantization = said.quantization;
}

}  // namespace daedalus::m2m
