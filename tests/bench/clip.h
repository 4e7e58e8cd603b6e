// A short coded clip, cut into the access units that one QBUF or one packet carries.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace daedalus::bench {

/// The codecs that are measured, as the command lines name them.
inline constexpr std::array<std::string_view, 4> kCodecs = {"h264", "vp9", "hevc", "av1"};

struct Clip {
    std::string codec;  ///< one of kCodecs
    uint32_t width = 0;
    uint32_t height = 0;
    std::vector<std::vector<std::byte>> units;

    /// The clip played again and again: the unit at a place in that.
    [[nodiscard]] const std::vector<std::byte>& unit(size_t index) const { return units[index % units.size()]; }
};

/// Nothing if the file is not there or was cut short.
[[nodiscard]] std::optional<Clip> loadClip(const std::string& path);
[[nodiscard]] bool saveClip(const Clip& clip, const std::string& path);

/// All clips of a list of paths with ',' between them; empty if one cannot be loaded, which is said on stderr.
[[nodiscard]] std::vector<Clip> loadClips(std::string_view paths);

}  // namespace daedalus::bench
