#include "src/preload/connections.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "proto/wire.h"
#include "src/preload/kernel.h"
#include "src/preload/process.h"

namespace daedalus::preload {
namespace {

Lock doorLock;
HiddenFd door;  // guarded by doorLock

/// Reads a decimal number and the ':' behind it.
bool parseNumber(const char*& text, uint64_t& number) {
    const char* at = text;
    for (number = 0; *at >= '0' && *at <= '9'; ++at) number = number * 10 + static_cast<uint64_t>(*at - '0');
    if (at == text || *at != ':') return false;
    text = at + 1;
    return true;
}

/// As `daedalus run` leaves it to its program.
__attribute__((constructor)) void takeInheritedDoor() {
    const char* value = ::getenv(proto::kDoorVariable);
    if (value == nullptr || socketPath() == nullptr) return;
    uint64_t number = 0;
    uint64_t inode = 0;
    if (!parseNumber(value, number) || !parseNumber(value, inode) || std::strcmp(value, socketPath()) != 0) return;
    if (number <= INT_MAX) door.expect(static_cast<int>(number), inode);
}

int doorNumber() {
    const Locked locked(doorLock);
    return door.get();
}

void dropDoor() {
    if (sharesMemory()) return;
    const Locked locked(doorLock);
    door.close();
}

/// Sends `end` through the door: 0 or an errno.
int handOver(int through, int end) {
    char byte = 0;
    iovec part{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    std::memset(control, 0, sizeof control);
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* const entry = CMSG_FIRSTHDR(&header);
    entry->cmsg_level = SOL_SOCKET;
    entry->cmsg_type = SCM_RIGHTS;
    entry->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(entry), &end, sizeof end);
    long sent = 0;
    do {
        sent = kernel(SYS_sendmsg, through, &header, MSG_NOSIGNAL);
    } while (sent == -EINTR);
    return sent < 0 ? static_cast<int>(-sent) : 0;
}

int connectThroughDoor(HiddenFd& fd) {
    const int through = doorNumber();
    if (through < 0) return ENOTCONN;
    int ends[2];
    const long made = kernel(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
    if (made < 0) return static_cast<int>(-made);
    const int error = handOver(through, ends[1]);
    kernel(SYS_close, ends[1]);
    if (error == 0) {
        fd.adopt(ends[0]);
        return 0;
    }
    kernel(SYS_close, ends[0]);
    // Its daemon is gone; there may be another.
    if (error == EPIPE || error == ECONNRESET || error == ECONNREFUSED) dropDoor();
    return error;
}

int connectByPath(HiddenFd& fd) {
    const char* const path = socketPath();
    if (path == nullptr) return ENOENT;
    sockaddr_un address;
    std::memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    const long made = kernel(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (made < 0) return static_cast<int>(-made);
    long result = 0;
    do {
        result = kernel(SYS_connect, made, &address, sizeof address);
    } while (result == -EINTR);
    if (result == 0) {
        fd.adopt(static_cast<int>(made));
        return 0;
    }
    kernel(SYS_close, made);
    return static_cast<int>(-result);
}

/// What lies in memory that a process shares with its forked children.
struct Common {
    std::atomic<uint32_t> holder;  ///< a thread id, or 0
    uint32_t sequence;
    uint32_t unused[2];
};

Lock commonLock;
HiddenFd commonFd;         // guarded by commonLock
Common* common = nullptr;  // guarded by commonLock

Common* mapCommon() {
    const long page = kernel(SYS_mmap, nullptr, sizeof(Common), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return page < 0 && page > -4096 ? nullptr : reinterpret_cast<Common*>(page);
}

/// Takes what a holder that died left unread.
void discardReplies(int fd) {
    constexpr int kPatienceMs = 100;
    char sink[64];
    pollfd entry{fd, POLLIN, 0};
    const timespec patience{0, kPatienceMs * 1'000'000L};
    timespec left = patience;
    while (kernel(SYS_ppoll, &entry, 1, &left, nullptr, 0) > 0) {
        if (kernel(SYS_recvfrom, fd, sink, sizeof sink, MSG_DONTWAIT, nullptr, nullptr) <= 0) break;
        left = patience;
    }
}

/// False if this very thread holds it.
bool hold(Common& shared, int fd) {
    const auto self = static_cast<uint32_t>(kernel(SYS_gettid));
    for (;;) {
        uint32_t holder = 0;
        if (shared.holder.compare_exchange_strong(holder, self)) return true;
        if (holder == self) return false;
        const timespec patience{0, 50'000'000};
        kernel(SYS_futex, &shared.holder, FUTEX_WAIT, holder, &patience);
        if (kernel(SYS_kill, holder, 0) != -ESRCH) continue;
        if (!shared.holder.compare_exchange_strong(holder, self)) continue;
        discardReplies(fd);
        return true;
    }
}

}  // namespace

int connectDaemon(Connection& connection) {
    connection.generation = forkGeneration();
    connection.sequence = 0;
    connection.busy = false;
    const int error = connectThroughDoor(connection.fd);
    // A sandbox that refuses this refuses connect() too, or ends who tries it.
    const bool refused = error == EPERM || error == EACCES || error == ENOSYS || error == EMFILE || error == ENFILE;
    return error == 0 || refused ? error : connectByPath(connection.fd);
}

bool needsDoor() { return doorNumber() < 0; }

void keepDoor(int fd) {
    HiddenFd fresh;
    fresh.adopt(fd);
    const Locked locked(doorLock);
    // Another thread was faster.
    if (door.get() >= 0) return fresh.close();
    door = fresh;
}

SharedConnection::SharedConnection() {
    Common* shared = nullptr;
    {
        const Locked locked(commonLock);
        connection_.fd = commonFd;
        shared = common;
    }
    const int fd = shared != nullptr ? connection_.fd.get() : -1;
    if (fd < 0 || !hold(*shared, fd)) return;
    connection_.generation = forkGeneration();
    connection_.sequence = shared->sequence;
    held_ = &shared->holder;
    sequence_ = &shared->sequence;
    // Who held it before may have found its daemon gone, and closed it.
    if (connection_.fd.get() < 0) release();
}

SharedConnection::~SharedConnection() { release(); }

void SharedConnection::release() {
    if (held_ == nullptr) return;
    *sequence_ = connection_.sequence;
    held_->store(0);
    kernel(SYS_futex, held_, FUTEX_WAKE, 1);
    held_ = nullptr;
}

void prepareSharedConnection() {
    {
        const Locked locked(commonLock);
        if (commonFd.get() >= 0) return;
    }
    Connection fresh;
    if (connectDaemon(fresh) != 0) return;
    const Locked locked(commonLock);
    // Another's, or the last daemon's. Its memory stays: someone may look at it.
    if (commonFd.get() >= 0 || (common = mapCommon()) == nullptr) return fresh.fd.close();
    commonFd = fresh.fd;
}

}  // namespace daedalus::preload
