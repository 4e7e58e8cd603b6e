#include "src/preload/rpc.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <initializer_list>

#include "src/preload/connections.h"
#include "src/preload/kernel.h"
#include "src/preload/old_symbols.h"
#include "src/preload/process.h"

namespace daedalus::preload {
namespace {

__thread Connection mine __attribute__((tls_model("initial-exec")));
__thread int goneBecause __attribute__((tls_model("initial-exec"))) = 0;

pthread_key_t endKey;
std::atomic<int> endKeyState{0};  // 0: none, 1: being made, 2: there

void onThreadEnd(void*) {
    if (!sharesMemory()) mine.fd.close();
}

/// Closes the connection of the thread that forked: it is the parent's.
void onFork() {
    forkGeneration();
    mine.fd.close();
}

/// Has onThreadEnd() run at the end of this thread.
void watchThreadEnd() {
    int state = 0;
    if (endKeyState.compare_exchange_strong(state, 1)) {
        const bool made = ::pthread_key_create != nullptr && ::pthread_key_create(&endKey, onThreadEnd) == 0;
        ::pthread_atfork(nullptr, nullptr, onFork);
        endKeyState.store(made ? 2 : 3);
    }
    if (endKeyState.load() == 2) ::pthread_setspecific(endKey, &mine);
}

/// Sends the request: 0 or an errno.
int sendRequest(int fd, const Exchange& exchange) {
    iovec parts[kMaxPieces + 1];
    parts[0] = {const_cast<proto::Request*>(&exchange.request), sizeof exchange.request};
    for (size_t i = 0; i < exchange.outCount; ++i) parts[i + 1] = exchange.out[i];
    msghdr header{};
    header.msg_iov = parts;
    header.msg_iovlen = exchange.outCount + 1;
    alignas(cmsghdr) char control[CMSG_SPACE((proto::kMaxRequestFds + 1) * sizeof(int))];
    if (exchange.sendFdCount > 0) {
        const size_t bytes = exchange.sendFdCount * sizeof(int);
        std::memset(control, 0, sizeof control);
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE(bytes);
        cmsghdr* const entry = CMSG_FIRSTHDR(&header);
        entry->cmsg_level = SOL_SOCKET;
        entry->cmsg_type = SCM_RIGHTS;
        entry->cmsg_len = CMSG_LEN(bytes);
        std::memcpy(CMSG_DATA(entry), exchange.sendFds, bytes);
    }
    long sent = 0;
    do {
        sent = kernel(SYS_sendmsg, fd, &header, MSG_NOSIGNAL);
    } while (sent == -EINTR);
    return sent < 0 ? static_cast<int>(-sent) : 0;
}

void takeFds(msghdr& header, Exchange& exchange) {
    for (cmsghdr* entry = CMSG_FIRSTHDR(&header); entry != nullptr; entry = CMSG_NXTHDR(&header, entry)) {
        if (entry->cmsg_level != SOL_SOCKET || entry->cmsg_type != SCM_RIGHTS) continue;
        const size_t count = (entry->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(entry) + i * sizeof fd, sizeof fd);
            if (exchange.fdCount < proto::kMaxReplyFds) {
                exchange.fds[exchange.fdCount++] = fd;
            } else {
                kernel(SYS_close, fd);
            }
        }
    }
}

Outcome receiveReply(int fd, Exchange& exchange) {
    iovec parts[kMaxPieces + 1];
    parts[0] = {&exchange.reply, sizeof exchange.reply};
    for (size_t i = 0; i < exchange.inCount; ++i) parts[i + 1] = exchange.in[i];
    alignas(cmsghdr) char control[CMSG_SPACE(proto::kMaxReplyFds * sizeof(int))];
    bool cancelled = false;
    for (;;) {
        msghdr header{};
        header.msg_iov = parts;
        header.msg_iovlen = exchange.inCount + 1;
        header.msg_control = control;
        header.msg_controllen = sizeof control;
        const long got = kernel(SYS_recvmsg, fd, &header, MSG_CMSG_CLOEXEC);
        if (got >= static_cast<long>(sizeof exchange.reply)) {
            takeFds(header, exchange);
            exchange.received = static_cast<size_t>(got) - sizeof exchange.reply;
            return exchange.reply.sequence == exchange.request.sequence ? Outcome::Answered : Outcome::Gone;
        }
        if (got >= 0) return Outcome::Gone;
        if (got == -EFAULT) {
            // The head was written before the fault, and says what the daemon answered.
            return exchange.reply.sequence == exchange.request.sequence ? Outcome::CannotWrite : Outcome::Gone;
        }
        if (got != -EINTR) return Outcome::Gone;
        if (!exchange.interruptible || cancelled) continue;
        // A handler without SA_RESTART ran. The answer now comes at once: EINTR, or the result that was on its way.
        proto::Request cancel{};
        cancel.kind = proto::Kind::Cancel;
        cancelled = kernel(SYS_sendto, fd, &cancel, sizeof cancel, MSG_NOSIGNAL, nullptr, 0) != -EINTR;
    }
}

/// One request and its reply, on a connection that is there. `sent`: the daemon may have begun with it.
Outcome exchangeOnce(int fd, Connection& connection, Exchange& exchange, bool& sent) {
    exchange.request.sequence = ++connection.sequence;
    exchange.reply.sequence = ~exchange.request.sequence;
    const int error = sendRequest(fd, exchange);
    sent = error == 0;
    if (error == EFAULT) return Outcome::CannotRead;
    const bool mayBeTheirs = exchange.sendFdCount > 0 && (error == EBADF || error == EINVAL || error == ETOOMANYREFS);
    if (mayBeTheirs) return Outcome::BadFd;
    if (error != 0) return Outcome::Gone;
    connection.busy = true;
    const Outcome outcome = receiveReply(fd, exchange);
    connection.busy = false;
    return outcome;
}

/// Proves on this connection that the process has the file.
bool claim(int fd, Connection& connection, const Exchange& about) {
    Exchange claim;
    claim.request.kind = proto::Kind::Claim;
    claim.request.session = about.request.session;
    claim.sendFds = &about.file;
    claim.sendFdCount = 1;
    bool sent = false;
    return exchangeOnce(fd, connection, claim, sent) == Outcome::Answered && claim.reply.error == 0;
}

/// As exchangeOnce(), with a claim where the daemon asks for one. `fd`: of the connection, looked at just now.
Outcome exchangeOn(int fd, Connection& connection, Exchange& exchange, bool& sent) {
    Outcome outcome = exchangeOnce(fd, connection, exchange, sent);
    if (outcome == Outcome::Answered && (exchange.reply.flags & proto::kReplyClaim) != 0 && exchange.file >= 0 &&
        claim(fd, connection, exchange)) {
        outcome = exchangeOnce(fd, connection, exchange, sent);
    }
    if (outcome == Outcome::Gone) connection.fd.close();
    return outcome;
}

/// With what a later thread or child may need, which may be unable to get it then.
void prepareForSandboxes() {
    if (needsDoor()) {
        Exchange ask;
        ask.request.kind = proto::Kind::Door;
        bool sent = false;
        if (exchangeOnce(mine.fd.lastNumber(), mine, ask, sent) == Outcome::Answered && ask.fdCount == 1) keepDoor(ask.fds[0]);
    }
    prepareSharedConnection();
}

/// Gives this thread a connection: 0 or an errno.
int connectThread() {
    // A parent's, after a fork; and what the program put in its place is left alone.
    mine.fd.close();
    const int error = connectDaemon(mine);
    if (error != 0) return error;
    // Before the first wait: a thread may be cancelled in it.
    watchThreadEnd();
    prepareForSandboxes();
    return 0;
}

Outcome exchangeShared(Exchange& exchange) {
    SharedConnection shared;
    if (shared.get() == nullptr) return Outcome::Gone;
    const uint32_t flags = exchange.request.flags;
    exchange.hurried = exchange.request.kind == proto::Kind::Ioctl && (flags & proto::kRequestNonblocking) == 0;
    if (exchange.hurried) exchange.request.flags |= proto::kRequestNonblocking;
    bool sent = false;
    const Outcome outcome = exchangeOn(shared.get()->fd.lastNumber(), *shared.get(), exchange, sent);
    exchange.request.flags = flags;
    return outcome;
}

/// For a call that must not touch this thread's connection.
Outcome exchangeApart(Exchange& exchange) {
    Connection another;
    goneBecause = connectDaemon(another);
    if (goneBecause != 0) return exchangeShared(exchange);
    bool sent = false;
    const Outcome outcome = exchangeOn(another.fd.lastNumber(), another, exchange, sent);
    another.fd.close();
    return outcome;
}

}  // namespace

Outcome exchange(Exchange& exchange) {
    exchange.hurried = false;
    goneBecause = 0;
    const bool own = mine.generation == forkGeneration();
    // A signal handler calls while its thread waits (or it left such a wait by longjmp).
    if (own && mine.busy) return exchangeApart(exchange);
    bool sent = false;
    if (own && mine.fd.lastNumber() >= 0) {
        const int fd = mine.fd.get();
        const Outcome outcome = fd >= 0 ? exchangeOn(fd, mine, exchange, sent) : Outcome::Gone;
        // The program closed it, or the daemon was started anew since the last call.
        if (outcome != Outcome::Gone || sent) return outcome;
    }
    if (sharesMemory()) return exchangeApart(exchange);
    goneBecause = connectThread();
    return goneBecause == 0 ? exchangeOn(mine.fd.lastNumber(), mine, exchange, sent) : exchangeShared(exchange);
}

int whyGone() { return goneBecause; }

}  // namespace daedalus::preload
