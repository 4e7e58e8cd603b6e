// Doors, files and names of files in the hands of those whose they are not.
#include <sched.h>
#include <sys/wait.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/integration/socket/wire.h"

namespace daedalus::test {
namespace {

/// The door that the daemon gives for the asking.
int askDoor() {
    const int fd = dial();
    const auto ask = request(proto::Kind::Door);
    sendWith(fd, &ask, sizeof ask, {});
    proto::Reply reply{};
    FdMessage message(&reply, sizeof reply, size_t{1});
    EXPECT(::recvmsg(fd, message.head(), 0) == static_cast<ssize_t>(sizeof reply) && reply.error == 0);
    ::close(fd);
    return message.fd();
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
    if (::setsockopt(pair[0], SOL_SOCKET, kPassRights, &no, sizeof no) != 0) skip("this kernel has no SO_PASSRIGHTS");
    const int fd = openNode();
    // By the kernel's own call: to the program it is no socket.
    const char byte = 0;
    FdMessage message(&byte, 1, std::vector{fd});
    EXPECT(::sendmsg(fd, message.head(), MSG_NOSIGNAL) == -1);
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
    if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        skip("this user may make no network namespace");
    int pair[2];
    EXPECT(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    EXPECT(::bind(pair[0], reinterpret_cast<const sockaddr*>(&name), length) == 0);
    EXPECT(::ioctl(pair[0], VIDIOC_QUERYCAP, &capability) == -1 && errno == ENOTTY);
    EXPECT(::ioctl(good, VIDIOC_QUERYCAP, &capability) == 0);
}

}  // namespace

void addStrangerCases(Cases& cases) {
    cases["hostile_door"] = hostileDoor;
    cases["stranger"] = stranger;
    cases["held_by_itself"] = heldByItself;
    cases["namesake"] = namesake;
}

}  // namespace daedalus::test
