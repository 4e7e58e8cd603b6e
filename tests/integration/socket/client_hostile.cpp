// Clients that speak the protocol badly: each loses its own connection, and nothing else.
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "proto/wire.h"
#include "tests/integration/socket/client.h"

namespace daedalus::test {
namespace {

int dial() {
    const int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, std::getenv(proto::kSocketVariable), sizeof address.sun_path - 1);
    EXPECT(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    const timeval patience{5, 0};
    EXPECT(::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
    return fd;
}

void sendWith(int socket, const void* bytes, size_t length, const std::vector<int>& fds) {
    iovec part{const_cast<void*>(bytes), length};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    std::vector<char> control(CMSG_SPACE(fds.size() * sizeof(int)));
    if (!fds.empty()) {
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        cmsghdr* const entry = CMSG_FIRSTHDR(&header);
        entry->cmsg_level = SOL_SOCKET;
        entry->cmsg_type = SCM_RIGHTS;
        entry->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
        std::memcpy(CMSG_DATA(entry), fds.data(), fds.size() * sizeof(int));
    }
    EXPECT(::sendmsg(socket, &header, MSG_NOSIGNAL) == static_cast<ssize_t>(length));
}

/// The daemon closed this connection.
void expectClosed(int fd) {
    char bytes[8192];
    const ssize_t got = ::recv(fd, bytes, sizeof bytes, 0);
    EXPECT(got == 0 || (got < 0 && errno == ECONNRESET));
    ::close(fd);
}

proto::Reply receive(int fd) {
    proto::Reply reply{};
    char rest[32768];
    iovec parts[2] = {{&reply, sizeof reply}, {rest, sizeof rest}};
    msghdr header{};
    header.msg_iov = parts;
    header.msg_iovlen = 2;
    EXPECT(::recvmsg(fd, &header, 0) >= static_cast<ssize_t>(sizeof reply));
    return reply;
}

proto::Request request(proto::Kind kind) {
    proto::Request made{};
    made.kind = kind;
    return made;
}

uint64_t sessionOf(int fd) {
    sockaddr_un name{};
    socklen_t length = sizeof name;
    EXPECT(::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) == 0);
    return std::strtoull(std::string(name.sun_path + 1 + proto::kFileNamePrefixLength + 17, 16).c_str(), nullptr, 16);
}

void hostile() {
    const int good = openNode();
    const uint64_t session = sessionOf(good);
    // Too short, too long, of no kind.
    char noise[9000] = {};
    for (const size_t length : {size_t{1}, size_t{3}, sizeof(proto::Request) - 1, sizeof noise}) {
        const int fd = dial();
        sendWith(fd, noise, length, {});
        expectClosed(fd);
    }
    for (const uint32_t kind : {0U, 12U, 0xFFFFFFFFU}) {
        const int fd = dial();
        const auto bad = request(static_cast<proto::Kind>(kind));
        sendWith(fd, &bad, sizeof bad, {});
        expectClosed(fd);
    }
    // A version that nobody speaks gets an answer.
    {
        const int fd = dial();
        auto hello = request(proto::Kind::Hello);
        hello.value = 99;
        sendWith(fd, &hello, sizeof hello, {});
        EXPECT(receive(fd).error == EPROTO);
        ::close(fd);
    }
    // Sessions that are not there.
    {
        const int fd = dial();
        for (const auto kind :
             {proto::Kind::Ioctl, proto::Kind::Map, proto::Kind::Readiness, proto::Kind::Priority, proto::Kind::Released}) {
            auto lost = request(kind);
            lost.session = session + 1;
            lost.cmd = VIDIOC_QUERYCAP;
            sendWith(fd, &lost, sizeof lost, {});
            EXPECT(receive(fd).error == ENODEV);
        }
        // A cancel without a call, then a call.
        const auto cancel = request(proto::Kind::Cancel);
        sendWith(fd, &cancel, sizeof cancel, {});
        auto query = request(proto::Kind::Ioctl);
        query.session = session;
        query.cmd = VIDIOC_QUERYCAP;
        sendWith(fd, &query, sizeof query, {0, 1, 2, 0, 1, 2, 0, 1});
        EXPECT(receive(fd).error == 0);
        ::close(fd);
    }
    // Sizes that do not add up.
    for (int variant = 0; variant < 8; ++variant) {
        const int fd = dial();
        struct {
            proto::Request head;
            unsigned char body[200];
        } message{};
        message.head = request(proto::Kind::Ioctl);
        message.head.session = session;
        message.head.cmd = VIDIOC_QBUF;
        message.head.argumentBytes = sizeof(v4l2_buffer);
        size_t body = sizeof(v4l2_buffer);
        std::vector<int> fds;
        switch (variant) {
            case 0:
                body = 5;
                break;
            case 1:
                message.head.argumentBytes = 0;
                break;
            case 2:
                message.head.nestedCount = 1;
                break;
            case 3:
                message.head.nestedCount = 0xFFFFFFFF;
                break;
            case 4:
                message.head.planeCount = 0xFFFFFFFF;
                break;
            case 5:
                body += 1;
                break;
            case 6:
                message.head.flags = proto::kRequestLarge;
                message.head.bodyBytes = 88;
                body = 0;
                break;
            default:
                message.head.flags = proto::kRequestLarge;
                message.head.bodyBytes = 0xFFFFFFFF;
                body = 0;
                fds = {0};
                break;
        }
        sendWith(fd, &message, sizeof message.head + body, fds);
        expectClosed(fd);
    }
    // Announced planes without their descriptors.
    {
        const int fd = dial();
        struct {
            proto::Request head;
            v4l2_buffer buffer;
            proto::PlaneMemory plane;
        } __attribute__((packed)) message{};
        message.head = request(proto::Kind::Ioctl);
        message.head.session = session;
        message.head.cmd = VIDIOC_QBUF;
        message.head.argumentBytes = sizeof(v4l2_buffer);
        message.head.planeCount = 1;
        message.plane = {0, proto::PlaneMemory::Source::Dmabuf, 1, 0};
        sendWith(fd, &message, sizeof message, {});
        expectClosed(fd);
    }
    // A second request while one waits.
    {
        const int fd = dial();
        struct {
            proto::Request head;
            v4l2_buffer buffer;
        } message{};
        message.head = request(proto::Kind::Ioctl);
        message.head.session = session;
        message.head.cmd = VIDIOC_DQBUF;
        message.head.argumentBytes = sizeof(v4l2_buffer);
        message.buffer.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
        sendWith(fd, &message, sizeof message, {});
        sendWith(fd, &message, sizeof message, {});
        expectClosed(fd);
    }
    // Floods without reading a reply.
    {
        const int fd = dial();
        auto query = request(proto::Kind::Ioctl);
        query.session = session;
        query.cmd = VIDIOC_QUERYCAP;
        int sent = 0;
        while (sent < 100'000 && ::send(fd, &query, sizeof query, MSG_NOSIGNAL) > 0) ++sent;
        EXPECT(sent < 100'000);
        ::close(fd);
    }
    // Opens, and goes without taking the file.
    for (int i = 0; i < 50; ++i) {
        const int fd = dial();
        const auto open = request(proto::Kind::Open);
        sendWith(fd, &open, sizeof open, {});
        ::close(fd);
    }
    // Those that the daemon has not even seen yet count as gone, too: once is not enough.
    int quiet = 0;
    for (int i = 0; i < 500 && quiet < 20; ++i) {
        ::usleep(10'000);
        quiet = ask(good, kSessions) == 1 ? quiet + 1 : 0;
    }
    EXPECT(quiet == 20);
    // Noise behind a good head.
    std::minstd_rand random(7);
    for (int i = 0; i < 2000; ++i) {
        const int fd = dial();
        struct {
            proto::Request head;
            unsigned char body[256];
        } message{};
        message.head = request(static_cast<proto::Kind>(1 + random() % 11));
        message.head.session = random() % 4 != 0 ? session : random();
        message.head.flags = random() % 8;
        message.head.cmd = random() % 2 == 0 ? VIDIOC_QBUF : random() % 2 == 0 ? VIDIOC_G_EXT_CTRLS : random();
        message.head.argumentBytes = random() % 2 == 0 ? _IOC_SIZE(message.head.cmd) : random() % 300;
        message.head.nestedCount = random() % 3;
        message.head.planeCount = random() % 3;
        message.head.bodyBytes = random() % 300;
        for (auto& byte : message.body) byte = static_cast<unsigned char>(random() % 3 == 0 ? random() : 0);
        sendWith(fd, &message, sizeof message.head + random() % sizeof message.body,
                 random() % 3 == 0 ? std::vector<int>{0, 1} : std::vector<int>{});
        ::close(fd);
    }
    EXPECT(ask(good, kSessions) >= 1);
    v4l2_capability capability{};
    EXPECT(::ioctl(good, VIDIOC_QUERYCAP, &capability) == 0);
}

/// Not a test of right and wrong: what one call costs against the least that two processes can do.
void cost() {
    const int fd = openNode();
    constexpr int kRounds = 50'000;
    v4l2_capability capability{};
    double best = 1;
    double bestPing = 1;
    int ends[2];
    EXPECT(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        char bytes[256];
        ::close(ends[0]);
        ssize_t got = 0;
        while ((got = ::recv(ends[1], bytes, sizeof bytes, 0)) > 0) ::send(ends[1], bytes, 168, 0);
        std::_Exit(0);
    }
    ::close(ends[1]);
    for (int batch = 0; batch < 5; ++batch) {
        double start = nowSeconds();
        for (int i = 0; i < kRounds / 5; ++i) EXPECT(::ioctl(fd, VIDIOC_QUERYCAP, &capability) == 0);
        best = std::min(best, (nowSeconds() - start) / (kRounds / 5));
        start = nowSeconds();
        char bytes[256] = {};
        for (int i = 0; i < kRounds / 5; ++i) {
            ::send(ends[0], bytes, 56, 0);
            ::recv(ends[0], bytes, sizeof bytes, 0);
        }
        bestPing = std::min(bestPing, (nowSeconds() - start) / (kRounds / 5));
    }
    std::printf("QUERYCAP %.2f us, ping-pong %.2f us: %.2f times\n", best * 1e6, bestPing * 1e6, best / bestPing);
}

/// The door that the daemon gives for the asking.
int askDoor() {
    const int fd = dial();
    const auto ask = request(proto::Kind::Door);
    sendWith(fd, &ask, sizeof ask, {});
    proto::Reply reply{};
    iovec part{&reply, sizeof reply};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    EXPECT(::recvmsg(fd, &header, 0) == static_cast<ssize_t>(sizeof reply) && reply.error == 0);
    ::close(fd);
    int door = -1;
    EXPECT(CMSG_FIRSTHDR(&header) != nullptr);
    std::memcpy(&door, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof door);
    return door;
}

/// What a client sets on the socket that it hands through the door brings a descriptor with every message (Linux 6.5): those do
/// not stay with the daemon.
void bringPidFds(int door, const proto::Request& query) {
    constexpr int kPassPidFd = 76;  // SO_PASSPIDFD
    const auto held = [] {
        const std::filesystem::directory_iterator all("/proc/" + std::string(::getenv("DAEDALUS_TEST_DAEMON")) + "/fd");
        return std::distance(begin(all), end(all));
    };
    const auto call = [&](int fd) {
        sendWith(fd, &query, sizeof query, {});
        EXPECT(receive(fd).error == 0);
    };
    int pair[2];
    const int yes = 1;
    EXPECT(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    if (::setsockopt(pair[1], SOL_SOCKET, kPassPidFd, &yes, sizeof yes) == 0) {
        sendWith(door, "", 1, {pair[1]});
        call(pair[0]);
        const auto before = held();
        for (int i = 0; i < 20; ++i) call(pair[0]);
        EXPECT(held() == before);
    }
    ::close(pair[0]);
    ::close(pair[1]);
}

/// What does not make a connection when it is handed through a door is let go, and the door stays open.
void hostileDoor() {
    const int good = openNode();
    const int door = askDoor();
    int pipe[2];
    int stream[2];
    int datagram[2];
    EXPECT(::pipe(pipe) == 0);
    EXPECT(::socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0 && ::socketpair(AF_UNIX, SOCK_DGRAM, 0, datagram) == 0);
    const int listening = ::socket(AF_UNIX, SOCK_SEQPACKET, 0);
    EXPECT(::listen(listening, 1) == 0 || errno == EINVAL);
    const int internet = ::socket(AF_INET, SOCK_STREAM, 0);
    char noise[4000] = {};
    for (int round = 0; round < 50; ++round) {
        sendWith(door, noise, 1, {});
        sendWith(door, noise, sizeof noise, {});
        sendWith(door, noise, 1, {pipe[0]});
        sendWith(door, noise, 1, {stream[0]});
        sendWith(door, noise, 1, {datagram[0]});
        sendWith(door, noise, 1, {listening});
        sendWith(door, noise, 1, {good});
        sendWith(door, noise, 1, {door});
        if (internet >= 0) sendWith(door, noise, 1, {internet});
        int pair[2];
        EXPECT(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
        // Two at once, and one whose other end is gone.
        sendWith(door, noise, 1, {pair[0], pair[1]});
        ::close(pair[1]);
        sendWith(door, noise, 1, {pair[0]});
        ::close(pair[0]);
    }
    int pair[2];
    EXPECT(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    sendWith(door, noise, 1, {pair[1]});
    ::close(pair[1]);
    const timeval patience{5, 0};
    EXPECT(::setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
    auto query = request(proto::Kind::Readiness);
    query.session = sessionOf(good);
    sendWith(pair[0], &query, sizeof query, {});
    EXPECT(receive(pair[0]).error == 0);
    bringPidFds(door, query);
    // Who claims a session has to have its file.
    auto claim = request(proto::Kind::Claim);
    claim.session = sessionOf(good);
    const int other = openNode();
    for (const std::vector<int>& fds : {std::vector<int>{}, {pipe[0]}, {other}, {pair[0]}, {good, good}}) {
        sendWith(pair[0], &claim, sizeof claim, fds);
        EXPECT(receive(pair[0]).error == EPERM);
    }
    sendWith(pair[0], &claim, sizeof claim, {good});
    EXPECT(receive(pair[0]).error == 0);
    // Many doors at once, which are gone with their process.
    for (int i = 0; i < 200; ++i) ::close(askDoor());
    EXPECT(ask(good, kSessions) == 2);
}

/// Another user knows a session's name, but has not got its file.
void stranger() {
    if (::geteuid() != 0) skip("only root can become another user");
    const int good = openNode();
    const uint64_t session = sessionOf(good);
    const int door = askDoor();
    const pid_t child = ::fork();
    if (child == 0) {
        EXPECT(::setgid(65534) == 0 && ::setuid(65534) == 0);
        int pair[2];
        EXPECT(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
        char byte = 0;
        sendWith(door, &byte, 1, {pair[1]});
        ::close(pair[1]);
        auto query = request(proto::Kind::Readiness);
        query.session = session;
        sendWith(pair[0], &query, sizeof query, {});
        const auto refused = receive(pair[0]);
        EXPECT(refused.error == ENODEV && (refused.flags & proto::kReplyClaim) != 0);
        auto claim = request(proto::Kind::Claim);
        claim.session = session;
        sendWith(pair[0], &claim, sizeof claim, {pair[0]});
        EXPECT(receive(pair[0]).error == EPERM);
        sendWith(pair[0], &query, sizeof query, {});
        EXPECT(receive(pair[0]).error == ENODEV);
        sendWith(pair[0], &claim, sizeof claim, {good});
        EXPECT(receive(pair[0]).error == 0);
        sendWith(pair[0], &query, sizeof query, {});
        EXPECT(receive(pair[0]).error == 0);
        std::_Exit(0);
    }
    int status = -1;
    EXPECT(::waitpid(child, &status, 0) == child && status == 0);
}

/// A file that its client sent through itself would hold itself for ever. Linux 6.16 lets the daemon refuse it.
void heldByItself() {
    constexpr int kPassRights = 83;  // SO_PASSRIGHTS
    const int good = openNode();
    const int no = 0;
    int pair[2];
    EXPECT(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    if (::setsockopt(pair[0], SOL_SOCKET, kPassRights, &no, sizeof no) != 0) return;
    const int fd = openNode();
    // By the kernel's own call: to the program it is no socket.
    char byte = 0;
    iovec part{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* const entry = CMSG_FIRSTHDR(&header);
    entry->cmsg_level = SOL_SOCKET;
    entry->cmsg_type = SCM_RIGHTS;
    entry->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(entry), &fd, sizeof fd);
    EXPECT(::sendmsg(fd, &header, MSG_NOSIGNAL) == -1);
    EXPECT(::close(fd) == 0);
    expectSessions(good, 1);
}

/// A name of a file of ours does not make one: elsewhere it may be given to another socket.
void namesake() {
    const int good = openNode();
    v4l2_capability capability{};
    EXPECT(::ioctl(good, VIDIOC_QUERYCAP, &capability) == 0);
    sockaddr_un name{};
    socklen_t length = sizeof name;
    EXPECT(::getsockname(good, reinterpret_cast<sockaddr*>(&name), &length) == 0);
    if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return;
    int pair[2];
    EXPECT(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    EXPECT(::bind(pair[0], reinterpret_cast<const sockaddr*>(&name), length) == 0);
    EXPECT(::ioctl(pair[0], VIDIOC_QUERYCAP, &capability) == -1 && errno == ENOTTY);
    EXPECT(::ioctl(good, VIDIOC_QUERYCAP, &capability) == 0);
}

}  // namespace

void addHostileCases(Cases& cases) {
    cases["hostile"] = hostile;
    cases["hostile_door"] = hostileDoor;
    cases["stranger"] = stranger;
    cases["held_by_itself"] = heldByItself;
    cases["namesake"] = namesake;
    cases["cost"] = cost;
}

}  // namespace daedalus::test
