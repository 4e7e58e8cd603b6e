#include "daedalus/daemon/preload_library.h"

#include <sys/auxv.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "proto/wire.h"

namespace daedalus::daemon {
namespace {

/// Where this executable stands; empty if nothing tells.
std::filesystem::path ownFolder() {
    std::error_code error;
    auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    if (error) {
        // Without /proc: the name by which it was started.
        const auto name = ::getauxval(AT_EXECFN);
        self = name == 0 ? std::filesystem::path() : std::filesystem::canonical(reinterpret_cast<const char*>(name), error);
        if (error) return {};
    }
    return self.parent_path();
}

std::vector<std::string> places() {
    if (const char* forced = std::getenv("DAEDALUS_PRELOAD"); forced != nullptr && *forced != '\0') return {forced};
    std::vector<std::string> result;
    if (const auto folder = ownFolder(); !folder.empty()) {
        const auto installed = std::filesystem::path(DAEDALUS_LIBDIR).lexically_relative(DAEDALUS_BINDIR);
        for (const auto& from : {std::filesystem::path("preload"), installed})
            result.push_back((folder / from / proto::kPreloadLibrary).lexically_normal());
    }
    if (const std::string installed = std::string(DAEDALUS_LIBDIR "/") + proto::kPreloadLibrary;
        std::ranges::find(result, installed) == result.end())
        result.push_back(installed);
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
