// What the codec tests share: running a decoder to its end, and the MD5 of a frame as FFmpeg's framemd5 computes it.
#pragma once

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "daedalus/codec/decoder.h"
#include "synth.h"

namespace daedalus::test {

/// For builds of libavcodec that cannot make the stream.
inline void skipWithoutEncoder() { WARN("skipped: this libavcodec has no encoder for the stream"); }

/// Writes headers bit by bit.
class BitWriter {
public:
    void bits(uint32_t value, unsigned count) {
        while (count-- > 0) bits_.push_back(value >> count & 1U);
    }
    [[nodiscard]] std::vector<uint8_t> bytes() const {
        std::vector<uint8_t> all((bits_.size() + 7) / 8);
        for (size_t i = 0; i < bits_.size(); ++i) all[i / 8] |= static_cast<uint8_t>(bits_[i] << (7 - i % 8));
        return all;
    }

private:
    std::vector<bool> bits_;
};

/// A CAPTURE buffer in memory of its own.
struct CaptureMemory {
    CaptureMemory(const v4l2::RawFormat& format, uint32_t width, uint32_t height) {
        target.format = &format;
        target.layout = v4l2::layoutOf(format, width, height);
        for (uint32_t i = 0; i < target.layout.memoryPlanes; ++i) {
            planes.emplace_back(target.layout.sizeImage[i], std::byte{0xEE});
            target.planes[i] = planes.back();
        }
    }
    CaptureMemory(const CaptureMemory&) = delete;
    CaptureMemory& operator=(const CaptureMemory&) = delete;
    std::vector<std::vector<std::byte>> planes;
    codec::CaptureTarget target;
};

/// Raw formats that fit the frame.
inline std::vector<const v4l2::RawFormat*> formatsFor(const codec::StreamFormat& format) {
    std::vector<const v4l2::RawFormat*> found;
    for (const v4l2::RawFormat& raw : v4l2::rawFormats())
        if (v4l2::fits(raw, format.chroma, format.bitDepth)) found.push_back(&raw);
    return found;
}

/// The visible samples of a CAPTURE buffer in planar order, and their MD5.
inline std::string visibleMd5(const CaptureMemory& memory, const codec::StreamFormat& format) {
    const v4l2::RawFormat& raw = *memory.target.format;
    const int shiftX = format.chroma == v4l2::Chroma::Yuv420 || format.chroma == v4l2::Chroma::Yuv422;
    const int shiftY = format.chroma == v4l2::Chroma::Yuv420;
    std::vector<std::byte> samples;
    for (uint32_t plane = 0; plane < (format.chroma == v4l2::Chroma::Mono ? 1U : 3U); ++plane) {
        const bool interleaved = plane > 0 && raw.colorPlanes == 2;
        const v4l2::ComponentLayout& component = memory.target.layout.component[interleaved ? 1 : plane];
        const int x = plane ? shiftX : 0;
        const int y = plane ? shiftY : 0;
        const int right = (format.visible.left + static_cast<int>(format.visible.width) + x) >> x;
        const int bottom = (format.visible.top + static_cast<int>(format.visible.height) + y) >> y;
        for (int row = format.visible.top >> y; row < bottom; ++row) {
            const std::byte* line = memory.target.planes[component.memoryPlane].data() + component.offset +
                                    component.stride * static_cast<size_t>(row);
            for (int column = format.visible.left >> x; column < right; ++column) {
                const auto index = static_cast<size_t>(interleaved ? 2 * column + static_cast<int>(plane) - 1 : column);
                if (raw.sampleBytes == 1) {
                    samples.push_back(line[index]);
                } else {
                    uint16_t sample = 0;
                    std::memcpy(&sample, line + 2 * index, 2);
                    sample = static_cast<uint16_t>(sample >> (16 - raw.bitDepth));
                    samples.push_back(static_cast<std::byte>(sample & 0xFF));
                    samples.push_back(static_cast<std::byte>(sample >> 8));
                }
            }
        }
    }
    return md5(samples);
}

/// The frame's MD5 through `raw`, or what went wrong.
inline std::string frameMd5(const codec::Frame& frame, const v4l2::RawFormat& raw) {
    CaptureMemory memory(raw, frame.format().codedWidth, frame.format().codedHeight);
    if (const auto result = frame.copyTo(memory.target); !result) return "errno " + std::to_string(result.error().value);
    return visibleMd5(memory, frame.format());
}

/// All that a decoder gave.
struct Output {
    std::vector<std::unique_ptr<codec::Frame>> frames;
    std::vector<codec::Damaged> damaged;
    int error = 0;
    bool ended = false;

    [[nodiscard]] std::vector<std::string> md5s() const {
        std::vector<std::string> sums;
        for (const auto& frame : frames) {
            const auto formats = formatsFor(frame->format());
            sums.push_back(formats.empty() ? "no raw format" : frameMd5(*frame, *formats.front()));
        }
        return sums;
    }
};

/// Receives until there is nothing more.
inline void receiveAll(codec::Decoder& decoder, Output& output) {
    for (;;) {
        auto received = decoder.receive();
        if (!received) {
            output.error = received.error().value;
            return;
        }
        if (auto* frame = std::get_if<std::unique_ptr<codec::Frame>>(&*received)) {
            output.frames.push_back(std::move(*frame));
        } else if (auto* damage = std::get_if<codec::Damaged>(&*received)) {
            output.damaged.push_back(std::move(*damage));
        } else {
            output.ended = std::holds_alternative<codec::EndOfStream>(*received);
            return;
        }
    }
}

/// Sends the buffers (tags 0, 1, 2 …), drains if told to, and gives all that came.
inline Output decodeAll(codec::Decoder& decoder, const std::vector<std::vector<std::byte>>& buffers, bool drain = true) {
    Output output;
    uint64_t tag = 0;
    for (const auto& buffer : buffers) {
        if (const auto sent = decoder.send(buffer, tag++); !sent) {
            output.error = sent.error().value;
            return output;
        }
        receiveAll(decoder, output);
    }
    if (!drain) return output;
    if (const auto drained = decoder.drain(); !drained) output.error = drained.error().value;
    receiveAll(decoder, output);
    return output;
}

inline std::vector<std::vector<std::byte>> buffersOf(const SynthStream& stream) {
    std::vector<std::vector<std::byte>> buffers;
    for (const AccessUnit& unit : stream.units) buffers.push_back(unit.bytes);
    return buffers;
}

}  // namespace daedalus::test
