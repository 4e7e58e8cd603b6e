#include "src/preload/planes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "src/preload/client_memory.h"
#include "src/preload/real.h"

namespace daedalus::preload {
namespace {

Bounce* bounceOf(SessionRecord& record, const v4l2_buffer& buffer, uint32_t plane) {
    if (buffer.index >= kMaxBuffers || plane >= kMaxPlanes) return nullptr;
    return &record.bounces[V4L2_TYPE_IS_OUTPUT(buffer.type) ? 1 : 0][buffer.index][plane];
}

void drop(Bounce& bounce) {
    if (bounce.memory != nullptr) ::munmap(bounce.memory, bounce.capacity);
    bounce.memory = nullptr;
    bounce.capacity = 0;
}

/// New memory of at least `length` bytes; its descriptor, or -1. Pages come into being when they are used.
int make(Bounce& bounce, size_t length) {
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    const size_t capacity = (length + page - 1) / page * page;
    const int fd = ::memfd_create("daedalus-userptr", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -1;
    void* memory = MAP_FAILED;
    if (::ftruncate(fd, static_cast<off_t>(capacity)) == 0 && ::fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0) {
        memory = realMmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    }
    if (memory == MAP_FAILED) {
        realClose(fd);
        return -1;
    }
    bounce.memory = memory;
    bounce.capacity = capacity;
    return fd;
}

}  // namespace

GivenPlanes::~GivenPlanes() { clear(); }

void GivenPlanes::clear() {
    const KeepErrno keep;
    for (size_t i = 0; i < fdCount_; ++i) {
        if (ownFd_[i]) realClose(fds_[i]);
    }
    for (auto& bounce : fresh_) drop(bounce);
    count_ = 0;
    fdCount_ = 0;
}

void GivenPlanes::collect(uint64_t session, const v4l2_buffer& buffer, const v4l2_plane* planes, uint32_t count, bool afresh) {
    clear();
    const KeepErrno keep;
    const uint32_t length = count < kMaxPlanes ? count : kMaxPlanes;
    if (buffer.memory == V4L2_MEMORY_DMABUF) {
        for (uint32_t i = 0; i < length; ++i) {
            const int fd = planes[i].m.fd;
            const bool open = ::fcntl(fd, F_GETFD) >= 0;
            headers_[count_++] = {i, proto::PlaneMemory::Source::Dmabuf, open ? 1U : 0U, 0};
            if (!open) continue;
            ownFd_[fdCount_] = false;
            fds_[fdCount_++] = fd;
        }
    } else if (buffer.memory == V4L2_MEMORY_USERPTR) {
        const SessionUse use(session, true);
        if (use.get() == nullptr) return;
        const Locked locked(use.get()->lock);
        for (uint32_t i = 0; i < length; ++i) addUserptr(*use.get(), buffer, i, planes[i], afresh);
    }
}

void GivenPlanes::addUserptr(SessionRecord& record, const v4l2_buffer& buffer, uint32_t index, const v4l2_plane& plane,
                             bool afresh) {
    Bounce* const known = bounceOf(record, buffer, index);
    const uint64_t address = plane.m.userptr;
    if (known == nullptr || address == 0 || plane.length == 0) return;
    const bool output = V4L2_TYPE_IS_OUTPUT(buffer.type);
    if (known->checkedAddress != address || known->checkedLength != plane.length) {
        if (!isMemory(address, plane.length, !output)) return;
        known->checkedAddress = address;
        known->checkedLength = plane.length;
    }

    proto::PlaneMemory header{index, proto::PlaneMemory::Source::Bounce, 0, known->serial};
    Bounce* target = known;
    int fd = -1;
    if (afresh || known->memory == nullptr || known->capacity < plane.length) {
        target = &fresh_[index];
        fd = make(*target, plane.length);
        if (fd < 0) return;
        target->serial = ++record.lastSerial;
        header.hasFd = 1;
        header.serial = target->serial;
    }
    size_t payload = 0;
    if (output) payload = plane.bytesused == 0 || plane.bytesused > plane.length ? plane.length : plane.bytesused;
    if (!copyIn(target->memory, address, payload)) {
        known->checkedAddress = 0;
        if (fd >= 0) realClose(fd);
        return;
    }
    headers_[count_++] = header;
    if (fd < 0) return;
    ownFd_[fdCount_] = true;
    fds_[fdCount_++] = fd;
}

void GivenPlanes::commit(uint64_t session, const v4l2_buffer& buffer) {
    bool any = false;
    for (const auto& bounce : fresh_) any = any || bounce.memory != nullptr;
    if (!any) return;
    const KeepErrno keep;
    const SessionUse use(session, true);
    if (use.get() == nullptr) return;
    const Locked locked(use.get()->lock);
    for (uint32_t i = 0; i < kMaxPlanes; ++i) {
        Bounce* const known = bounceOf(*use.get(), buffer, i);
        if (known == nullptr || fresh_[i].memory == nullptr) continue;
        drop(*known);
        known->memory = fresh_[i].memory;
        known->capacity = fresh_[i].capacity;
        known->serial = fresh_[i].serial;
        fresh_[i] = {};
    }
}

bool takePlanes(uint64_t session, const v4l2_buffer& buffer, const v4l2_plane* planes, uint32_t count) {
    if (V4L2_TYPE_IS_OUTPUT(buffer.type)) return true;
    const SessionUse use(session, false);
    if (use.get() == nullptr) return true;
    const Locked locked(use.get()->lock);
    for (uint32_t i = 0; i < count && i < kMaxPlanes; ++i) {
        const Bounce* const bounce = bounceOf(*use.get(), buffer, i);
        if (bounce == nullptr || bounce->memory == nullptr) continue;
        const size_t payload = planes[i].bytesused < planes[i].length ? planes[i].bytesused : planes[i].length;
        if (payload > bounce->capacity || !copyOut(planes[i].m.userptr, bounce->memory, payload)) return false;
    }
    return true;
}

}  // namespace daedalus::preload
