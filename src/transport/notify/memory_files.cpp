#include "memory_files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "../gather.h"

namespace daedalus::transport::notify {
namespace {

v4l2_buffer bufferOf(const ioctl::Payload& call) {
    v4l2_buffer buffer{};
    std::memcpy(&buffer, call.argument.data(), std::min(sizeof buffer, call.argument.size()));
    return buffer;
}

}  // namespace

Bounce Bounce::make(size_t length, uint32_t serial, UniqueFd& fd) {
    Bounce made;
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    const size_t capacity = (length + page - 1) / page * page;
    fd.reset(::memfd_create("daedalus-userptr", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(capacity)) != 0 ||
        ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0)
        return made;
    void* const memory = ::mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
    if (memory == MAP_FAILED) return made;
    made.bytes_ = {static_cast<std::byte*>(memory), capacity};
    made.serial_ = serial;
    return made;
}

Bounce::~Bounce() {
    if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

Bounce::Bounce(Bounce&& other) noexcept : bytes_(std::exchange(other.bytes_, {})), serial_(other.serial_) {}

Bounce& Bounce::operator=(Bounce&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(serial_, other.serial_);
    return *this;
}

GivenPlanes GivenPlanes::of(const ioctl::Payload& call, ThreadView& thread, Bounces& bounces, bool afresh) {
    GivenPlanes given;
    const auto buffer = bufferOf(call);
    const auto planes = planesOf(call);
    for (uint32_t i = 0; i < planes.size() && buffer.memory == V4L2_MEMORY_DMABUF; ++i) {
        auto fd = thread.take(planes[i].m.fd);
        given.headers.push_back({i, proto::PlaneMemory::Source::Dmabuf, fd ? 1U : 0U, 0});
        if (fd) given.fds.push_back(std::move(*fd));
    }
    for (uint32_t i = 0; i < planes.size() && buffer.memory == V4L2_MEMORY_USERPTR; ++i) {
        const auto& plane = planes[i];
        const bool output = V4L2_TYPE_IS_OUTPUT(buffer.type);
        if (!probeProcess(thread.tid(), plane.m.userptr, plane.length)) continue;
        const auto known = bounces.planes.find({output, buffer.index, i});
        proto::PlaneMemory header{i, proto::PlaneMemory::Source::Bounce, 0, 0};
        std::span<std::byte> into;
        UniqueFd fd;
        if (afresh || known == bounces.planes.end() || known->second.bytes().size() < plane.length) {
            Bounce made = Bounce::make(plane.length, ++bounces.lastSerial, fd);
            if (made.bytes().empty()) continue;
            header.hasFd = 1;
            header.serial = made.serial();
            into = made.bytes();
            given.fresh.insert_or_assign(i, std::move(made));
        } else {
            header.serial = known->second.serial();
            into = known->second.bytes();
        }
        size_t payload = 0;
        if (output) payload = plane.bytesused == 0 || plane.bytesused > plane.length ? plane.length : plane.bytesused;
        if (!readProcess(thread.tid(), plane.m.userptr, into.first(payload))) continue;
        given.headers.push_back(header);
        if (fd) given.fds.push_back(std::move(fd));
    }
    return given;
}

void GivenPlanes::commit(const ioctl::Payload& call, Bounces& bounces) {
    const auto buffer = bufferOf(call);
    for (auto& [plane, bounce] : fresh)
        bounces.planes.insert_or_assign({V4L2_TYPE_IS_OUTPUT(buffer.type), buffer.index, plane}, std::move(bounce));
}

bool giveBack(const ioctl::Payload& call, const ThreadView& thread, const Bounces& bounces) {
    const auto buffer = bufferOf(call);
    if (buffer.memory != V4L2_MEMORY_USERPTR || V4L2_TYPE_IS_OUTPUT(buffer.type)) return true;
    const auto planes = planesOf(call);
    for (uint32_t i = 0; i < planes.size(); ++i) {
        const auto bounce = bounces.planes.find({false, buffer.index, i});
        if (bounce == bounces.planes.end()) continue;
        const auto& plane = planes[i];
        const size_t payload = std::min<size_t>({plane.bytesused, plane.length, bounce->second.bytes().size()});
        if (!writeProcess(thread.tid(), plane.m.userptr, bounce->second.bytes().first(payload))) return false;
    }
    return true;
}

}  // namespace daedalus::transport::notify
