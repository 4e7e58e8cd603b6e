#include "private_folder.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <utility>

namespace daedalus::daemon {

Result<PrivateFolder> PrivateFolder::create() {
    const auto createIn = [](std::string folder) -> Result<PrivateFolder> {
        folder += "/daedalus-run-XXXXXX";
        if (::mkdtemp(folder.data()) == nullptr) return fail(errno);
        return PrivateFolder(std::move(folder));
    };
    // A socket's path has 107 bytes at most.
    constexpr size_t kLongestBase = 60;
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    if (runtime != nullptr && *runtime == '/' && std::string_view(runtime).size() <= kLongestBase) {
        if (auto folder = createIn(runtime)) return folder;
    }
    return createIn("/tmp");
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
