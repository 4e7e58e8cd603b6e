#include "src/preload/sessions.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <new>

#include "src/preload/file.h"
#include "src/preload/real.h"
#include "src/preload/rpc.h"

namespace daedalus::preload {
namespace {

/// Sessions asked about at once; the rest waits for the next sweep.
constexpr size_t kAtOnce = proto::kMaxInlineBytes / sizeof(uint64_t);

Lock tableLock;
SessionRecord* records = nullptr;  // guarded by tableLock
std::atomic<size_t> recordCount{0};

SessionRecord* findRecord(uint64_t id) {
    SessionRecord* record = records;
    while (record != nullptr && record->id != id) record = record->next;
    return record;
}

SessionRecord* addRecord(uint64_t id) {
    void* const memory = realMmap(nullptr, sizeof(SessionRecord), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    // The pages come zeroed, and a record is valid so: its many bounces are not touched.
    auto* const record = static_cast<SessionRecord*>(memory);
    record->id = id;
    record->priorityFd = -1;
    record->next = records;
    records = record;
    recordCount.fetch_add(1);
    return record;
}

void freeRecord(SessionRecord* record) {
    for (auto& queue : record->bounces) {
        for (auto& buffer : queue) {
            // Planes are used from the first on.
            for (auto& bounce : buffer) {
                if (bounce.serial == 0) break;
                if (bounce.memory != nullptr) ::munmap(bounce.memory, bounce.capacity);
            }
        }
    }
    if (record->priorityFd >= 0) realClose(record->priorityFd);
    ::munmap(record, sizeof *record);
    recordCount.fetch_sub(1);
}

struct Verdict {
    const uint64_t* ids;
    const uint8_t* alive;
    size_t count;
};

bool isGone(uint64_t session, const void* context) {
    const auto* const verdict = static_cast<const Verdict*>(context);
    for (size_t i = 0; i < verdict->count; ++i) {
        if (verdict->ids[i] == session) return verdict->alive[i] == 0;
    }
    return false;
}

}  // namespace

SessionUse::SessionUse(uint64_t session, bool create) {
    if (!create && recordCount.load() == 0) return;
    const Locked locked(tableLock);
    record_ = findRecord(session);
    if (record_ == nullptr && create) record_ = addRecord(session);
    if (record_ != nullptr) ++record_->users;
}

SessionUse::~SessionUse() {
    if (record_ == nullptr) return;
    const Locked locked(tableLock);
    --record_->users;
}

bool haveSessions() { return recordCount.load(std::memory_order_relaxed) != 0 || haveEpoll(); }

void sweepSessions() {
    if (!haveSessions()) return;
    const KeepErrno keep;
    uint64_t ids[kAtOnce];
    uint8_t alive[kAtOnce];
    size_t count = 0;
    {
        const Locked locked(tableLock);
        for (SessionRecord* record = records; record != nullptr && count < kAtOnce; record = record->next)
            ids[count++] = record->id;
    }
    count += listEpollSessions(ids + count, kAtOnce - count);
    const iovec out{ids, count * sizeof ids[0]};
    const iovec in{alive, count};
    Exchange ask;
    ask.request.kind = proto::Kind::Alive;
    ask.out = &out;
    ask.outCount = 1;
    ask.in = &in;
    ask.inCount = 1;
    const bool answered = exchange(ask) == Outcome::Answered && ask.reply.error == 0 && ask.received == count;
    if (!answered) return;
    const Verdict verdict{ids, alive, count};
    sweepEpoll(isGone, &verdict);
    const Locked locked(tableLock);
    for (SessionRecord** link = &records; *link != nullptr;) {
        SessionRecord* const record = *link;
        if (record->users != 0 || !isGone(record->id, &verdict)) {
            link = &record->next;
            continue;
        }
        *link = record->next;
        freeRecord(record);
    }
}

void dropReleasedBounces(uint64_t session) {
    const KeepErrno keep;
    uint32_t serials[proto::kMaxInlineBytes / sizeof(uint32_t)];
    const iovec in{serials, sizeof serials};
    Exchange ask;
    ask.request.kind = proto::Kind::Released;
    ask.request.session = session;
    ask.in = &in;
    ask.inCount = 1;
    if (exchange(ask) != Outcome::Answered || ask.reply.error != 0) return;
    const SessionUse use(session, false);
    if (use.get() == nullptr) return;
    const Locked locked(use.get()->lock);
    const size_t count = ask.received / sizeof serials[0];
    for (auto& queue : use.get()->bounces) {
        for (auto& buffer : queue) {
            for (auto& bounce : buffer) {
                if (bounce.serial == 0) break;
                for (size_t i = 0; i < count; ++i) {
                    if (bounce.memory == nullptr || serials[i] != bounce.serial) continue;
                    ::munmap(bounce.memory, bounce.capacity);
                    bounce.memory = nullptr;
                    bounce.capacity = 0;
                }
            }
        }
    }
}

int priorityFdOf(int fd, uint64_t session) {
    const SessionUse use(session, true);
    if (use.get() == nullptr) return -1;
    {
        const Locked locked(use.get()->lock);
        if (use.get()->priorityFd >= 0) return use.get()->priorityFd;
    }
    const KeepErrno keep;
    Exchange ask;
    ask.request.kind = proto::Kind::Priority;
    if (exchangeFor(fd, session, ask) != Outcome::Answered || ask.fdCount != 1) return -1;
    const int high = ::fcntl(ask.fds[0], F_DUPFD_CLOEXEC, 200);
    if (high >= 0) {
        realClose(ask.fds[0]);
        ask.fds[0] = high;
    }
    const Locked locked(use.get()->lock);
    if (use.get()->priorityFd >= 0) {
        realClose(ask.fds[0]);
    } else {
        use.get()->priorityFd = ask.fds[0];
    }
    return use.get()->priorityFd;
}

}  // namespace daedalus::preload
