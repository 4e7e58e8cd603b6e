#include "client_process.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>

#include "../gather.h"

namespace daedalus::transport::cuse {
namespace {

/// ioctl(2) of i386. In a 64-bit program it is setsockopt(2), which does not wait for us.
constexpr int kIoctl32 = 54;

std::string procPath(pid_t tid, std::string_view file) { return "/proc/" + std::to_string(tid) + "/" + std::string(file); }

/// The process that a thread belongs to; the thread itself if that cannot be read.
pid_t processOf(pid_t tid) {
    std::ifstream status(procPath(tid, "status"));
    for (std::string line; std::getline(status, line);) {
        constexpr std::string_view kKey = "Tgid:";
        if (line.starts_with(kKey)) return static_cast<pid_t>(std::strtol(line.c_str() + kKey.size(), nullptr, 10));
    }
    return tid;
}

/// The descriptor with which the thread waits in ioctl(2); nothing if it is not seen there.
std::optional<int> ioctlDescriptor(pid_t tid, uint64_t argument) {
    // The thread may still be on its way to sleep: then /proc says "running".
    constexpr int kAttempts = 20;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        std::ifstream file(procPath(tid, "syscall"));
        std::string number;
        if (!(file >> number)) return std::nullopt;
        if (number != "running") {
            uint64_t words[3] = {};
            file >> std::hex >> words[0] >> words[1] >> words[2];
            const bool isIoctl = number == std::to_string(SYS_ioctl) || number == std::to_string(kIoctl32);
            if (!file || !isIoctl || words[2] != argument) return std::nullopt;
            return static_cast<int>(words[0]);
        }
        ::sched_yield();
    }
    return std::nullopt;
}

/// What /proc/PID/fdinfo tells of a descriptor.
struct DescriptorInfo {
    unsigned flags = 0;
    uint64_t mount = 0;
    uint64_t inode = 0;
};

std::optional<DescriptorInfo> readInfo(const std::string& path) {
    std::ifstream file(path);
    DescriptorInfo info;
    bool any = false;
    for (std::string word; file >> word;) {
        if (word == "flags:") any = static_cast<bool>(file >> std::oct >> info.flags >> std::dec);
        if (word == "mnt_id:") file >> info.mount;
        if (word == "ino:") file >> info.inode;
    }
    return any ? std::optional(info) : std::nullopt;
}

/// The mounts in a process's mount namespace, which may be another than ours, of the file system with this device number.
std::set<uint64_t> mountsOf(pid_t tid, unsigned major, unsigned minor) {
    const std::string wanted = std::to_string(major) + ":" + std::to_string(minor);
    std::ifstream file(procPath(tid, "mountinfo"));
    std::set<uint64_t> mounts;
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        uint64_t mount = 0;
        uint64_t parent = 0;
        std::string device;
        if (words >> mount >> parent >> device && device == wanted) mounts.insert(mount);
    }
    return mounts;
}

/// For clients of other users, of whom CAP_SYS_PTRACE shows fdinfo, but not the call: all descriptors of the device, if they
/// agree.
std::optional<bool> nonblockingByInode(pid_t tid, const std::string& nodePath) {
    constexpr size_t kMost = 256;
    struct statx status {};
    if (::statx(AT_FDCWD, nodePath.c_str(), 0, STATX_INO, &status) != 0) return std::nullopt;
    const std::set<uint64_t> mounts = mountsOf(tid, status.stx_dev_major, status.stx_dev_minor);
    std::optional<bool> nonblocking;
    size_t seen = 0;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(procPath(tid, "fdinfo"), error)) {
        if (++seen > kMost) return std::nullopt;
        const auto info = readInfo(entry.path());
        if (!info || info->inode != status.stx_ino || !mounts.contains(info->mount)) continue;
        const bool here = (info->flags & O_NONBLOCK) != 0;
        if (nonblocking && *nonblocking != here) return std::nullopt;
        nonblocking = here;
    }
    return nonblocking;
}

}  // namespace

std::string describeClient(pid_t tid) {
    if (tid == 0) return "a client of another PID namespace";
    const pid_t pid = processOf(tid);
    std::ifstream file(procPath(pid, "comm"));
    std::string name;
    if (!std::getline(file, name)) name = "?";
    // The name is the client's, and a terminal may show the log.
    std::ranges::replace_if(
        name, [](char c) { return c < ' ' || c > '~'; }, '?');
    return "pid " + std::to_string(pid) + " " + name;
}

