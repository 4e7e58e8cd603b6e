#include "fake_decoder.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <deque>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include "../bitstream/stream_header.h"
#include "../target_check.h"

namespace daedalus::codec::fake {
namespace {

/// Splits off the next word up to `separator`.
std::string_view next(std::string_view& text, char separator) {
    while (!text.empty() && text.front() == separator) text.remove_prefix(1);
    const std::string_view word = text.substr(0, text.find(separator));
    text.remove_prefix(word.size());
    return word;
}

/// A number, or 0 for what is none.
uint32_t number(std::string_view text) {
    uint32_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

v4l2::Chroma chromaOf(std::string_view name) {
    if (name == "mono") return v4l2::Chroma::Mono;
    if (name == "422") return v4l2::Chroma::Yuv422;
    if (name == "444") return v4l2::Chroma::Yuv444;
    if (name == "440") return v4l2::Chroma::Yuv440;
    if (name == "411") return v4l2::Chroma::Yuv411;
    if (name == "rgb") return v4l2::Chroma::Rgb;
    if (name == "other") return v4l2::Chroma::Other;
    return v4l2::Chroma::Yuv420;
}

enum class Gate : uint8_t { Open, Closed, GivenUp };
std::atomic<Gate> gate = Gate::Open;

void waitAtGate() {
    constexpr std::chrono::seconds kLongest(10);
    const auto deadline = std::chrono::steady_clock::now() + kLongest;
    while (gate == Gate::Closed) {
        if (std::chrono::steady_clock::now() > deadline) gate = Gate::GivenUp;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

class FakeFrame final : public Frame {
public:
    FakeFrame(const StreamFormat& format, uint64_t tag, uint32_t place, PictureType type, bool damaged)
        : format_(format), tag_(tag), place_(place), type_(type), damaged_(damaged) {}

    const StreamFormat& format() const override { return format_; }
    uint64_t tag() const override { return tag_; }
    PictureType pictureType() const override { return type_; }
    bool damaged() const override { return damaged_; }
    const char* pixelFormatName() const override { return "fake"; }
    [[nodiscard]] uint32_t place() const { return place_; }

    Result<> copyTo(const CaptureTarget& target) const override {
        if (!targetFits(target, format_)) return fail(EINVAL);
        for (uint32_t i = 0; i < target.format->channels.size(); ++i) writeChannel(target, i);
        return {};
    }

    uint64_t digest() const override {
        Digest digest;
        const v4l2::Rect& visible = format_.visible;
        for (uint32_t y = 0; y < visible.height; ++y)
            for (uint32_t x = 0; x < visible.width; ++x) {
                const uint16_t sample = fakeSample(place_, 0, x + static_cast<uint32_t>(visible.left),
                                                   y + static_cast<uint32_t>(visible.top), format_.bitDepth);
                digest.add(std::as_bytes(std::span(&sample, 1)));
            }
        return digest.value();
    }

private:
    void writeChannel(const CaptureTarget& target, uint32_t plane) const {
        const v4l2::RawFormat& raw = *target.format;
        const v4l2::Channel& channel = raw.channels[plane];
        const v4l2::ComponentLayout& component = target.layout.component[channel.component];
        const uint32_t samples = component.width / raw.sampleBytes / channel.step;
        const unsigned lost = format_.bitDepth > raw.bitDepth ? format_.bitDepth - raw.bitDepth : 0U;
        const unsigned shift = raw.bits == v4l2::Bits::High ? raw.sampleBytes * 8U - format_.bitDepth : 0U;
        for (uint32_t y = 0; y < component.height; ++y) {
            std::byte* line = target.planes[component.memoryPlane].data() + component.offset + component.stride * y;
            const uint32_t from = plane > 0 && format_.chroma == v4l2::Chroma::Yuv440 ? y / 2 : y;
            for (uint32_t x = 0; x < samples; ++x) {
                const auto sample =
                    static_cast<uint16_t>(fakeSample(place_, plane, x, from, format_.bitDepth) >> lost << shift);
                if (raw.sampleBytes == 2)
                    reinterpret_cast<uint16_t*>(line)[channel.first + x * channel.step] = sample;
                else
                    line[channel.first + x * channel.step] = static_cast<std::byte>(sample);
            }
        }
    }

    StreamFormat format_;
    uint64_t tag_;
    uint32_t place_;
    PictureType type_;
    bool damaged_;
};

class FakeDecoder final : public Decoder {
public:
    Result<> send(std::span<const std::byte> bytes, uint64_t tag) override {
        if (draining_) return fail(EINVAL);
        std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        while (!text.empty()) {
            std::string_view line = next(text, '\n');
            const std::string_view verb = next(line, ' ');
            if (verb == "nomem") throw std::bad_alloc();
            if (verb == "fatal") return fail(static_cast<int>(std::max(1U, number(next(line, ' ')))));
            carryOut(verb, line, tag);
        }
        return {};
    }

    void cutAnywhere() override {}

    Result<Received> receive() override {
        if (results_.empty()) return draining_ ? Received(EndOfStream{}) : Received(NeedInput{});
        Received result = std::move(results_.front());
        results_.pop_front();
        return result;
    }

    std::optional<StreamFormat> headers() const override { return format_.codedWidth ? std::optional(format_) : std::nullopt; }

    Result<> drain() override {
        draining_ = true;
        release(0);
        return {};
    }

    void resume() override { draining_ = false; }

    void flush() override {
        results_.clear();
        held_.clear();
        draining_ = false;
    }

private:
    void carryOut(std::string_view verb, std::string_view line, uint64_t tag) {
        if (verb.empty() || verb == "nothing") return;
        if (verb == "size") return size(line);
        if (verb == "frame" && format_.codedWidth) return frame(line, tag);
        if (verb == "eos") return endMark();
        if (verb == "damage") return results_.push_back(Damaged{tag, std::string(line)});
        results_.push_back(Damaged{tag, "unknown word: " + std::string(verb.substr(0, 32))});
    }

    void endMark() {
        release(0);
        results_.emplace_back(EndOfStream{});
    }

    void size(std::string_view line) {
        std::string_view dimensions = next(line, ' ');
        const uint32_t width = number(next(dimensions, 'x'));
        const uint32_t height = number(next(dimensions, 'x'));
        if (!bitstream::sizeAllowed(width, height)) return;
        // All frames from before come out first, as at the start of a new sequence.
        release(0);
        format_ = {};
        reorder_ = 0;
        bitstream::setSize(format_, width, height);
        while (!line.empty()) option(next(line, ' '), line);
    }

    /// What changes no setup.
    void description(std::string_view word, std::string_view& line) {
        if (word == "bottom") format_.bottomFirst = true;
        if (word == "profile") format_.conformance.profile = static_cast<int>(number(next(line, ' ')) & 0xFF);
        if (word == "level") format_.conformance.level = static_cast<int>(number(next(line, ' ')) & 0xFF);
        if (word == "light") format_.hdr10.contentLight.max = static_cast<uint16_t>(number(next(line, ' ')));
        if (word == "display") format_.hdr10.masteringDisplay.primariesX[0] = static_cast<uint16_t>(number(next(line, ' ')));
        if (word == "colorspace") format_.colorimetry.colorspace = number(next(line, ' '));
        if (word == "aspect") {
            std::string_view aspect = next(line, ' ');
            format_.pixelAspectNum = number(next(aspect, ','));
            format_.pixelAspectDen = number(next(aspect, ','));
        }
        if (word == "tier") format_.conformance.tier = static_cast<int>(number(next(line, ' ')) & 0xFF);
        if (word == "transfer") format_.colorimetry.xferFunc = number(next(line, ' '));
        if (word == "matrix") format_.colorimetry.ycbcrEnc = number(next(line, ' '));
        if (word == "range") format_.colorimetry.quantization = number(next(line, ' '));
    }

    void option(std::string_view word, std::string_view& line) {
        description(word, line);
        if (word == "interlaced") format_.interlaced = true;
        if (word == "depth") format_.bitDepth = static_cast<uint8_t>(std::clamp(number(next(line, ' ')), 8U, 16U));
        if (word == "min") format_.minCaptureBuffers = static_cast<uint8_t>(std::clamp(number(next(line, ' ')), 1U, 32U));
        if (word == "reorder") {
            reorder_ = std::min(number(next(line, ' ')), 16U);
            format_.minCaptureBuffers = bitstream::minCaptureBuffers(reorder_);
        }
        if (word == "chroma") {
            const std::string_view name = next(line, ' ');
            format_.chroma = chromaOf(name);
        }
        if (word == "crop") {
            std::string_view sides = next(line, ' ');
            const uint32_t left = number(next(sides, ','));
            const uint32_t top = number(next(sides, ','));
            const uint32_t right = number(next(sides, ','));
            const uint32_t bottom = number(next(sides, ','));
            v4l2::Rect& visible = format_.visible;
            if (uint64_t{left} + right >= visible.width || uint64_t{top} + bottom >= visible.height) return;
            visible = {static_cast<int32_t>(left), static_cast<int32_t>(top), visible.width - left - right,
                       visible.height - top - bottom};
        }
    }

    void frame(std::string_view line, uint64_t tag) {
        const uint32_t place = number(next(line, ' '));
        PictureType type = PictureType::Unknown;
        bool damaged = false;
        while (!line.empty()) {
            const std::string_view word = next(line, ' ');
            if (word == "I") type = PictureType::Key;
            if (word == "P") type = PictureType::P;
            if (word == "B") type = PictureType::B;
            if (word == "damaged") damaged = true;
            if (word == "gate") waitAtGate();
            if (word == "sleep") {
                constexpr uint32_t kLongest = 10'000;
                std::this_thread::sleep_for(std::chrono::milliseconds(std::min(number(next(line, ' ')), kLongest)));
            }
        }
        held_.push_back(std::make_unique<FakeFrame>(format_, tag, place, type, damaged));
        release(reorder_);
    }

    /// Gives out the lowest places until `keep` frames are held.
    void release(size_t keep) {
        while (held_.size() > keep) {
            const auto lowest = std::ranges::min_element(held_, {}, [](const auto& frame) { return frame->place(); });
            results_.push_back(std::unique_ptr<Frame>(std::move(*lowest)));
            held_.erase(lowest);
        }
    }

    StreamFormat format_;
    size_t reorder_ = 0;
    std::vector<std::unique_ptr<FakeFrame>> held_;
    std::deque<Received> results_;
    bool draining_ = false;
};

class FakeFactory final : public Factory {
public:
    bool supports(v4l2::Codec) const override { return true; }
    const char* decoderName(v4l2::Codec) const override { return "fake"; }
    Result<std::unique_ptr<Decoder>> open(v4l2::Codec, const DecoderOptions&) override {
        return std::make_unique<FakeDecoder>();
    }
};

}  // namespace

void closeGate() { gate = Gate::Closed; }
bool openGate() { return gate.exchange(Gate::Open) == Gate::Closed; }

}  // namespace daedalus::codec::fake

namespace daedalus::codec {

std::unique_ptr<Factory> makeFakeFactory() { return std::make_unique<fake::FakeFactory>(); }

}  // namespace daedalus::codec
