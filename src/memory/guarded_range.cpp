#include "guarded_range.h"

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <vector>

#include "daedalus/base/thread_annotations.h"

namespace daedalus::memory {
namespace {

/// One range, as the signal handler sees it. Unused: `begin` is 0.
struct Entry {
    std::atomic<uintptr_t> begin = 0;
    std::atomic<uintptr_t> end = 0;
    std::atomic<bool> broken = false;
};

/// More than a process has mappings, by default.
constexpr size_t kEntries = size_t{1} << 16;
std::array<Entry, kEntries> entries;
/// Entries that have ever been used are before it.
std::atomic<size_t> everUsed = 0;

Mutex freeMutex;
/// Of those the ones that are free.
std::vector<size_t>& freed() DAEDALUS_REQUIRES(freeMutex) {
    // Never destroyed: mappings may end later than static objects.
    static auto* const list = new std::vector<size_t>();  // NOLINT(cppcoreguidelines-owning-memory)
    return *list;
}

struct sigaction before;

/// Nobody's page: whoever handled the signal before does so now.
void passOn(int signo, siginfo_t* info, void* context) {
    if ((before.sa_flags & SA_SIGINFO) != 0) return before.sa_sigaction(signo, info, context);
    if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) return before.sa_handler(signo);
    // The access is repeated on return, and ends the process.
    ::signal(SIGBUS, SIG_DFL);
}

void onBusError(int signo, siginfo_t* info, void* context) {
    const int error = errno;
    const auto at = reinterpret_cast<uintptr_t>(info->si_addr);
    const size_t used = everUsed;
    for (size_t i = 0; i < used && info->si_code > 0; ++i) {
        Entry& entry = entries[i];
        const uintptr_t begin = entry.begin;
        const uintptr_t end = entry.end;
        if (begin == 0 || at < begin || at >= end) continue;
        // All of it: one page at a time would cost a mapping each.
        void* const place = ::mmap(reinterpret_cast<void*>(begin), end - begin, PROT_READ | PROT_WRITE,
                                   MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (place == MAP_FAILED) break;
        entry.broken = true;
        errno = error;
        return;
    }
    passOn(signo, info, context);
}

void install() {
    struct sigaction action {};
    action.sa_sigaction = onBusError;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    ::sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, &before);
}

}  // namespace

Result<GuardedRange> GuardedRange::guard(void* address, size_t size) {
    static const bool installed = (install(), true);
    static_cast<void>(installed);
    size_t index = 0;
    {
        MutexLock lock(freeMutex);
        auto& list = freed();
        // What is given back below must find room.
        list.reserve(everUsed + 1);
        if (!list.empty()) {
            index = list.back();
            list.pop_back();
        } else if (everUsed < kEntries) {
            index = everUsed++;
        } else {
            return fail(ENOMEM);
        }
    }
    Entry& entry = entries[index];
    entry.broken = false;
    entry.end = reinterpret_cast<uintptr_t>(address) + size;
    entry.begin = reinterpret_cast<uintptr_t>(address);
    return GuardedRange(index);
}

GuardedRange::~GuardedRange() {
    if (entry_ == kNone) return;
    entries[entry_].begin = 0;
    MutexLock lock(freeMutex);
    freed().push_back(entry_);
}

bool GuardedRange::isBroken() const { return entry_ != kNone && entries[entry_].broken; }

}  // namespace daedalus::memory
