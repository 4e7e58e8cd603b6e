// What the codec tests share: running a decoder to its end, and the MD5 of a frame as FFmpeg's framemd5 computes it.
#pragma once

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "daedalus/codec/decoder.h"
#include "skip.h"
#include "synth.h"

namespace daedalus::test {

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

/// Raw formats that hold the frame without loss.
inline std::vector<const v4l2::RawFormat*> formatsFor(const codec::StreamFormat& format) {
    auto found = v4l2::formatsFor(format.sampling());
    std::erase_if(found, [&](const auto* raw) { return v4l2::fitOf(*raw, format.sampling()) != v4l2::Fit::Exact; });
    return found;
}

/// The bytes at a sample's place, as a number.
inline unsigned wordAt(const CaptureMemory& memory, const v4l2::Channel& channel, int x, int y) {
    const v4l2::ComponentLayout& component = memory.target.layout.component[channel.component];
    const size_t bytes = memory.target.format->sampleBytes;
    const std::byte* sample = memory.target.planes[component.memoryPlane].data() + component.offset +
                              component.stride * static_cast<size_t>(y) +
                              (channel.first + static_cast<size_t>(x) * channel.step) * bytes;
    uint16_t word = 0;
    std::memcpy(&word, sample, bytes);
    return word;
}

/// The visible samples of a CAPTURE buffer as the decoder's own planes (Y, Cb, Cr or G, B, R).
inline std::vector<std::byte> visibleSamples(const CaptureMemory& memory, const codec::StreamFormat& format) {
    const v4l2::RawFormat& raw = *memory.target.format;
    const bool rgb = format.chroma == v4l2::Chroma::Rgb;
    const int lineStep = format.chroma == v4l2::Chroma::Yuv440 ? 2 : 1;
    const unsigned kept = std::min(raw.bitDepth, format.bitDepth);
    const unsigned shift = raw.bits == v4l2::Bits::High ? 16U - kept : 0;
    std::vector<std::byte> samples;
    for (size_t plane = 0; plane < raw.channels.size(); ++plane) {
        const v4l2::Channel& channel = raw.channels[rgb ? (plane + 1) % 3 : plane];
        const v4l2::ChromaShift down = plane > 0 ? v4l2::shiftOf(format.chroma) : v4l2::ChromaShift{};
        const auto x = static_cast<int>(down.across);
        const auto y = static_cast<int>(down.down);
        const int right = (format.visible.left + static_cast<int>(format.visible.width) + (1 << x) - 1) >> x;
        const int bottom = (format.visible.top + static_cast<int>(format.visible.height) + (1 << y) - 1) >> y;
        for (int row = format.visible.top >> y; row < bottom; ++row) {
            for (int column = format.visible.left >> x; column < right; ++column) {
                const unsigned sample = wordAt(memory, channel, column, row * (plane > 0 ? lineStep : 1)) >> shift;
                samples.push_back(static_cast<std::byte>(sample & 0xFF));
                if (raw.sampleBytes == 2) samples.push_back(static_cast<std::byte>(sample >> 8));
            }
        }
    }
    return samples;
}

inline std::string visibleMd5(const CaptureMemory& memory, const codec::StreamFormat& format) {
    return md5(visibleSamples(memory, format));
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
        } else if (!std::holds_alternative<codec::Working>(*received)) {
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
