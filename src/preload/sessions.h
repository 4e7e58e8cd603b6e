// What the process keeps about some of its sessions: bounces of USERPTR planes, and descriptors that show POLLPRI. Sessions
// that only use MMAP, DMABUF and plain poll() leave nothing here.
#pragma once

#include <cstddef>
#include <cstdint>

#include "src/preload/hidden_fd.h"
#include "src/preload/process.h"

namespace daedalus::preload {

/// As many as a queue of the device has at most: twice the UAPI's VIDEO_MAX_FRAME.
inline constexpr uint32_t kMaxBuffers = 64;
inline constexpr uint32_t kMaxPlanes = 8;

/// Memory that stands for a USERPTR plane: the daemon has it too.
struct Bounce {
    void* memory = nullptr;
    size_t capacity = 0;  ///< bytes mapped
    uint32_t serial = 0;
    uint64_t checkedAddress = 0;  ///< the program's memory that was found good last
    size_t checkedLength = 0;
};

struct SessionRecord {
    SessionRecord* next;
    uint64_t id;
    uint32_t users;
    uint32_t lastSerial;
    HiddenFd priorityFd;  ///< shows POLLPRI, if it was asked for
    Lock lock;            ///< guards the bounces and priorityFd
    Bounce bounces[2][kMaxBuffers][kMaxPlanes];
};

/// The record of a session, pinned until its end; null if there is no memory, or none yet and not `create`.
class SessionUse {
public:
    SessionUse(uint64_t session, bool create);
    ~SessionUse();
    SessionUse(const SessionUse&) = delete;
    SessionUse& operator=(const SessionUse&) = delete;
    [[nodiscard]] SessionRecord* get() const { return record_; }

private:
    SessionRecord* record_ = nullptr;
};

/// True if there is any record.
bool haveRecords();
/// Copies up to `max` sessions that have a record.
size_t listRecords(uint64_t* out, size_t max);
/// Drops the records that nobody uses of sessions for which `gone` is true.
void sweepRecords(bool (*gone)(uint64_t session, const void* context), const void* context);
/// Asks for the bounces that the daemon no longer uses and unmaps them.
void dropReleasedBounces(uint64_t session);
/// The descriptor that keepPriorityFd() kept, if it is still there; or -1.
int knownPriorityFd(uint64_t session);
/// Keeps `fd` for the session and returns its number from now on; that of another, if a thread was faster.
int keepPriorityFd(uint64_t session, int fd);

}  // namespace daedalus::preload
