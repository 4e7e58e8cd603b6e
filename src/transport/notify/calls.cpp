#include "calls.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "../gather.h"
#include "daedalus/base/log.h"
#include "daedalus/v4l2/node_name.h"
#include "momentary_stop.h"
#include "paths.h"

namespace daedalus::transport::notify {
namespace {

/// Null if that is none.
std::shared_ptr<const Greeting> greetingIn(std::span<const std::byte> body) {
    auto greeting = std::make_shared<Greeting>();
    auto& head = greeting->head;
    if (body.size() < sizeof head) return nullptr;
    std::memcpy(&head, body.data(), sizeof head);
    if (head.nodeCount > proto::kMaxNodes || head.followCount > proto::kMaxFollows) return nullptr;
    greeting->nodes.resize(head.nodeCount);
    greeting->follows.resize(head.followCount);
    const auto nodes = std::as_writable_bytes(std::span(greeting->nodes));
    const auto follows = std::as_writable_bytes(std::span(greeting->follows));
    if (body.size() < sizeof head + nodes.size() + follows.size()) return nullptr;
    const auto lists = body.subspan(sizeof head);
    std::ranges::copy(lists.first(nodes.size()), nodes.begin());
    std::ranges::copy(lists.subspan(nodes.size(), follows.size()), follows.begin());
    for (auto& node : greeting->nodes) node.nodePath[sizeof node.nodePath - 1] = '\0';
    return greeting;
}

/// Whether the last component is "video" and a number.
bool namesVideo(std::string_view path) {
    path.remove_prefix(std::min(path.size(), path.rfind('/') + 1));
    return v4l2::nodeNumber("/dev/" + std::string(path)).has_value();
}

}  // namespace

proto::MemoryRole Greeting::roleOf(uint32_t cmd) const {
    const auto found = std::ranges::find(follows, cmd, &proto::FollowEntry::cmd);
    return found == follows.end() ? proto::MemoryRole::None : static_cast<proto::MemoryRole>(found->role);
}

std::shared_ptr<const Greeting> Calls::greeting() {
    {
        const std::scoped_lock locked(shared_.mutex);
        if (shared_.greeting) return shared_.greeting;
    }
    return freshGreeting();
}

std::shared_ptr<const Greeting> Calls::freshGreeting() {
    proto::Request hello{};
    hello.kind = proto::Kind::Hello;
    hello.value = proto::kProtocolVersion;
    const auto answered = link_.call(hello);
    const auto fresh = answered && answered->head.error == 0 ? greetingIn(answered->body) : nullptr;
    const std::scoped_lock locked(shared_.mutex);
    if (fresh) shared_.greeting = fresh;
    return shared_.greeting;
}

void Calls::serve(Notification& call) {
    const auto thread = shared_.threads.of(call.tid());
    if (!thread) return;
    link_.whileWanted([&call] { return call.isWaiting(); });
    switch (call.call().trap) {
        case Trap::None:
            return;
        case Trap::Ioctl:
            return ioctl(call, **thread);
        case Trap::Mmap:
            return map(call, **thread);
        case Trap::Open:
        case Trap::OpenAt:
        case Trap::OpenAt2:
            return open(call, **thread);
        case Trap::Poll:
        case Trap::Ppoll:
            return poll(call, **thread);
        case Trap::Select:
        case Trap::Pselect:
            return select(call, **thread);
        case Trap::EpollCtl:
            return controlEpoll(call, **thread);
    }
}

void Calls::open(Notification& call, ThreadView& thread) {
    const bool at = call.call().trap != Trap::Open;
    const unsigned path = at ? 1 : 0;
    uint64_t flags = call.argument(path + 1);
    if (call.call().trap == Trap::OpenAt2) {
        // struct open_how begins with the flags, in 64 bits.
        if (!readProcess(call.tid(), flags, std::as_writable_bytes(std::span(&flags, 1)))) return;
    }
    const auto name = readPath(call.tid(), call.argument(path));
    if (!name) return;
    const int folder = at ? call.fd(0) : AT_FDCWD;
    if (const auto minor = nodeAt(*name, folder, thread)) openNode(call, *minor, flags);
}

std::optional<uint32_t> Calls::nodeAt(const std::string& path, int folder, ThreadView& thread) {
    if (const auto again = reopened(path, thread)) {
        const auto session = shared_.sessions.known(thread, *again);
        return session ? std::optional(proto::nodeOf(session->id)) : std::nullopt;
    }
    // Nodes come and go; but the daemon is not asked for each file of the program's.
    const auto greeted = namesVideo(path) ? freshGreeting() : greeting();
    for (size_t i = 0; greeted && i < greeted->nodes.size(); ++i)
        if (leadsTo(greeted->nodes[i].nodePath, path, folder, thread)) return greeted->nodes[i].minor;
    return std::nullopt;
}

struct Calls::Opened {
    UniqueFd file;
    std::shared_ptr<Session> session;
};

Result<Calls::Opened> Calls::openSession(uint32_t minor, uint64_t flags) {
    shared_.sessions.sweep(link_);
    proto::Request request{};
    request.kind = proto::Kind::Open;
    request.value = minor;
    auto opened = link_.call(request);
    if (!opened) return fail(opened.error());
    if (opened->head.error != 0 || opened->fds.size() != 1) return fail(opened->head.error != 0 ? opened->head.error : EMFILE);
    UniqueFd& file = opened->fds.front();
    if ((flags & O_NONBLOCK) != 0) ::fcntl(file.get(), F_SETFL, O_NONBLOCK);
    auto session = shared_.sessions.add(inodeOf(file.get()), opened->head.value);
    return Opened{.file = std::move(file), .session = std::move(session)};
}

void Calls::openNode(Notification& call, uint32_t minor, uint64_t flags) {
    const auto opened = openSession(minor, flags);
    if (opened) {
        call.answerWith(opened->file.get(), (flags & O_CLOEXEC) != 0);
    } else {
        call.answerError(opened.error().value);
    }
}

Result<std::shared_ptr<Session>> Calls::replacePlaceholder(Notification& call, ThreadView& thread, int fd) {
    const auto greeted = greeting();
    const auto path = greeted ? thread.link("fd/" + std::to_string(fd)) : std::nullopt;
    if (!path) return nullptr;
    const auto node = std::ranges::find_if(greeted->nodes, [&](const auto& entry) { return *path == entry.nodePath; });
    const auto flags = node == greeted->nodes.end() ? std::nullopt : thread.openFlags(fd);
    if (!flags || (*flags & O_PATH) != 0) return nullptr;
    struct stat opened {};
    struct stat null {};
    const auto file = thread.take(fd);
    if (!file || ::fstat(file->get(), &opened) != 0 || ::stat("/dev/null", &null) != 0) return nullptr;
    // The host may have a node of that name.
    if (!S_ISCHR(opened.st_mode) || opened.st_rdev != null.st_rdev) return nullptr;
    auto made = openSession(node->minor, *flags);
    if (!made) return fail(made.error());
    if (auto put = call.replace(fd, made->file.get(), (*flags & O_CLOEXEC) != 0); !put) return fail(put.error());
    return std::move(made->session);
}

void Calls::map(Notification& call, ThreadView& thread) {
    const auto greeted = shared_.sessions.any() ? greeting() : nullptr;
    const auto session = greeted ? shared_.sessions.find(thread, call.fd(4), greeted->head.daemon, link_) : nullptr;
    if (!session) return;
    constexpr uint64_t kReadWrite = 3;  // PROT_READ | PROT_WRITE
    if ((call.argument(2) & kReadWrite) == 0) {
        call.answerError(EINVAL);
        return;
    }
    proto::Request request{};
    request.kind = proto::Kind::Map;
    request.length = call.argument(1);
    request.value = call.argument(5) << call.call().offsetShift;
    const auto mapped = ask(thread, call.fd(4), session, request);
    const int error = !mapped ? mapped.error().value : mapped->head.error;
    if (error != 0 || mapped->fds.size() != 1) {
        call.answerError(error != 0 ? error : EMFILE);
        return;
    }
    // Where nobody may trace the thread, the kernel's own answer (ENODEV) stays.
    const auto done = mapInstead(
        call.tid(), call.call(), [&] { return call.install(mapped->fds.front().get(), true); },
        [&](int failed) { return call.answerError(failed); }, shared_.ended);
    if (done) return;
    std::call_once(shared_.toldOfTracer, [&] {
        log::warn(
            "buffers of the node cannot be mapped into process {} (ptrace: {}), whose mmap() fails with ENODEV: a debugger or "
            "strace has it, or it gave its rights away; let it use USERPTR buffers, or trace `daedalus run` by --log ioctl",
            call.tid(), std::strerror(done.error().value));
    });
}

Result<Answered> Calls::ask(ThreadView& thread, int fd, const std::shared_ptr<Session>& session, proto::Request request,
                            std::span<const std::byte> body, std::span<const int> fds, const std::function<bool()>& ended) {
    request.session = session->id;
    auto answered = link_.wait(request, body, fds, ended);
    if (!answered) return answered;
    const uint32_t flags = answered->head.flags;
    if ((flags & (proto::kReplyEat | proto::kReplyFill)) != 0) {
        const auto file = thread.take(fd);
        // The program may have closed it meanwhile, and have something else under its number.
        if (file && shared_.sessions.known(thread, fd) == session) {
            std::array<char, proto::kFillerBytes> filler{};
            if ((flags & proto::kReplyEat) != 0) std::ignore = ::recv(file->get(), filler.data(), 1, MSG_DONTWAIT);
            filler = {};
            if ((flags & proto::kReplyFill) != 0)
                std::ignore = ::send(file->get(), filler.data(), filler.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        } else {
            // Nor can it be done for a thread that was killed meanwhile: the next caller is asked for it, of whatever process.
            link_.renege();
        }
    }
    if ((flags & proto::kReplyReleased) != 0) dropReleased(*session);
    return answered;
}

void Calls::dropReleased(Session& session) {
    proto::Request request{};
    request.kind = proto::Kind::Released;
    request.session = session.id;
    const auto answered = link_.call(request);
    if (!answered || answered->head.error != 0) return;
    std::vector<uint32_t> serials(answered->body.size() / sizeof(uint32_t));
    const auto bytes = std::as_writable_bytes(std::span(serials));
    std::ranges::copy(std::span(answered->body).first(bytes.size()), bytes.begin());
    const std::scoped_lock locked(session.mutex);
    std::erase_if(session.bounces.planes,
                  [&](const auto& entry) { return std::ranges::find(serials, entry.second.serial()) != serials.end(); });
}

}  // namespace daedalus::transport::notify
