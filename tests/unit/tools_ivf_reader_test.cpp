#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

#include "src/tools/ivf_reader.h"

using namespace daedalus;
using tools::IvfReader;

namespace {

/// A file with these bytes, removed at the end.
class TemporaryFile {
public:
    explicit TemporaryFile(const std::string& bytes) {
        const int fd = ::mkstemp(path_.data());
        REQUIRE(fd >= 0);
        REQUIRE(::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
        ::close(fd);
    }
    ~TemporaryFile() { ::unlink(path_.c_str()); }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_ = "/tmp/daedalus-test-XXXXXX";
};

std::string number(uint64_t value, unsigned bytes) {
    std::string text;
    for (; bytes-- > 0; value >>= 8) text += static_cast<char>(value & 0xff);
    return text;
}

std::string header(uint32_t den, uint32_t num) {
    return "DKIF" + number(0, 2) + number(32, 2) + "VP90" + number(320, 2) + number(240, 2) + number(den, 4) + number(num, 4) +
           number(2, 4) + number(0, 4);
}

std::string frame(uint64_t pts, const std::string& bytes) { return number(bytes.size(), 4) + number(pts, 8) + bytes; }

std::string text(const IvfReader::Frame& frame) {
    return {reinterpret_cast<const char*>(frame.bytes.data()), frame.bytes.size()};
}

}  // namespace

TEST_CASE("frames come in order, also with a time base of 0") {
    const TemporaryFile file(header(0, 0) + frame(0, "first") + frame(7, "") + frame(9, "third"));
    auto reader = IvfReader::open(file.path());
    REQUIRE(reader);
    CHECK(reader->header().fourcc == 0x30395056);
    CHECK(reader->header().width == 320);
    CHECK(reader->header().height == 240);
    CHECK(reader->header().timeBaseDen == 0);
    auto next = reader->next();
    REQUIRE(next);
    CHECK(text(*next) == "first");
    next = reader->next();
    REQUIRE(next);
    CHECK(next->pts == 7);
    CHECK(next->bytes.empty());
    next = reader->next();
    REQUIRE(next);
    CHECK(text(*next) == "third");
    CHECK_FALSE(reader->next());
}

TEST_CASE("a last frame that is cut short comes as far as it goes") {
    const TemporaryFile file(header(25, 1) + number(0xffffffff, 4) + number(1, 8) + "rest");
    auto reader = IvfReader::open(file.path());
    REQUIRE(reader);
    const auto next = reader->next();
    REQUIRE(next);
    CHECK(text(*next) == "rest");
    CHECK_FALSE(reader->next());
}

TEST_CASE("what is no IVF file is refused") {
    CHECK(IvfReader::open("/nonexistent").error() == Errno{ENOENT});
    for (const std::string& bytes : {std::string(), std::string("DKIF"), std::string(64, 'x')}) {
        const TemporaryFile file(bytes);
        const auto reader = IvfReader::open(file.path());
        REQUIRE_FALSE(reader);
        CHECK(reader.error() == Errno{EINVAL});
    }
}
