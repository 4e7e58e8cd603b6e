#include "private_folder.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <utility>

namespace daedalus::daemon {

Result<PrivateFolder> PrivateFolder::create() {
    int error = ENOENT;
    const char* const places[] = {std::getenv("XDG_RUNTIME_DIR"), std::getenv("TMPDIR"), "/tmp", "/dev/shm"};
    for (const char* place : places) {
        // A socket's path has 107 bytes at most.
        constexpr size_t kLongest = 60;
        if (place == nullptr || *place != '/' || std::string_view(place).size() > kLongest) continue;
        std::string folder = std::string(place) + "/daedalus-run-XXXXXX";
        if (::mkdtemp(folder.data()) != nullptr) return PrivateFolder(std::move(folder));
        error = errno;
    }
    return fail(error);
}

Result<std::string> PrivateFolder::preloadable(const std::string& library) const {
    if (library.find_first_of(" :") == std::string::npos) return library;
    std::string link = path_ + "/preload.so";
    if (::symlink(library.c_str(), link.c_str()) != 0 && errno != EEXIST) return fail(errno);
    return link;
}

void PrivateFolder::remove() const {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

}  // namespace daedalus::daemon
