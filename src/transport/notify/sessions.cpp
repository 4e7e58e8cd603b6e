#include "sessions.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace daedalus::transport::notify {
namespace {

/// Sessions asked about at once; the rest waits for the next time.
constexpr size_t kAtOnce = proto::kMaxInlineBytes / sizeof(uint64_t);
constexpr size_t kIdDigits = 16;

/// The session in the name of a client's end, if it is one of this daemon.
uint64_t sessionIn(int fd, uint64_t daemon) {
    sockaddr_un name{};
    socklen_t length = sizeof name;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) != 0 || name.sun_family != AF_UNIX ||
        length != offsetof(sockaddr_un, sun_path) + proto::kFileNameLength)
        return 0;
    const std::string_view text(name.sun_path + 1, proto::kFileNameLength - 1);
    if (name.sun_path[0] != '\0' || !text.starts_with(proto::kFileNamePrefix)) return 0;
    const auto number = [&](size_t at) {
        uint64_t value = 0;
        std::from_chars(text.data() + at, text.data() + at + kIdDigits, value, 16);
        return value;
    };
    if (number(proto::kFileNamePrefixLength) != daemon) return 0;
    return number(proto::kFileNamePrefixLength + kIdDigits + 1);
}

}  // namespace

ino_t inodeOf(int fd) {
    struct stat status {};
    return ::fstat(fd, &status) == 0 ? status.st_ino : 0;
}

std::shared_ptr<Session> Sessions::known(const ThreadView& thread, int fd) const {
    const ino_t inode = thread.socketInode(fd);
    if (inode == 0) return nullptr;
    const std::scoped_lock locked(mutex_);
    const auto found = sessions_.find(inode);
    return found == sessions_.end() ? nullptr : found->second;
}

std::shared_ptr<Session> Sessions::find(ThreadView& thread, int fd, uint64_t daemon, Link& link) {
    if (auto session = known(thread, fd)) return session;
    if (thread.socketInode(fd) == 0) return nullptr;
    const auto file = thread.take(fd);
    proto::Request claim{};
    claim.kind = proto::Kind::Claim;
    claim.session = file ? sessionIn(file->get(), daemon) : 0;
    if (claim.session == 0) return nullptr;
    const int proof = file->get();
    const auto claimed = link.call(claim, {}, std::span(&proof, 1));
    // Without an answer it is nobody's: calls on it fail with ENODEV.
    if (!claimed) return std::make_shared<Session>(0);
    if (claimed->head.error != 0) return nullptr;
    return add(inodeOf(proof), claim.session);
}

std::shared_ptr<Session> Sessions::add(ino_t inode, uint64_t id) {
    const std::scoped_lock locked(mutex_);
    auto& slot = sessions_[inode];
    if (!slot || slot->id != id) slot = std::make_shared<Session>(id);
    return slot;
}

bool Sessions::any() const {
    const std::scoped_lock locked(mutex_);
    return !sessions_.empty();
}

void Sessions::sweep(Link& link) {
    std::vector<std::pair<ino_t, uint64_t>> asked;
    {
        const std::scoped_lock locked(mutex_);
        for (const auto& [inode, session] : sessions_)
            if (asked.size() < kAtOnce) asked.emplace_back(inode, session->id);
    }
    if (asked.empty()) return;
    std::vector<uint64_t> ids;
    ids.reserve(asked.size());
    for (const auto& [inode, id] : asked) ids.push_back(id);
    proto::Request request{};
    request.kind = proto::Kind::Alive;
    const auto alive = link.call(request, std::as_bytes(std::span(ids)));
    if (!alive || alive->head.error != 0 || alive->body.size() != ids.size()) return;
    const std::scoped_lock locked(mutex_);
    for (size_t i = 0; i < asked.size(); ++i) {
        const auto found = sessions_.find(asked[i].first);
        if (alive->body[i] == std::byte{0} && found != sessions_.end() && found->second->id == asked[i].second)
            sessions_.erase(found);
    }
}

}  // namespace daedalus::transport::notify
