#include "src/preload/sessions.h"

#include <sys/mman.h>

#include <new>

#include "src/preload/real.h"
#include "src/preload/rpc.h"
#include "src/preload/scratch.h"

namespace daedalus::preload {
namespace {

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
    record->priorityFd.forget();
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
    record->priorityFd.close();
    ::munmap(record, sizeof *record);
    recordCount.fetch_sub(1);
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

bool haveRecords() { return recordCount.load(std::memory_order_relaxed) != 0; }

size_t listRecords(uint64_t* out, size_t max) {
    const Locked locked(tableLock);
    size_t count = 0;
    for (SessionRecord* record = records; record != nullptr && count < max; record = record->next) out[count++] = record->id;
    return count;
}

void sweepRecords(bool (*gone)(uint64_t session, const void* context), const void* context) {
    const Locked locked(tableLock);
    for (SessionRecord** link = &records; *link != nullptr;) {
        SessionRecord* const record = *link;
        if (record->users != 0 || !gone(record->id, context)) {
            link = &record->next;
            continue;
        }
        *link = record->next;
        freeRecord(record);
    }
}

void dropReleasedBounces(uint64_t session) {
    const KeepErrno keep;
    Scratch memory;
    auto* const serials = memory.get<uint32_t>(proto::kMaxInlineBytes / sizeof(uint32_t));
    if (serials == nullptr) return;
    const iovec in{serials, proto::kMaxInlineBytes};
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

int knownPriorityFd(uint64_t session) {
    const SessionUse use(session, false);
    if (use.get() == nullptr) return -1;
    const Locked locked(use.get()->lock);
    return use.get()->priorityFd.get();
}

int keepPriorityFd(uint64_t session, int fd) {
    HiddenFd fresh;
    fresh.adopt(fd);
    const SessionUse use(session, true);
    if (use.get() == nullptr) {
        fresh.close();
        return -1;
    }
    const Locked locked(use.get()->lock);
    // The number that was lost may be the new one's again.
    const int other = use.get()->priorityFd.get();
    if (other >= 0 && other != fresh.lastNumber()) {
        fresh.close();
    } else {
        use.get()->priorityFd = fresh;
    }
    return use.get()->priorityFd.lastNumber();
}

}  // namespace daedalus::preload
