#include "src/preload/process.h"

#include <dlfcn.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "src/preload/kernel.h"
#include "src/preload/next.h"
#include "src/preload/old_symbols.h"
#include "src/preload/rpc.h"

namespace daedalus::preload {
namespace {

constexpr size_t kMaxPath = 108;

char configuredPath[kMaxPath];
std::atomic<int> configured{0};  // 0: not looked yet; 1: there is a path; 2: there is none

/// Read early: programs clear or change their environment. And forks are told from then on, not from a child of vfork() on.
__attribute__((constructor)) void configure() {
    const char* const value = ::getenv(proto::kSocketVariable);
    if (value == nullptr || value[0] == '\0' || std::strlen(value) >= kMaxPath) {
        configured.store(2, std::memory_order_release);
        return;
    }
    std::strcpy(configuredPath, value);
    configured.store(1, std::memory_order_release);
    forkGeneration();
}

std::atomic<const Greeting*> said{nullptr};  // changed under greetingLock
Lock greetingLock;

/// Asks, and keeps what is new. Under greetingLock.
void greet() {
    static unsigned char answer[sizeof(Greeting)];
    iovec into{answer, sizeof answer};
    Exchange hello;
    hello.request.kind = proto::Kind::Hello;
    hello.request.value = proto::kProtocolVersion;
    hello.in = &into;
    hello.inCount = 1;
    proto::HelloBody head;
    if (exchange(hello) != Outcome::Answered || hello.reply.error != 0 || hello.received < sizeof head) return;
    std::memcpy(&head, answer, sizeof head);
    const Greeting* const before = said.load(std::memory_order_relaxed);
    if (before != nullptr && std::memcmp(&before->head, &head, sizeof head) == 0) return;
    if (head.version != proto::kProtocolVersion || head.nodeCount > proto::kMaxNodes || head.followCount > proto::kMaxFollows) {
        return;
    }
    const size_t nodes = head.nodeCount * sizeof(proto::NodeEntry);
    const size_t follows = head.followCount * sizeof(proto::FollowEntry);
    if (hello.received < sizeof head + nodes + follows) return;
    const long page = kernel(SYS_mmap, nullptr, sizeof(Greeting), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page < 0 && page > -4096) return;
    auto* const fresh = reinterpret_cast<Greeting*>(page);
    fresh->head = head;
    fresh->before = before;
    std::memcpy(fresh->nodes, answer + sizeof head, nodes);
    std::memcpy(fresh->follows, answer + sizeof head + nodes, follows);
    for (auto& node : fresh->nodes) {
        node.nodePath[sizeof node.nodePath - 1] = '\0';
        node.card[sizeof node.card - 1] = '\0';
    }
    said.store(fresh, std::memory_order_release);
}

uint32_t processId() { return static_cast<uint32_t>(kernel(SYS_getpid)); }

/// The id of the process whose memory this is. It lies in a page that the kernel wipes in the child of any fork, however it was
/// made, and not where the child runs in its parent's memory.
std::atomic<uint32_t>* forkMark() {
    static std::atomic<std::atomic<uint32_t>*> mark{nullptr};
    auto* known = mark.load(std::memory_order_acquire);
    if (known != nullptr) return known;
    const long page = kernel(SYS_mmap, nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page < 0 && page > -4096) return nullptr;
    auto* fresh = reinterpret_cast<std::atomic<uint32_t>*>(page);
    fresh->store(processId());
    if (kernel(SYS_madvise, page, 4096, MADV_WIPEONFORK) != 0 || !mark.compare_exchange_strong(known, fresh)) {
        kernel(SYS_munmap, page, 4096);
        return known;
    }
    return fresh;
}

std::atomic<uint32_t> generation{1};

}  // namespace

void* findNext(const char* name) {
    const KeepErrno keep;
    return ::dlsym(RTLD_NEXT, name);
}

const char* socketPath() {
    if (configured.load(std::memory_order_acquire) == 0) configure();
    return configured.load(std::memory_order_acquire) == 1 ? configuredPath : nullptr;
}

const Greeting* greeting() {
    const Greeting* known = said.load(std::memory_order_acquire);
    if (known != nullptr || socketPath() == nullptr) return known;
    const KeepErrno keep;
    const Locked locked(greetingLock);
    if (said.load(std::memory_order_relaxed) == nullptr) greet();
    return said.load(std::memory_order_relaxed);
}

const Greeting* freshGreeting() {
    if (said.load(std::memory_order_acquire) == nullptr) return greeting();
    const KeepErrno keep;
    // Whoever holds it asks just now; in a signal handler that may be the thread below.
    if (greetingLock.tryLock()) {
        greet();
        greetingLock.unlock();
    }
    return said.load(std::memory_order_acquire);
}

const proto::NodeEntry* nodeOfSession(uint64_t session) {
    const Greeting* const known = greeting();
    for (const Greeting* at = known; at != nullptr; at = at->before) {
        for (uint32_t i = 0; i < at->head.nodeCount; ++i) {
            const bool isIts = at->nodes[i].kind == proto::fileKindOf(session) && at->nodes[i].minor == proto::nodeOf(session);
            if (isIts) return &at->nodes[i];
        }
    }
    return known != nullptr && known->head.nodeCount > 0 ? &known->nodes[0] : nullptr;
}

const proto::FollowEntry* findFollow(uint32_t cmd) {
    const Greeting* const known = said.load(std::memory_order_acquire);
    for (uint32_t i = 0; known != nullptr && i < known->head.followCount; ++i) {
        if (known->follows[i].cmd == cmd) return &known->follows[i];
    }
    return nullptr;
}

uint32_t forkGeneration() {
    auto* const mark = forkMark();
    // Without the page (Linux before 4.14) the process id has to do.
    if (mark == nullptr) return processId();
    if (mark->load(std::memory_order_relaxed) == 0) {
        mark->store(processId(), std::memory_order_relaxed);
        generation.fetch_add(1);
    }
    return generation.load(std::memory_order_relaxed);
}

bool sharesMemory() {
    forkGeneration();
    auto* const mark = forkMark();
    if (mark == nullptr) return false;
    const uint32_t owner = mark->load(std::memory_order_relaxed);
    const uint32_t own = processId();
    if (owner == own) return false;
    // The owner is there as long as such a child is; an id without a process was left by one that came before us here.
    if (kernel(SYS_kill, owner, 0) != -ESRCH) return true;
    mark->store(own, std::memory_order_relaxed);
    return false;
}

KeepErrno::KeepErrno() : saved_(errno) {}
KeepErrno::~KeepErrno() { errno = saved_; }

// A thread of the parent may have held it at the fork; that thread does not exist here.
void Lock::openAfterFork() {
    const uint32_t now = forkGeneration();
    uint32_t then = generation_.load(std::memory_order_acquire);
    if (then != now && generation_.compare_exchange_strong(then, now)) state_.store(0);
}

bool Lock::tryLock() {
    openAfterFork();
    uint32_t state = 0;
    return state_.compare_exchange_strong(state, 1);
}

void Lock::lock() {
    openAfterFork();
    uint32_t state = 0;
    if (state_.compare_exchange_strong(state, 1)) return;
    while (state_.exchange(2) != 0) {
        kernel(SYS_futex, &state_, FUTEX_WAIT_PRIVATE, 2, nullptr);
    }
}

void Lock::unlock() {
    if (state_.exchange(0) != 2) return;
    kernel(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, 1);
}

}  // namespace daedalus::preload
