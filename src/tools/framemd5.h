// Writes FFmpeg's framemd5 format: one line per frame, its last column the MD5 of the frame's bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>

namespace daedalus::tools {

/// A fraction, as time bases and aspect ratios are.
struct Fraction {
    int64_t num = 0;
    int64_t den = 1;
};

/// Writes to a stdio stream that stays the caller's.
class FrameMd5Writer {
public:
    FrameMd5Writer(std::FILE* out, Fraction timeBase, Fraction sampleAspect)
        : out_(out), timeBase_(timeBase), sampleAspect_(sampleAspect) {}

    /// `pts` and `duration` in units of the time base. The first frame's size goes into the header.
    void frame(uint32_t width, uint32_t height, int64_t pts, int64_t duration, std::span<const std::byte> bytes);

private:
    void header(uint32_t width, uint32_t height);

    std::FILE* out_;
    Fraction timeBase_;
    Fraction sampleAspect_;
    bool headerWritten_ = false;
};

/// 32 hex digits.
[[nodiscard]] std::string md5Hex(std::span<const std::byte> bytes);

}  // namespace daedalus::tools
