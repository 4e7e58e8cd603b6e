#include "src/transport/socket/connection.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <new>

#include "daedalus/base/log.h"
#include "daedalus/memory/udmabuf.h"
#include "src/transport/socket/decode.h"
#include "src/transport/socket/server.h"

namespace daedalus::transport::socket {
namespace {

/// Reads a large body out of its memfd; a copy, so that the client cannot change it under our eyes.
Result<std::vector<std::byte>> readLarge(int fd, uint32_t bytes) {
    if (::fcntl(fd, F_GET_SEALS) < 0) return fail(EPROTO);
    std::vector<std::byte> body(bytes);
    size_t have = 0;
    while (have < body.size()) {
        const ssize_t got = ::pread(fd, body.data() + have, body.size() - have, static_cast<off_t>(have));
        if (got <= 0) return fail(EPROTO);
        have += static_cast<size_t>(got);
    }
    return body;
}

bool writeLarge(int fd, std::span<const std::byte> body) {
    size_t done = 0;
    while (done < body.size()) {
        const ssize_t put = ::pwrite(fd, body.data() + done, body.size() - done, static_cast<off_t>(done));
        if (put <= 0) return false;
        done += static_cast<size_t>(put);
    }
    return true;
}

/// The one file of ours that a call names.
class NamedFile final : public ioctl::ClientFiles {
public:
    NamedFile(int number, std::weak_ptr<Session> session) : number_(number), session_(std::move(session)) {}
    ioctl::File* find(int number) override {
        const auto session = number == number_ ? session_.lock() : nullptr;
        return session ? session->file() : nullptr;
    }

private:
    const int number_;
    const std::weak_ptr<Session> session_;
};

proto::Reply replyTo(const proto::Request& request) {
    proto::Reply reply{};
    reply.sequence = request.sequence;
    return reply;
}

/// What an exported descriptor becomes for the client: a dma-buf where the host can make one.
UniqueFd exported(UniqueFd fd, int flags) {
    if (::fcntl(fd.get(), F_GET_SEALS) < 0) return fd;
    if (auto dmabuf = memory::wrapAsDmabuf(fd.get(), O_CLOEXEC)) return std::move(*dmabuf);
    if ((flags & O_ACCMODE) != O_RDONLY) return fd;
    std::array<char, 32> link{};
    ::snprintf(link.data(), link.size(), "/proc/self/fd/%d", fd.get());
    UniqueFd readOnly(::open(link.data(), O_RDONLY | O_CLOEXEC));
    return readOnly ? std::move(readOnly) : std::move(fd);
}

}  // namespace

Connection::Connection(Server& server, UniqueFd fd, memory::Budget::Share share, pid_t pid, uid_t uid)
    : server_(server), share_(std::move(share)), channel_(std::move(fd)), pid_(pid), uid_(uid) {}

Connection::~Connection() {
    watch_ = {};
    if (const auto session = eating_.lock()) session->eatDone();
    if (!pending_.active) return;
    pending_.active = false;
    if (const auto session = pending_.session.lock(); session && pending_.ticket != 0)
        session->file()->interrupt(pending_.ticket);
}

Result<> Connection::start(EventLoop& loop) {
    auto watch = loop.watch(channel_.fd(), EventLoop::Readable, [this](uint32_t) { onReadable(); });
    if (!watch) return daedalus::fail(watch.error());
    watch_ = std::move(*watch);
    return {};
}

std::string Connection::label() const {
    std::string name = "?";
    std::ifstream file("/proc/" + std::to_string(pid_) + "/comm");
    std::getline(file, name);
    std::replace_if(
        name.begin(), name.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return "pid " + std::to_string(pid_) + " " + name;
}

void Connection::drop(const std::string& why) {
    if (dropped_) return;
    dropped_ = true;
    watch_.setEvents(0);
    if (!why.empty()) {
        server_.complain(label() + " (uid " + std::to_string(uid_) + "): " + why + "; its connection was closed. Is its " +
                         proto::kPreloadLibrary + " of another version than this daemon?");
    }
    channel_.shutDown();
    server_.forget(shared_from_this());
}

void Connection::onReadable() {
    Message message;
    const ssize_t length = channel_.receive(message);
    if (length < 0) {
        if (errno != EAGAIN && errno != EINTR) drop("");
        return;
    }
    if (length == 0) return drop("");
    if (message.truncated) return drop("sent a message that is too long or carries too many descriptors");
    if (message.length < sizeof(proto::Request)) {
        return drop("sent a message of " + std::to_string(length) + " bytes, which is no request");
    }
    proto::Request request;
    std::memcpy(&request, message.bytes.data(), sizeof request);
    const auto body = std::span<const std::byte>(message.bytes).subspan(sizeof request, message.length - sizeof request);
    try {
        handle(request, body, std::move(message.fds));
    } catch (const std::bad_alloc&) {
        drop("finds no memory left in the daemon");
    }
}

void Connection::handle(const proto::Request& request, std::span<const std::byte> body, std::vector<UniqueFd> fds) {
    if (request.kind == proto::Kind::Cancel) return cancel();
    if (pending_.active) return drop("sent a request while another one was under way");
    // It sends again: so it has done what the last reply asked for.
    if (!eating_.expired()) {
        if (const auto session = eating_.lock()) session->eatDone();
        eating_.reset();
    }
    switch (request.kind) {
        case proto::Kind::Hello:
            return hello(request);
        case proto::Kind::Open:
            return open(request);
        case proto::Kind::Ioctl:
            return ioctl(request, body, std::move(fds));
        case proto::Kind::Map:
            return map(request);
        case proto::Kind::Readiness:
            return readiness(request);
        case proto::Kind::Priority:
            return priority(request);
        case proto::Kind::Alive:
            return alive(request, body);
        case proto::Kind::Released:
            return released(request);
        case proto::Kind::Door:
            return door(request);
        case proto::Kind::Claim:
            return claim(request, fds);
        case proto::Kind::Cancel:
            break;
    }
    drop("sent a request of unknown kind " + std::to_string(static_cast<uint32_t>(request.kind)));
}

std::shared_ptr<Session> Connection::sessionOf(uint64_t id) const {
    auto session = server_.find(id);
    if (!session || uid_ == 0 || uid_ == session->owner()) return session;
    const bool claimed = std::any_of(claimed_.begin(), claimed_.end(), [&](const auto& one) { return one.lock() == session; });
    return claimed ? session : nullptr;
}

void Connection::addReadiness(proto::Reply& reply, const std::shared_ptr<Session>& session, bool verify) {
    reply.flags |= session->takeReplyFlags(verify);
    if ((reply.flags & proto::kReplyEat) != 0) {
        session->eatSent();
        eating_ = session;
    }
}

void Connection::fail(const proto::Request& request, int error) {
    auto reply = replyTo(request);
    reply.error = error;
    send(reply);
}

void Connection::refuse(const proto::Request& request) {
    auto reply = replyTo(request);
    reply.error = ENODEV;
    if (server_.find(request.session)) reply.flags |= proto::kReplyClaim;
    send(reply);
}

void Connection::send(const proto::Reply& reply, std::span<const std::byte> body, std::span<const int> fds) {
    const int error = dropped_ ? 0 : channel_.send(reply, body, fds);
    // A client that is gone needs no line in the log.
    if (error != 0) drop(error == EAGAIN || error == EMSGSIZE ? "does not read its replies" : "");
}

void Connection::hello(const proto::Request& request) {
    if (request.value != proto::kProtocolVersion) {
        server_.complain(label() + ": speaks version " + std::to_string(request.value) +
                         " of the protocol, this daemon speaks " + std::to_string(proto::kProtocolVersion) + "; use the " +
                         proto::kPreloadLibrary + " that was built with it");
        return fail(request, EPROTO);
    }
    const auto head = server_.hello();
    const auto nodes = server_.nodeEntries();
    std::vector<std::byte> body;
    for (const auto part :
         {std::as_bytes(std::span(&head, 1)), std::as_bytes(std::span(nodes)), std::as_bytes(server_.followEntries())})
        body.insert(body.end(), part.begin(), part.end());
    send(replyTo(request), body);
}

void Connection::open(const proto::Request& request) {
    auto made = server_.openSession(request.value, uid_, label());
    if (!made) return fail(request, made.error().value);
    auto reply = replyTo(request);
    reply.value = made->session->id();
    log::debug("session {:016x}: opened by {}", made->session->id(), label());
    const int end = made->clientEnd.get();
    send(reply, {}, std::span(&end, 1));
}

void Connection::ioctl(const proto::Request& request, std::span<const std::byte> body, std::vector<UniqueFd> fds) {
    const auto session = sessionOf(request.session);
    if (!session) return refuse(request);

    auto nextFd = fds.begin();
    std::vector<std::byte> large;
    pending_ = {};
    if ((request.flags & proto::kRequestLarge) != 0) {
        if (nextFd == fds.end() || !body.empty()) return drop("sent a large request without its memfd");
        if (request.bodyBytes > mostBodyBytes(request.cmd, server_.follows()))
            return drop("sent a larger body than its ioctl can have");
        auto content = readLarge(nextFd->get(), request.bodyBytes);
        if (!content) return drop("sent a large request whose memfd cannot be read");
        large = std::move(*content);
        body = large;
        pending_.large = std::move(*nextFd++);
    }
    auto decoded = decodeCall(request, body, server_.follows());
    if (!decoded) return drop("sent an ioctl request whose sizes do not add up");

    std::vector<BroughtMemory::Plane> planes;
    for (const auto& header : decoded->planes) {
        auto& plane = planes.emplace_back(BroughtMemory::Plane{header, {}});
        if (header.hasFd == 0) continue;
        if (nextFd == fds.end()) return drop("announced more descriptors than it sent");
        plane.fd = std::move(*nextFd++);
    }

    if (!planes.empty()) pending_.brought = std::make_shared<BroughtMemory>(std::move(planes), session->released());
    pending_.session = session;
    pending_.id = session->id();
    pending_.sequence = request.sequence;
    pending_.cmd = request.cmd;
    pending_.active = true;
    decoded->call.clientMemory = pending_.brought ? pending_.brought : nothingBrought();
    if (request.value != 0)
        decoded->call.clientFiles = std::make_shared<NamedFile>(static_cast<int>(request.length), sessionOf(request.value));
    const uint32_t sequence = request.sequence;
    const auto ticket = session->file()->ioctl(
        std::move(decoded->call), ioctl::Reply([self = weak_from_this(), sequence](ioctl::Answer&& answer) {
            const auto connection = self.lock();
            if (connection && connection->pending_.active && connection->pending_.sequence == sequence) {
                connection->answer(std::move(answer));
            }
        }));
    if (pending_.active) pending_.ticket = ticket;
}

void Connection::answer(ioctl::Answer&& answer) {
    const Pending done = std::exchange(pending_, {});
    proto::Reply reply{};
    reply.sequence = done.sequence;
    reply.error = answer.error;
    if (done.brought && done.brought->incomplete()) reply.flags |= proto::kReplyNeedMemory;
    if (const auto session = done.session.lock()) {
        addReadiness(reply, session, reply.error == EAGAIN);
        if (session->released()->any()) reply.flags |= proto::kReplyReleased;
    }

    if (reply.error == 0)
        if (auto opened = openPassed(done.id, answer); !opened) reply.error = opened.error().value;
    if (answer.hasty) reply.flags |= proto::kReplyHasty;
    std::vector<std::byte> body;
    if (answer.copyBack) {
        reply.flags |= proto::kReplyCopyBack;
        encodePayload(done.cmd, answer.payload, body);
        if (done.large) {
            if (!writeLarge(done.large.get(), body)) reply.error = EFAULT;
            body.clear();
        }
    }
    std::vector<UniqueFd> owned;
    std::array<int, proto::kMaxReplyFds> fds{};
    for (auto& passed : answer.fds) {
        if (owned.size() == fds.size()) break;
        owned.push_back(exported(std::move(passed.fd), passed.flags));
        reply.fds[owned.size() - 1] = {passed.offset, passed.flags};
        fds[owned.size() - 1] = owned.back().get();
    }
    send(reply, body, std::span(fds).first(owned.size()));
}

Result<> Connection::openPassed(uint64_t session, ioctl::Answer& answer) {
    for (auto& passed : answer.files) {
        auto made =
            server_.addSession(proto::whereOf(proto::FileKind::Request, proto::nodeOf(session)), std::move(passed.file));
        if (!made) return daedalus::fail(made.error());
        answer.fds.push_back({passed.offset, passed.flags, std::move(made->clientEnd)});
    }
    answer.files.clear();
    return {};
}

void Connection::cancel() {
    if (!pending_.active) return;
    if (const auto session = pending_.session.lock()) session->file()->interrupt(pending_.ticket);
}

void Connection::map(const proto::Request& request) {
    const auto session = sessionOf(request.session);
    if (!session) return refuse(request);
    const auto memory = session->file()->mmap(request.value, static_cast<size_t>(request.length));
    if (!memory) return fail(request, memory.error().value);
    const int fd = (*memory)->fd();
    if (fd < 0) return fail(request, EINVAL);
    auto reply = replyTo(request);
    addReadiness(reply, session, false);
    send(reply, {}, std::span(&fd, 1));
}

void Connection::readiness(const proto::Request& request) {
    const auto session = sessionOf(request.session);
    if (!session) return refuse(request);
    auto reply = replyTo(request);
    reply.value = session->file()->readiness();
    // A client that asks saw IN and OUT.
    addReadiness(reply, session, true);
    send(reply);
}

void Connection::priority(const proto::Request& request) {
    const auto session = sessionOf(request.session);
    if (!session) return refuse(request);
    const auto fd = session->priorityFd();
    if (!fd) return fail(request, fd.error().value);
    send(replyTo(request), {}, std::span(&*fd, 1));
}

void Connection::alive(const proto::Request& request, std::span<const std::byte> body) {
    if (body.size() % sizeof(uint64_t) != 0) return drop("asked after sessions in a request of odd size");
    std::vector<std::byte> states(body.size() / sizeof(uint64_t));
    for (size_t i = 0; i < states.size(); ++i) {
        uint64_t id = 0;
        std::memcpy(&id, body.data() + i * sizeof id, sizeof id);
        const auto session = server_.find(id);
        states[i] = static_cast<std::byte>(session && !session->hungUp() ? 1 : 0);
    }
    send(replyTo(request), states);
}

void Connection::door(const proto::Request& request) {
    const auto door = server_.openDoor(uid_);
    if (!door) return fail(request, door.error().value);
    const int fd = door->get();
    send(replyTo(request), {}, std::span(&fd, 1));
}

void Connection::claim(const proto::Request& request, const std::vector<UniqueFd>& fds) {
    const auto session = server_.find(request.session);
    if (!session || fds.size() != 1 || !session->isClientEnd(fds.front().get())) return fail(request, EPERM);
    std::erase_if(claimed_, [&](const auto& one) { return one.expired() || one.lock() == session; });
    claimed_.push_back(session);
    send(replyTo(request));
}

void Connection::released(const proto::Request& request) {
    const auto session = sessionOf(request.session);
    if (!session) return refuse(request);
    constexpr size_t kAtOnce = proto::kMaxInlineBytes / sizeof(uint32_t);
    const auto all = session->released()->takeAll();
    const auto fits = static_cast<ptrdiff_t>(std::min(all.size(), kAtOnce));
    const std::vector<uint32_t> serials(all.begin(), all.begin() + fits);
    std::for_each(all.begin() + fits, all.end(), [&](uint32_t serial) { session->released()->push(serial); });
    send(replyTo(request), std::as_bytes(std::span(serials)));
}

}  // namespace daedalus::transport::socket
