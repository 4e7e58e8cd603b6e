// Files that answers bring, and calls that name files by a client's descriptors: in process and over the socket.
#include <fcntl.h>
#include <linux/media.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <future>
#include <string>
#include <thread>

#include "daedalus/base/unique_fd.h"
#include "daedalus/transport/inproc.h"
#include "daedalus/v4l2/uapi.h"
#include "src/transport/socket/server.h"

namespace daedalus {
namespace {

/// A file that makes further ones, and tells by QBUF whether request_fd names one of those.
class ParentFile final : public ioctl::File {
public:
    class Child final : public ioctl::File {
    public:
        bool takes(uint32_t) const override { return false; }
        Ticket ioctl(ioctl::Call&&, ioctl::Reply&& reply) override {
            ioctl::Answer answer;
            answer.error = ENOTTY;
            reply.answer(std::move(answer));
            return 0;
        }
        void interrupt(Ticket) override {}
        Result<memory::MemoryRef> mmap(uint64_t, size_t) override { return fail(EINVAL); }
        Result<memory::MemoryRef> memoryAt(uint64_t, size_t) const override { return fail(EINVAL); }
        uint32_t readiness() const override { return POLLPRI; }
        void onReadiness(std::function<void()>) override {}
        void endCalls(int) override {}
        uid_t owner() const override { return ::getuid(); }
    };

    bool takes(uint32_t) const override { return true; }
    Ticket ioctl(ioctl::Call&& call, ioctl::Reply&& reply) override {
        ioctl::Answer answer;
        if (call.cmd == MEDIA_IOC_REQUEST_ALLOC) {
            answer.files.push_back({0, O_CLOEXEC, std::make_unique<Child>()});
            answer.copyBack = true;
        } else {
            v4l2_buffer buffer;
            std::memcpy(&buffer, call.payload.argument.data(), sizeof buffer);
            ioctl::File* const named = call.clientFiles ? call.clientFiles->find(buffer.request_fd) : nullptr;
            answer.error = dynamic_cast<Child*>(named) ? 0 : EINVAL;
        }
        answer.payload = std::move(call.payload);
        reply.answer(std::move(answer));
        return 0;
    }
    void interrupt(Ticket) override {}
    Result<memory::MemoryRef> mmap(uint64_t, size_t) override { return fail(EINVAL); }
    Result<memory::MemoryRef> memoryAt(uint64_t, size_t) const override { return fail(EINVAL); }
    uint32_t readiness() const override { return 0; }
    void onReadiness(std::function<void()>) override {}
    void endCalls(int) override {}
    uid_t owner() const override { return ::getuid(); }
};

Result<std::unique_ptr<ioctl::File>> openParent() { return std::make_unique<ParentFile>(); }

/// A loop on a thread of its own.
class LoopThread {
public:
    LoopThread() : thread_([this] { loop_.run(); }) {}
    ~LoopThread() {
        loop_.post([this] { loop_.stop(); });
        thread_.join();
    }
    LoopThread(const LoopThread&) = delete;
    LoopThread& operator=(const LoopThread&) = delete;

    [[nodiscard]] EventLoop& loop() { return loop_; }
    template <class Task>
    void run(Task task) {
        std::promise<void> done;
        loop_.post([&] {
            task();
            done.set_value();
        });
        done.get_future().wait();
    }

private:
    EventLoop loop_;
    std::thread thread_;
};

v4l2_buffer bufferOfRequest(int number) {
    v4l2_buffer buffer{};
    buffer.type = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
    buffer.flags = V4L2_BUF_FLAG_REQUEST_FD;
    buffer.request_fd = number;
    return buffer;
}

TEST_CASE("in process, an answer brings a file, which calls of the same client then name") {
    LoopThread thread;
    const auto descriptors = transport::makeInprocDescriptors();
    auto parent = *transport::openInproc(thread.loop(), openParent, 0, descriptors);
    auto other = *transport::openInproc(thread.loop(), openParent, 0, descriptors);
    auto stranger = *transport::openInproc(thread.loop(), openParent, 0);
    int number = -1;
    REQUIRE(parent->ioctl(MEDIA_IOC_REQUEST_ALLOC, &number) == 0);
    REQUIRE(number > STDERR_FILENO);

    auto buffer = bufferOfRequest(number);
    CHECK(parent->ioctl(VIDIOC_QBUF, &buffer) == 0);
    CHECK(other->ioctl(VIDIOC_QBUF, &buffer) == 0);
    CHECK((stranger->ioctl(VIDIOC_QBUF, &buffer) == -1 && errno == EINVAL));
    auto wrong = bufferOfRequest(STDIN_FILENO);
    CHECK((parent->ioctl(VIDIOC_QBUF, &wrong) == -1 && errno == EINVAL));

    auto child = parent->take(number);
    REQUIRE(child);
    CHECK(parent->take(number) == nullptr);
    short events = 0;
    CHECK((child->poll(POLLPRI, &events, -1) == 1 && events == POLLPRI));
    CHECK(parent->ioctl(VIDIOC_QBUF, &buffer) == 0);
    child.reset();
    CHECK((parent->ioctl(VIDIOC_QBUF, &buffer) == -1 && errno == EINVAL));
    CHECK(::fcntl(number, F_GETFD) == -1);
}

/// A client of the socket protocol, as the preload library is one.
class WireClient {
public:
    explicit WireClient(const std::string& path) : connection_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::connect(connection_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    }

