#include "daedalus/daemon/preload_library.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "proto/wire.h"

namespace daedalus::daemon {
namespace {

std::vector<std::string> places() {
    if (const char* forced = std::getenv("DAEDALUS_PRELOAD"); forced != nullptr && *forced != '\0') return {forced};
    std::vector<std::string> result;
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    if (!error) result.push_back((self.parent_path() / "preload" / proto::kPreloadLibrary).lexically_normal());
    result.push_back(std::string(DAEDALUS_LIBDIR "/") + proto::kPreloadLibrary);
    return result;
}

}  // namespace

Result<std::string> findPreloadLibrary() {
    for (const std::string& place : places()) {
        if (::access(place.c_str(), R_OK) != 0) continue;
        // The program may change its folder before it runs others.
        std::error_code error;
        const auto absolute = std::filesystem::absolute(place, error);
        if (!error) return absolute.string();
    }
    return fail(ENOENT);
}

std::string preloadLibraryPlaces() {
    std::string all;
    for (const std::string& place : places()) {
        if (!all.empty()) all += ", ";
        all += place;
    }
    return all;
}

}  // namespace daedalus::daemon
