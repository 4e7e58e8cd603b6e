#include <catch2/catch.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "src/tools/framemd5.h"

using namespace daedalus::tools;

namespace {

struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
};

std::string written(const std::vector<std::vector<std::byte>>& frames) {
    const std::unique_ptr<std::FILE, Close> file(std::tmpfile());
    FrameMd5Writer writer(file.get(), {1, 25}, {1, 1});
    int64_t pts = 0;
    for (const auto& frame : frames) writer.frame(320, 240, pts++, 1, frame);
    std::string text(static_cast<size_t>(std::ftell(file.get())), '\0');
    std::rewind(file.get());
    text.resize(std::fread(text.data(), 1, text.size(), file.get()));
    return text;
}

}  // namespace

TEST_CASE("MD5 sums are those of everybody else") {
    CHECK(md5Hex({}) == "d41d8cd98f00b204e9800998ecf8427e");
    const std::string text = "abc";
    CHECK(md5Hex(std::as_bytes(std::span(text))) == "900150983cd24fb0d6963f7d28e17f72");
}

TEST_CASE("lines have FFmpeg's columns") {
    const std::string text = written({std::vector<std::byte>(115200), std::vector<std::byte>(4)});
    CHECK(text.find("#format: frame checksums\n#version: 2\n#hash: MD5\n") == 0);
    CHECK(text.find("#tb 0: 1/25\n") != std::string::npos);
    CHECK(text.find("#dimensions 0: 320x240\n") != std::string::npos);
    CHECK(text.find("#stream#, dts,        pts, duration,     size, hash\n"
                    "0,          0,          0,        1,   115200, ") != std::string::npos);
    CHECK(text.find("\n0,          1,          1,        1,        4, f1d3ff8443297732862df21dc4e57262\n") !=
          std::string::npos);
}

TEST_CASE("without a frame nothing is written") { CHECK(written({}).empty()); }
