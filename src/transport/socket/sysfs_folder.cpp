#include "src/transport/socket/sysfs_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "daedalus/base/unique_fd.h"
#include "proto/sysfs.h"

namespace daedalus::transport::socket {
namespace {

using Kind = proto::SysfsEntry::Kind;

/// The folder and those above it, inside the new folder.
Result<> makeFolders(const std::filesystem::path& folder) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) return fail(error.value());
    return {};
}

Result<> writeFile(const std::string& path, const char* content) {
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
    if (!fd) return fail(errno);
    const auto length = static_cast<ssize_t>(std::strlen(content));
    const ssize_t written = ::write(fd.get(), content, static_cast<size_t>(length));
    if (written != length) return fail(written < 0 ? errno : ENOSPC);
    return {};
}

Result<> makeEntry(const std::string& path, const proto::SysfsEntry& entry) {
    const bool folder = entry.kind == Kind::Folder || entry.kind == Kind::SharedFolder;
    if (folder) return makeFolders(path);
    if (auto parent = makeFolders(std::filesystem::path(path).parent_path()); !parent) return parent;
    if (entry.kind == Kind::File) return writeFile(path, entry.content);
    if (::symlink(entry.content, path.c_str()) != 0) return fail(errno);
    return {};
}

std::string placeOf(const std::string& folder, const proto::SysfsEntry& entry) {
    return folder + (entry.path + std::strlen("/sys"));
}

Result<> makeNode(const std::string& folder, const proto::NodeEntry& node) {
    proto::SysfsEntry entry;
    for (size_t i = 0; proto::sysfsEntry(node, i, entry); ++i)
        if (auto made = makeEntry(placeOf(folder, entry), entry); !made) return made;
    return {};
}

void removeNode(const std::string& folder, const proto::NodeEntry& node) {
    std::error_code ignored;
    proto::SysfsEntry entry;
    for (size_t i = 0; proto::sysfsEntry(node, i, entry); ++i)
        if (entry.kind != Kind::SharedFolder) std::filesystem::remove_all(placeOf(folder, entry), ignored);
}

bool same(const proto::NodeEntry& one, const proto::NodeEntry& other) { return std::memcmp(&one, &other, sizeof one) == 0; }

}  // namespace

Result<> SysfsFolder::make(const std::string& path) {
    std::error_code ignored;
    struct stat status {};
    // Whoever holds the socket holds the folder; but another user's, in a folder for all, is left alone.
    if (::lstat(path.c_str(), &status) == 0 && status.st_uid == ::geteuid()) std::filesystem::remove_all(path, ignored);
    if (::mkdir(path.c_str(), 0755) != 0) return fail(errno);
    path_ = path;
    return {};
}

Result<> SysfsFolder::show(const std::string& socketPath, std::span<const proto::NodeEntry> nodes) {
    if (path_.empty())
        if (auto made = make(socketPath + proto::kSysfsSuffix); !made) return made;
    const auto before = std::exchange(shown_, {nodes.begin(), nodes.end()});
    for (const auto& node : before)
        if (std::ranges::none_of(shown_, [&](const auto& now) { return same(now, node); })) removeNode(path_, node);
    for (const auto& node : shown_)
        if (std::ranges::none_of(before, [&](const auto& old) { return same(old, node); }))
            if (auto made = makeNode(path_, node); !made) return made;
    return {};
}

SysfsFolder::~SysfsFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace daedalus::transport::socket
