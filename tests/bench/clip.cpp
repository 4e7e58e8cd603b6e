#include "clip.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>

namespace daedalus::bench {
namespace {

/// The head of a file; the sizes of the units and their bytes follow.
struct Head {
    std::array<char, 8> codec{};
    uint32_t width = 0;
    uint32_t height = 0;
    uint32_t count = 0;
};

template <class T>
bool readInto(std::ifstream& file, T* into, size_t count) {
    file.read(reinterpret_cast<char*>(into), static_cast<std::streamsize>(count * sizeof(T)));
    return file.good();
}

template <class T>
void writeFrom(std::ofstream& file, const T* from, size_t count) {
    file.write(reinterpret_cast<const char*>(from), static_cast<std::streamsize>(count * sizeof(T)));
}

}  // namespace

std::optional<Clip> loadClip(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    Head head;
    if (!file || !readInto(file, &head, 1) || head.count == 0) return std::nullopt;
    std::vector<uint32_t> sizes(head.count);
    if (!readInto(file, sizes.data(), sizes.size())) return std::nullopt;
    Clip clip;
    clip.codec = std::string(head.codec.data(), ::strnlen(head.codec.data(), head.codec.size()));
    clip.width = head.width;
    clip.height = head.height;
    for (const uint32_t size : sizes) {
        auto& unit = clip.units.emplace_back(size);
        if (!readInto(file, unit.data(), size)) return std::nullopt;
    }
    return clip;
}

bool saveClip(const Clip& clip, const std::string& path) {
    std::ofstream file(path, std::ios::binary);
    Head head;
    std::copy_n(clip.codec.begin(), std::min(clip.codec.size(), head.codec.size()), head.codec.begin());
    head.width = clip.width;
    head.height = clip.height;
    head.count = static_cast<uint32_t>(clip.units.size());
    writeFrom(file, &head, 1);
    for (const auto& unit : clip.units) {
        const auto size = static_cast<uint32_t>(unit.size());
        writeFrom(file, &size, 1);
    }
    for (const auto& unit : clip.units) writeFrom(file, unit.data(), unit.size());
    file.close();
    return file.good();
}

std::vector<Clip> loadClips(std::string_view paths) {
    std::vector<Clip> clips;
    while (!paths.empty()) {
        const std::string path(paths.substr(0, paths.find(',')));
        paths.remove_prefix(std::min(paths.size(), path.size() + 1));
        auto clip = loadClip(path);
        if (!clip) {
            std::fprintf(stderr, "%s: not a clip of this benchmark; remove it, so that it is made again\n", path.c_str());
            return {};
        }
        clips.push_back(std::move(*clip));
    }
    return clips;
}

}  // namespace daedalus::bench
