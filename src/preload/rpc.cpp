#include "src/preload/rpc.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "src/preload/old_symbols.h"
#include "src/preload/process.h"
#include "src/preload/real.h"

namespace daedalus::preload {
namespace {

/// Our descriptors stay out of the way of programs that count on low numbers, or close them in a row.
constexpr int kLowestFd = 200;

struct Connection {
    int fd = -1;
    uint32_t generation = 0;
    uint32_t sequence = 0;
    bool busy = false;
};

__thread Connection mine __attribute__((tls_model("initial-exec")));

pthread_key_t endKey;
std::atomic<int> endKeyState{0};  // 0: none, 1: being made, 2: there

bool fillAddress(sockaddr_un& address) {
    const char* const path = socketPath();
    if (path == nullptr) return false;
    std::memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    return true;
}

/// True if `fd` is still our connection: programs close descriptors that they do not know, and reuse the numbers.
bool isOurs(int fd) {
    sockaddr_un expected;
    sockaddr_un peer;
    socklen_t length = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) != 0 || !fillAddress(expected)) return false;
    if (peer.sun_family != AF_UNIX || length <= offsetof(sockaddr_un, sun_path)) return false;
    return std::strncmp(peer.sun_path, expected.sun_path, sizeof peer.sun_path) == 0;
}

void closeConnection(Connection& connection) {
    const KeepErrno keep;
    if (connection.fd >= 0 && isOurs(connection.fd)) realClose(connection.fd);
    connection.fd = -1;
}

void onThreadEnd(void*) { closeConnection(mine); }

/// Closes the connection of the thread that forked: it is the parent's.
void onFork() { closeConnection(mine); }

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

int connectDaemon() {
    sockaddr_un address;
    if (!fillAddress(address)) return -1;
    int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    for (const int lowest : {kLowestFd, kLowestFd / 4}) {
        const int high = ::fcntl(fd, F_DUPFD_CLOEXEC, lowest);
        if (high < 0) continue;
        realClose(fd);
        fd = high;
        break;
    }
    int result = 0;
    do {
        result = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    } while (result != 0 && errno == EINTR);
    if (result == 0) return fd;
    realClose(fd);
    return -1;
}

/// Makes sure that `connection` has a usable fd.
bool ready(Connection& connection) {
    const uint32_t generation = forkGeneration();
    if (connection.fd >= 0 && connection.generation != generation) closeConnection(connection);
    if (connection.fd >= 0 && !isOurs(connection.fd)) connection.fd = -1;
    if (connection.fd >= 0) return true;
    connection.fd = connectDaemon();
    connection.generation = generation;
    connection.busy = false;
    // Before the first wait: a thread may be cancelled in it.
    if (&connection == &mine && connection.fd >= 0) watchThreadEnd();
    return connection.fd >= 0;
}

/// The system calls that we stand for are no cancellation points, so a cancelled thread must not end in ours; but a thread
/// that may be cancelled at any instruction may be so while it waits here, as it may in the kernel.
class NoCancellationPoint {
public:
    NoCancellationPoint() {
        int type = PTHREAD_CANCEL_DEFERRED;
        ::pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &type);
        anywhere_ = type == PTHREAD_CANCEL_ASYNCHRONOUS;
        if (anywhere_) {
            ::pthread_setcanceltype(type, nullptr);
        } else {
            ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state_);
        }
    }
    ~NoCancellationPoint() {
        if (!anywhere_) ::pthread_setcancelstate(state_, nullptr);
    }
    NoCancellationPoint(const NoCancellationPoint&) = delete;
    NoCancellationPoint& operator=(const NoCancellationPoint&) = delete;

private:
    int state_ = PTHREAD_CANCEL_ENABLE;
    bool anywhere_ = false;
};

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
    ssize_t sent = 0;
    do {
        sent = ::sendmsg(fd, &header, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
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
                realClose(fd);
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
        const ssize_t got = ::recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
        if (got >= static_cast<ssize_t>(sizeof exchange.reply)) {
            takeFds(header, exchange);
            exchange.received = static_cast<size_t>(got) - sizeof exchange.reply;
            return exchange.reply.sequence == exchange.request.sequence ? Outcome::Answered : Outcome::Gone;
        }
        if (got >= 0) return Outcome::Gone;
        if (errno == EFAULT) {
            // The head was written before the fault, and says what the daemon answered.
            return exchange.reply.sequence == exchange.request.sequence ? Outcome::CannotWrite : Outcome::Gone;
        }
        if (errno != EINTR) return Outcome::Gone;
        if (!exchange.interruptible || cancelled) continue;
        // A handler without SA_RESTART ran. The answer now comes at once: EINTR, or the result that was on its way.
        proto::Request cancel{};
        cancel.kind = proto::Kind::Cancel;
        cancelled = ::send(fd, &cancel, sizeof cancel, MSG_NOSIGNAL) >= 0 || errno != EINTR;
    }
}

Outcome exchangeOn(Connection& connection, Exchange& exchange) {
    for (int attempt = 0; attempt < 2; ++attempt) {
        if (!ready(connection)) return Outcome::Gone;
        exchange.request.sequence = ++connection.sequence;
        exchange.reply.sequence = ~exchange.request.sequence;
        const int error = sendRequest(connection.fd, exchange);
        if (error == EFAULT) return Outcome::CannotRead;
        if (error == EBADF || (exchange.sendFdCount > 0 && (error == EINVAL || error == ETOOMANYREFS))) return Outcome::BadFd;
        if (error != 0) {
            // The daemon may have been started anew since the last call.
            closeConnection(connection);
            continue;
        }
        connection.busy = true;
        const Outcome outcome = receiveReply(connection.fd, exchange);
        connection.busy = false;
        if (outcome == Outcome::Gone) closeConnection(connection);
        return outcome;
    }
    return Outcome::Gone;
}

}  // namespace

Outcome exchange(Exchange& exchange) {
    const NoCancellationPoint none;
    if (mine.busy && mine.generation == forkGeneration()) {
        // A signal handler calls while its thread waits (or it left such a wait by longjmp).
        Connection another;
        const Outcome outcome = exchangeOn(another, exchange);
        closeConnection(another);
        return outcome;
    }
    return exchangeOn(mine, exchange);
}

}  // namespace daedalus::preload
