// A client of a CUSE device in the process that serves it. The kernel cannot map such a device by itself: within one process,
// what a kernel module would do for mmap and EXPBUF is done here, so that the contract tests need no module.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <mutex>
#include <optional>

#include "daedalus/transport/cuse.h"
#include "fd_client.h"

namespace daedalus::test {

/// What can be mapped, by client and offset. Any thread.
class CuseMappings final : public transport::CuseExtension {
public:
    /// An ioctl by which a client names its file, as the kernel module would; its argument is the client's own address.
    static constexpr unsigned kName = _IO('t', 0);

    std::optional<OwnCall> ownCall(pid_t /*tid*/, uint32_t cmd, uint64_t argument) override {
        if (cmd != kName) return std::nullopt;
        return OwnCall{0, argument};
    }
    Result<> bind(uint64_t file, uint64_t offset, int memfd) override {
        const std::lock_guard lock(mutex_);
        if (!bound_[file].emplace(offset, UniqueFd(::fcntl(memfd, F_DUPFD_CLOEXEC, 0))).second) return fail(EEXIST);
        return {};
    }
    void unbind(uint64_t file, uint64_t offset) override {
        const std::lock_guard lock(mutex_);
        bound_[file].erase(offset);
    }
    Result<> give(uint64_t file, const ioctl::PassedFd& passed) override {
        const std::lock_guard lock(mutex_);
        const int command = (passed.flags & O_CLOEXEC) != 0 ? F_DUPFD_CLOEXEC : F_DUPFD;
        given_[file] = {passed.offset, ::fcntl(passed.fd.get(), command, 0)};
        return {};
    }

    /// A VIDIOC_EXPBUF of `client` has returned; stores the number of the descriptor that it gave.
    void take(const void* client, void* argument) {
        const std::lock_guard lock(mutex_);
        if (const auto given = given_.extract(reinterpret_cast<uintptr_t>(client)))
            std::memcpy(static_cast<char*>(argument) + given.mapped().first, &given.mapped().second, sizeof(int32_t));
    }
    void* map(const void* client, size_t length, int protection, uint64_t offset) {
        const std::lock_guard lock(mutex_);
        const auto& memfds = bound_[reinterpret_cast<uintptr_t>(client)];
        const auto found = memfds.find(offset);
        struct stat status {};
        if (found == memfds.end() || ::fstat(found->second.get(), &status) != 0 ||
            length > static_cast<size_t>(status.st_size)) {
            errno = EINVAL;
            return MAP_FAILED;
        }
        return ::mmap(nullptr, length, protection, MAP_SHARED, found->second.get(), 0);
    }
    void forget(const void* client) {
        const std::lock_guard lock(mutex_);
        bound_.erase(reinterpret_cast<uintptr_t>(client));
    }

private:
    std::mutex mutex_;
    std::map<uint64_t, std::pair<uint32_t, int32_t>> given_;
    std::map<uint64_t, std::map<uint64_t, UniqueFd>> bound_;
};

/// Passes each call on to the kernel, except mmap.
class CuseClient final : public FdClient {
public:
    CuseClient(UniqueFd fd, CuseMappings& mappings) : FdClient(std::move(fd)), mappings_(mappings) {
        FdClient::ioctl(CuseMappings::kName, this);
    }
    ~CuseClient() override { mappings_.forget(this); }
    CuseClient(const CuseClient&) = delete;
    CuseClient& operator=(const CuseClient&) = delete;

    int ioctl(unsigned long cmd, void* argument) override {
        if (cmd != VIDIOC_EXPBUF) return FdClient::ioctl(cmd, argument);
        const std::lock_guard oneAtATime(exports_);
        const int error = FdClient::ioctl(cmd, argument);
        mappings_.take(this, argument);
        return error;
    }
    void* mmap(size_t length, int protection, uint64_t offset) override {
        return mappings_.map(this, length, protection, offset);
    }

private:
    CuseMappings& mappings_;
    std::mutex exports_;
};

}  // namespace daedalus::test
