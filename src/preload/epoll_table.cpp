#include "src/preload/epoll_table.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <atomic>
#include <cerrno>

#include "src/preload/kernel.h"
#include "src/preload/next.h"
#include "src/preload/process.h"
#include "src/preload/real.h"

namespace daedalus::preload {
namespace {

Lock epollLock;
EpollEntry* entries = nullptr;  // guarded by epollLock; set < 0 is a free one
size_t capacity = 0;            // guarded by epollLock
std::atomic<size_t> entryCount{0};

EpollEntry* findEntry(int set, int fd) {
    for (size_t i = 0; i < capacity; ++i) {
        if (entries[i].set == set && entries[i].fd == fd) return &entries[i];
    }
    return nullptr;
}

EpollEntry* freeEntry() {
    if (EpollEntry* const unused = findEntry(-1, -1)) return unused;
    const size_t wanted = capacity == 0 ? 64 : 2 * capacity;
    void* const memory =
        realMmap(nullptr, wanted * sizeof(EpollEntry), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    auto* const grown = static_cast<EpollEntry*>(memory);
    for (size_t i = 0; i < wanted; ++i) grown[i] = i < capacity ? entries[i] : EpollEntry{-1, -1, {}, 0, {}};
    if (entries != nullptr) ::munmap(entries, capacity * sizeof(EpollEntry));
    EpollEntry* const result = &grown[capacity];
    entries = grown;
    capacity = wanted;
    return result;
}

void dropPriority(EpollEntry& entry) {
    const int number = entry.priority.get();
    if (number >= 0) kernel(SYS_epoll_ctl, entry.set, EPOLL_CTL_DEL, number, nullptr);
    entry.priority.close();
}

void dropEntry(EpollEntry& entry) {
    dropPriority(entry);
    entry = {-1, -1, {}, 0, {}};
    entryCount.fetch_sub(1);
}

/// Brings the second descriptor in line with what the entry wants. Its own copy: the same file may be in a set twice.
void updatePriority(EpollEntry& entry, int shared) {
    if ((entry.wanted.events & EPOLLPRI) == 0) return dropPriority(entry);
    epoll_event event = entry.wanted;
    event.events = EPOLLPRI | (entry.wanted.events & (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP));
    int number = entry.priority.get();
    if (number < 0 && shared >= 0) {
        // The program closed it, but the set may have it still, since the daemon has it open too: under the same number it is
        // the same there.
        entry.priority = HiddenFd::of(shared).duplicate(entry.priority.lastNumber());
        number = entry.priority.lastNumber();
    }
    if (number < 0) return;
    if (kernel(SYS_epoll_ctl, entry.set, EPOLL_CTL_MOD, number, &event) == -ENOENT)
        kernel(SYS_epoll_ctl, entry.set, EPOLL_CTL_ADD, number, &event);
}

}  // namespace

bool haveEpoll() { return entryCount.load(std::memory_order_relaxed) != 0; }

int controlEpoll(By by, int set, int operation, int fd, uint64_t session, epoll_event* event, int priority) {
    epoll_event native{};
    if (event != nullptr) {
        native = *event;
        native.events &= ~static_cast<uint32_t>(EPOLLPRI);
    }
    epoll_event* const nativeEvent = event != nullptr ? &native : nullptr;
    const int result = by == By::Function ? DAEDALUS_NEXT(epoll_ctl)(set, operation, fd, nativeEvent)
                                          : static_cast<int>(withErrno(kernel(SYS_epoll_ctl, set, operation, fd, nativeEvent)));
    if (result != 0 || sharesMemory()) return result;
    const Locked locked(epollLock);
    EpollEntry* entry = findEntry(set, fd);
    if (operation == EPOLL_CTL_DEL) {
        if (entry != nullptr) dropEntry(*entry);
        return 0;
    }
    if (entry != nullptr && (operation == EPOLL_CTL_ADD || entry->session != session)) {
        // What was here had been closed.
        dropEntry(*entry);
        entry = nullptr;
    }
    if (entry == nullptr) {
        entry = freeEntry();
        if (entry == nullptr) return 0;
        *entry = {set, fd, {}, session, {}};
        entryCount.fetch_add(1);
    }
    entry->wanted = *event;
    updatePriority(*entry, priority);
    return 0;
}

bool findEpoll(int set, uint64_t data, EpollEntry& entry) {
    const Locked locked(epollLock);
    for (size_t i = 0; i < capacity; ++i) {
        if (entries[i].set != set || entries[i].wanted.data.u64 != data) continue;
        entry = entries[i];
        return true;
    }
    return false;
}

void sweepEpoll(bool (*gone)(uint64_t session, const void* context), const void* context) {
    const Locked locked(epollLock);
    for (size_t i = 0; i < capacity; ++i) {
        if (entries[i].set >= 0 && gone(entries[i].session, context)) dropEntry(entries[i]);
    }
}

size_t listEpollSessions(uint64_t* out, size_t max) {
    const Locked locked(epollLock);
    size_t count = 0;
    for (size_t i = 0; i < capacity && count < max; ++i) {
        if (entries[i].set >= 0) out[count++] = entries[i].session;
    }
    return count;
}

}  // namespace daedalus::preload
