// Clients that speak the protocol badly: each loses its own connection, and nothing else.
#include <random>
#include <vector>

#include "tests/integration/socket/wire.h"

namespace daedalus::test {
namespace {

/// The daemon closed this connection.
void expectClosed(int fd) {
    char bytes[8192];
    const ssize_t got = ::recv(fd, bytes, sizeof bytes, 0);
    EXPECT(got == 0 || (got < 0 && errno == ECONNRESET));
    ::close(fd);
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

}  // namespace

void addHostileCases(Cases& cases) { cases["hostile"] = hostile; }

}  // namespace daedalus::test
