// What a client of the stateless decoder may change when, and how CAPTURE follows what it says.
#include <algorithm>

#include "daedalus/m2m/stateless.h"

namespace daedalus::m2m {

std::vector<const v4l2::RawFormat*> StatelessContext::fitting(const v4l2::ControlValues& values) const {
    auto found = v4l2::formatsFor(codec::samplingOf(outputFormat_.coded->codec, values));
    std::erase_if(found, [this](const auto* raw) { return !v4l2::hasFormat(resources_.planes, *raw); });
    return found;
}

v4l2::FrameLayout StatelessContext::captureLayout(const v4l2::RawFormat& raw, uint32_t, uint32_t) const {
    const uint32_t block = v4l2::blockSize(outputFormat_.coded->codec);
    const auto whole = [block](uint32_t size) { return (size + block - 1) / block * block; };
    return v4l2::layoutOf(raw, whole(outputFormat_.width), whole(outputFormat_.height));
}

void StatelessContext::setCapture(const v4l2::RawFormat& raw) {
    captureFormat_.raw = &raw;
    captureFormat_.layout = captureLayout(raw, 0, 0);
    captureFormat_.visible = {0, 0, outputFormat_.width, outputFormat_.height};
    captureFormat_.field = outputFormat_.field;
    captureFormat_.colorimetry = outputFormat_.colorimetry;
}

Result<> StatelessContext::changeOutput(const OutputFormat& format) {
    const bool otherCodec = outputFormat_.coded != format.coded;
    if (output_.isStreaming() || capture_.isBusy() || (output_.isBusy() && otherCodec)) return fail(EBUSY);
    outputFormat_ = format;
    if (otherCodec && strand_) PictureStrand::retire(std::move(strand_));
    const auto fits = fitting(values_);
    setCapture(fits.empty() ? *v4l2::formatsFor({v4l2::Chroma::Yuv420, 8}).front() : *fits.front());
    return {};
}

Result<> StatelessContext::changeCapture(const v4l2::RawFormat& raw, uint32_t, uint32_t, uint32_t) {
    if (capture_.isBusy()) return fail(EBUSY);
    setCapture(raw);
    return {};
}

Result<> StatelessContext::checkValues(const v4l2::ControlValues& values) const {
    const auto codec = outputFormat_.coded->codec;
    const auto sps = values.get<v4l2_ctrl_h264_sps>(V4L2_CID_STATELESS_H264_SPS);
    if (sps.bit_depth_luma_minus8 != sps.bit_depth_chroma_minus8) return fail(EINVAL);
    if (fitting(values).empty()) return fail(EINVAL);
    const auto size = codec::sizeOf(codec, values);
    if (size && (size->width > captureFormat_.layout.width || size->height > captureFormat_.layout.height)) return fail(EINVAL);
    return {};
}

Result<> StatelessContext::setValues(const v4l2::ControlValues& values) {
    if (auto ok = checkValues(values); !ok) return ok;
    auto all = values_;
    all.overlay(values);
    const auto codec = outputFormat_.coded->codec;
    const bool changes = codec::samplingOf(codec, all) != codec::samplingOf(codec, values_);
    if (changes && capture_.isBusy()) return fail(EBUSY);
    values_ = std::move(all);
    if (changes) setCapture(*offered().front());
    return {};
}

}  // namespace daedalus::m2m
