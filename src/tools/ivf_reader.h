// Reads IVF files, also those that libavformat refuses because their time base is 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "daedalus/base/result.h"

namespace daedalus::tools {

/// One file, from its beginning to its end.
class IvfReader {
public:
    struct Header {
        uint32_t fourcc = 0;
        uint32_t width = 0;
        uint32_t height = 0;
        uint32_t timeBaseNum = 0;  ///< seconds per tick, as the file has it: may be 0
        uint32_t timeBaseDen = 0;
    };
    struct Frame {
        uint64_t pts = 0;
        std::span<const std::byte> bytes;  ///< until the next call
    };

    /// EINVAL: not an IVF file; else open()'s errno.
    [[nodiscard]] static Result<IvfReader> open(const std::string& path);

    [[nodiscard]] const Header& header() const { return header_; }
    /// The next frame, or nothing at the end. A last frame that is cut short comes as far as it goes.
    [[nodiscard]] std::optional<Frame> next();

private:
    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    using File = std::unique_ptr<std::FILE, Close>;
    explicit IvfReader(File file) : file_(std::move(file)) {}

    File file_;
    Header header_;
    std::vector<std::byte> frame_;
};

}  // namespace daedalus::tools