std::optional<bool> waitsNonblocking(pid_t tid, uint64_t argument, const std::string& nodePath) {
    if (const auto fd = ioctlDescriptor(tid, argument)) {
        const auto info = readInfo(procPath(tid, "fdinfo/" + std::to_string(*fd)));
        return info ? std::optional((info->flags & O_NONBLOCK) != 0) : std::nullopt;
    }
    return nonblockingByInode(tid, nodePath);
}

class UserBuffers::Bounce final : public memory::Memory {
public:
    Bounce(uint64_t address, size_t length) : address_(address), bytes_(length) {}
    size_t size() const override { return bytes_.size(); }
    std::span<std::byte> bytes() override { return bytes_; }
    [[nodiscard]] uint64_t address() const { return address_; }

private:
    const uint64_t address_;
    std::vector<std::byte> bytes_;
};

Result<memory::MemoryRef> UserBuffers::take(pid_t tid, const memory::PlaneSlot& slot, uint64_t address, size_t length,
                                            size_t used, memory::Access access, const memory::MemoryRef& previous) {
    if (auto there = probeProcess(tid, address, length); !there) return fail(there.error());
    auto bounce = std::dynamic_pointer_cast<Bounce>(previous);
    if (!bounce || bounce->address() != address || bounce->size() != length) bounce = std::make_shared<Bounce>(address, length);
    if (access == memory::Access::Read)
        if (auto read = readProcess(tid, address, bounce->bytes().first(used)); !read) return fail(read.error());
    bounces_[{V4L2_TYPE_IS_OUTPUT(slot.bufferType), slot.index, slot.plane}] = bounce;
    return bounce;
}

Result<> UserBuffers::giveBack(pid_t tid, const ioctl::Payload& payload) {
    const auto planes = planesOf(payload);
    if (planes.empty()) return {};
    v4l2_buffer buffer;
    std::memcpy(&buffer, payload.argument.data(), sizeof buffer);
    if (buffer.memory != V4L2_MEMORY_USERPTR || V4L2_TYPE_IS_OUTPUT(buffer.type)) return {};
    for (uint32_t i = 0; i < planes.size(); ++i) {
        const auto found = bounces_.find({false, buffer.index, i});
        const auto bounce = found == bounces_.end() ? nullptr : found->second.lock();
        if (!bounce) continue;
        const auto filled = bounce->bytes().first(std::min<size_t>(planes[i].bytesused, bounce->size()));
        if (auto written = writeProcess(tid, bounce->address(), filled); !written) return fail(EFAULT);
    }
    return {};
}

CallMemory::CallMemory(pid_t tid, UserBuffers& buffers, const ioctl::Payload& payload,
                       std::function<void(const char* wanted)> refused)
    : tid_(tid), buffers_(buffers), refused_(std::move(refused)) {
    const auto planes = planesOf(payload);
    for (size_t i = 0; i < planes.size() && i < used_.size(); ++i) used_[i] = planes[i].bytesused;
}

Result<memory::MemoryRef> CallMemory::importUserptr(const memory::PlaneSlot& slot, uint64_t address, size_t length,
                                                    memory::Access access, const memory::MemoryRef& previous) {
    // As the buffer documentation says, 0 stands for all of it.
    const size_t used = used_.at(slot.plane) == 0 ? length : std::min<size_t>(used_.at(slot.plane), length);
    auto taken = buffers_.take(tid_, slot, address, length, used, access, previous);
    if (taken || taken.error().value != EPERM) return taken;
    refused_("USERPTR");
    return fail(EFAULT);
}

Result<memory::MemoryRef> CallMemory::importDmabuf(const memory::PlaneSlot& /*slot*/, int fd, size_t length,
                                                   memory::Access access, const memory::MemoryRef& previous) {
    // By number: glibc 2.36 declares these two for C only.
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, processOf(tid_), 0)));
    UniqueFd copy(process ? static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), fd, 0)) : -1);
    if (!copy) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) return fail(errno);
        if (errno != EBADF) refused_("DMABUF");
        return fail(EINVAL);
    }
    if (previous && memory::isImportOf(*previous, copy.get(), length)) return previous;
    return memory::import(std::move(copy), length, access == memory::Access::Write);
}

}  // namespace daedalus::transport::cuse