    struct Answer {
        proto::Reply reply{};
        UniqueFd fd;
    };
    Answer ask(proto::Request request, std::span<const std::byte> body = {}) {
        request.bodyBytes = static_cast<uint32_t>(body.size());
        std::vector<std::byte> message(sizeof request + body.size());
        std::memcpy(message.data(), &request, sizeof request);
        std::ranges::copy(body, message.begin() + sizeof request);
        REQUIRE(::send(connection_.get(), message.data(), message.size(), MSG_NOSIGNAL) == std::ssize(message));

        Answer answer;
        std::array<std::byte, proto::kMaxInlineBytes> rest;
        std::array<iovec, 2> parts{iovec{&answer.reply, sizeof answer.reply}, iovec{rest.data(), rest.size()}};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
        msghdr header{};
        header.msg_iov = parts.data();
        header.msg_iovlen = parts.size();
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        REQUIRE(::recvmsg(connection_.get(), &header, MSG_CMSG_CLOEXEC) >=
                std::ssize(std::as_bytes(std::span(&answer.reply, 1))));
        if (const cmsghdr* entry = CMSG_FIRSTHDR(&header)) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(entry), sizeof fd);
            answer.fd = UniqueFd(fd);
        }
        return answer;
    }
    Answer ioctl(uint64_t session, uint32_t cmd, std::span<const std::byte> argument, uint64_t named = 0, int number = 0) {
        proto::Request request{};
        request.kind = proto::Kind::Ioctl;
        request.session = session;
        request.cmd = cmd;
        request.argumentBytes = static_cast<uint32_t>(argument.size());
        request.value = named;
        request.length = static_cast<uint64_t>(number);
        return ask(request, argument);
    }

private:
    UniqueFd connection_;
};

/// The session that the name of a client's file tells; 0 if it is no such file.
uint64_t sessionOf(int fd) {
    sockaddr_un name{};
    socklen_t length = sizeof name;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) != 0) return 0;
    uint64_t daemon = 0;
    uint64_t session = 0;
    return std::sscanf(name.sun_path + 1, "daedalus:%16" SCNx64 ":%16" SCNx64, &daemon, &session) == 2 ? session : 0;
}

TEST_CASE("over the socket, an answer brings a file, which calls then name by its session") {
    LoopThread thread;
    const std::string path = "/tmp/daedalus-files-" + std::to_string(::getpid()) + ".socket";
    std::unique_ptr<transport::socket::Server> server;
    thread.run([&] {
        transport::socket::Backend backend{.nodes =
                                               [] {
                                                   return std::vector<transport::socket::Backend::Node>{{250, "Test"}};
                                               },
                                           .generation = {},
                                           .open = [](unsigned, const std::string&, uid_t) { return openParent(); },
                                           .follows = ioctl::followedCalls()};
        server = *transport::socket::Server::listen(thread.loop(), std::move(backend), path);
    });
    {
        WireClient client(path);
        proto::Request open{};
        open.kind = proto::Kind::Open;
        open.value = 250;
        const auto opened = client.ask(open);
        REQUIRE((opened.reply.error == 0 && opened.fd));
        const uint64_t parent = opened.reply.value;

        const auto brought = client.ioctl(parent, static_cast<uint32_t>(MEDIA_IOC_REQUEST_ALLOC), {});
        REQUIRE((brought.reply.error == 0 && brought.reply.fdCount == 1 && brought.fd));
        CHECK(brought.reply.fds[0].offset == 0);
        CHECK(brought.reply.fds[0].flags == O_CLOEXEC);
        const uint64_t child = sessionOf(brought.fd.get());
        REQUIRE((child != 0 && child != parent));
        CHECK(proto::nodeOf(parent) == 250);
        CHECK(proto::nodeOf(child) == 250);

        constexpr int kNumber = 77;
        const auto buffer = bufferOfRequest(kNumber);
        const auto bytes = std::as_bytes(std::span(&buffer, 1));
        const auto qbuf = static_cast<uint32_t>(VIDIOC_QBUF);
        CHECK(client.ioctl(parent, qbuf, bytes, child, kNumber).reply.error == 0);
        CHECK(client.ioctl(parent, qbuf, bytes, child, kNumber + 1).reply.error == EINVAL);
        CHECK(client.ioctl(parent, qbuf, bytes, parent, kNumber).reply.error == EINVAL);
        CHECK(client.ioctl(parent, qbuf, bytes, child + 1, kNumber).reply.error == EINVAL);
        CHECK(client.ioctl(parent, qbuf, bytes).reply.error == EINVAL);
    }
    thread.run([&] { server.reset(); });
}

}  // namespace
}  // namespace daedalus
