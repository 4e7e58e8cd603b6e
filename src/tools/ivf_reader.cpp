#include "ivf_reader.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace daedalus::tools {
namespace {

/// A little-endian number of the file.
uint64_t number(const std::byte* bytes, unsigned count) {
    uint64_t value = 0;
    for (unsigned i = count; i-- > 0;) value = value << 8 | std::to_integer<uint64_t>(bytes[i]);
    return value;
}

}  // namespace

Result<IvfReader> IvfReader::open(const std::string& path) {
    IvfReader reader(File(std::fopen(path.c_str(), "rbe")));
    if (!reader.file_) return fail(errno);
    std::array<std::byte, 32> header{};
    if (std::fread(header.data(), 1, header.size(), reader.file_.get()) != header.size()) return fail(EINVAL);
    if (std::memcmp(header.data(), "DKIF", 4) != 0) return fail(EINVAL);
    const auto headerSize = static_cast<long>(number(&header[6], 2));
    if (headerSize > 32 && std::fseek(reader.file_.get(), headerSize, SEEK_SET) != 0) return fail(EINVAL);
    reader.header_.fourcc = static_cast<uint32_t>(number(&header[8], 4));
    reader.header_.width = static_cast<uint32_t>(number(&header[12], 2));
    reader.header_.height = static_cast<uint32_t>(number(&header[14], 2));
    reader.header_.timeBaseDen = static_cast<uint32_t>(number(&header[16], 4));
    reader.header_.timeBaseNum = static_cast<uint32_t>(number(&header[20], 4));
    return reader;
}

std::optional<IvfReader::Frame> IvfReader::next() {
    std::array<std::byte, 12> header{};
    if (std::fread(header.data(), 1, header.size(), file_.get()) != header.size()) return std::nullopt;
    uint64_t left = number(header.data(), 4);
    // In steps: the size is the file's word, and may be far beyond its end.
    constexpr uint64_t kStep = 1U << 20;
    frame_.clear();
    while (left > 0) {
        const size_t step = std::min(left, kStep);
        const size_t at = frame_.size();
        frame_.resize(at + step);
        const size_t got = std::fread(frame_.data() + at, 1, step, file_.get());
        frame_.resize(at + got);
        if (got < step) break;
        left -= got;
    }
    return Frame{.pts = number(&header[4], 8), .bytes = frame_};
}

}  // namespace daedalus::tools
