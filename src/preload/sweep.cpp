#include "src/preload/sweep.h"

#include "src/preload/epoll_table.h"
#include "src/preload/process.h"
#include "src/preload/rpc.h"
#include "src/preload/scratch.h"
#include "src/preload/sessions.h"

namespace daedalus::preload {
namespace {

/// Sessions asked about at once; the rest waits for the next sweep.
constexpr size_t kAtOnce = proto::kMaxInlineBytes / sizeof(uint64_t);

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

bool haveSessions() { return haveRecords() || haveEpoll(); }

void forgetClosedSessions() {
    if (!haveSessions() || sharesMemory()) return;
    const KeepErrno keep;
    Scratch idMemory;
    Scratch aliveMemory;
    auto* const ids = idMemory.get<uint64_t>(kAtOnce);
    auto* const alive = aliveMemory.get<uint8_t>(kAtOnce);
    if (ids == nullptr || alive == nullptr) return;
    size_t count = listRecords(ids, kAtOnce);
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
    sweepRecords(isGone, &verdict);
}

}  // namespace daedalus::preload
