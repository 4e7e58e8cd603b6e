#include "paths.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "../gather.h"

namespace daedalus::transport::notify {
namespace {

constexpr uint64_t kPage = 4096;
constexpr int kMostLinks = 8;

}  // namespace

Result<std::string> readPath(pid_t tid, uint64_t address) {
    std::string path;
    // Up to the end of each page: the next one may not be there.
    while (path.size() < PATH_MAX) {
        std::array<char, 256> piece;
        const uint64_t toEnd = kPage - (address + path.size()) % kPage;
        const auto part = std::span(piece).first(std::min<uint64_t>(piece.size(), toEnd));
        if (auto read = readProcess(tid, address + path.size(), std::as_writable_bytes(part)); !read) return fail(read.error());
        const size_t length = ::strnlen(part.data(), part.size());
        path.append(part.data(), length);
        if (length < part.size()) return path;
    }
    return fail(ENAMETOOLONG);
}

bool leadsTo(const std::string& wanted, const std::string& path, int folder, const ThreadView& thread) {
    namespace fs = std::filesystem;
    fs::path full = path;
    if (path.empty()) return false;
    if (full.is_relative()) {
        const auto base = thread.link(folder == AT_FDCWD ? "cwd" : "fd/" + std::to_string(folder));
        if (!base) return false;
        full = *base / full;
    }
    for (int links = 0; links < kMostLinks; ++links) {
        full = full.lexically_normal();
        if (full == wanted) return true;
        const auto target = thread.link("root" + full.string());
        if (!target) return false;
        full = full.parent_path() / *target;
    }
    return false;
}

std::optional<int> reopened(const std::string& path, const ThreadView& thread) {
    std::string_view rest = path;
    const std::string own = "/proc/" + std::to_string(thread.tid()) + "/fd/";
    for (const std::string_view prefix : {std::string_view("/proc/self/fd/"), std::string_view("/proc/thread-self/fd/"),
                                          std::string_view("/dev/fd/"), std::string_view(own)}) {
        if (!rest.starts_with(prefix)) continue;
        rest.remove_prefix(prefix.size());
        int fd = -1;
        const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), fd);
        if (error == std::errc() && end == rest.data() + rest.size()) return fd;
        return std::nullopt;
    }
    return std::nullopt;
}

}  // namespace daedalus::transport::notify
