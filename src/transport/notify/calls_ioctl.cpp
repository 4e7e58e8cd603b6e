#include <fcntl.h>
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "../compat32.h"
#include "../gather.h"
#include "calls.h"
#include "daedalus/ioctl/call.h"
#include "momentary_stop.h"

namespace daedalus::transport::notify {
namespace {

void append(std::vector<std::byte>& body, std::span<const std::byte> bytes) {
    body.insert(body.end(), bytes.begin(), bytes.end());
}

/// Fills a payload's bytes, which a reply brought in their order.
bool takeBody(ioctl::Payload& payload, std::span<const std::byte> body) {
    const auto take = [&](std::vector<std::byte>& into) {
        if (body.size() < into.size()) return false;
        std::ranges::copy(body.first(into.size()), into.begin());
        body = body.subspan(into.size());
        return true;
    };
    if (!take(payload.argument)) return false;
    for (auto& nested : payload.nested)
        if (!take(nested.bytes)) return false;
    return true;
}

}  // namespace

struct Calls::IoctlRequest {
    uint32_t cmd = 0;
    uint64_t address = 0;
    ioctl::Payload payload;
    proto::MemoryRole role = proto::MemoryRole::None;
    int gatherError = 0;  ///< what kept us from the argument; 0: nothing
    bool nonblocking = true;
    GivenPlanes planes;
    std::optional<Compat32> compat;  ///< the program has 32 bits, and the struct another layout
};

void Calls::ioctl(Notification& call, ThreadView& thread) {
    IoctlRequest request{.cmd = static_cast<uint32_t>(call.argument(1)), .address = call.argument(2)};
    const int fd = call.fd(0);
    if (request.cmd == DMA_BUF_IOCTL_SYNC) {
        // What EXPBUF gave out where the host has no real dma-bufs: memory of the same host needs no maintenance.
        const auto file = thread.link("fd/" + std::to_string(fd));
        if (file && file->starts_with("/memfd:daedalus")) call.answer(0);
        return;
    }
    const auto greeted = greeting();
    // A session is known even if its daemon is dead.
    auto session =
        greeted ? shared_.sessions.find(thread, fd, greeted->head.daemon, link_) : shared_.sessions.known(thread, fd);
    if (session && !greeted) {
        call.answerError(ENODEV);
        return;
    }
    if (!session) {
        auto opened = replacePlaceholder(call, thread, fd);
        if (!opened) {
            call.answerError(opened.error().value);
            return;
        }
        if (!*opened) return;
        session = *std::move(opened);
    }
    if (call.call().is32Bit) request.compat = Compat32::of(request.cmd);
    if (request.compat) request.cmd = request.compat->cmd();
    auto payload =
        request.compat ? request.compat->gather(call.tid(), request.address) : gather(call.tid(), request.cmd, request.address);
    if (!request.compat && !payload && payload.error().value == EINVAL) {
        // What is wrong with the counts is the daemon's to say.
        ioctl::Payload argument{.argument = std::vector<std::byte>(_IOC_SIZE(request.cmd)), .nested = {}};
        if (readProcess(call.tid(), request.address, argument.argument)) payload = std::move(argument);
    }
    if (payload) {
        request.payload = std::move(*payload);
    } else if (payload.error().value == EPERM) {
        return;
    } else {
        request.gatherError = payload.error().value;
    }
    request.role = greeted->roleOf(request.cmd);
    const bool gives = request.role == proto::MemoryRole::Give && request.gatherError == 0;
    const auto collect = [&](bool afresh) {
        const std::scoped_lock locked(session->mutex);
        request.planes = GivenPlanes::of(request.payload, thread, session->bounces, afresh);
    };
    if (gives) collect(false);
    auto answered = askIoctl(call, thread, session, request);
    if (answered && (answered->head.flags & proto::kReplyNeedMemory) != 0) {
        collect(true);
        answered = askIoctl(call, thread, session, request);
    }
    // What has no answer yet, or a hasty one, is asked for again, to be waited for: unless the file does not wait.
    const auto isHasty = [](const proto::Reply& reply) {
        return reply.error == EAGAIN || reply.error == ENOENT || (reply.flags & proto::kReplyHasty) != 0;
    };
    if (answered && isHasty(answered->head) && !thread.isNonblocking(fd)) {
        request.nonblocking = false;
        answered = askIoctl(call, thread, session, request);
    }
    if (!answered) {
        call.answerError(answered.error().value);
        return;
    }
    if (answered->head.error == 0 && gives) {
        const std::scoped_lock locked(session->mutex);
        request.planes.commit(request.payload, session->bounces);
    }
    if (answered->head.error == EINTR && !request.nonblocking) {
        const auto answer = [&](int error) { return call.answerError(error); };
        if (!endBySignal(call.tid(), answer, shared_.ended)) call.answerError(EINTR);
        return;
    }
    answerIoctl(call, thread, *session, request, *answered);
}

Result<Answered> Calls::askIoctl(Notification& call, ThreadView& thread, const std::shared_ptr<Session>& session,
                                 const IoctlRequest& asked) {
    proto::Request request{};
    request.kind = proto::Kind::Ioctl;
    request.cmd = asked.cmd;
    if (asked.nonblocking) request.flags |= proto::kRequestNonblocking;
    std::vector<std::byte> body;
    if (asked.gatherError != 0) {
        request.flags |= proto::kRequestFaulted;
    } else if ((_IOC_DIR(asked.cmd) & _IOC_WRITE) != 0) {
        request.argumentBytes = static_cast<uint32_t>(asked.payload.argument.size());
        request.nestedCount = static_cast<uint32_t>(asked.payload.nested.size());
        request.planeCount = static_cast<uint32_t>(asked.planes.headers.size());
        append(body, asked.payload.argument);
        for (const auto& nested : asked.payload.nested) {
            const proto::NestedHeader header{nested.parent, nested.offset, static_cast<uint32_t>(nested.bytes.size())};
            append(body, std::as_bytes(std::span(&header, 1)));
        }
        for (const auto& nested : asked.payload.nested) append(body, nested.bytes);
        append(body, std::as_bytes(std::span(asked.planes.headers)));
    }
    request.bodyBytes = static_cast<uint32_t>(body.size());
    std::vector<int> fds;
    UniqueFd large;
    std::span<const std::byte> message = body;
    if (body.size() > proto::kMaxInlineBytes) {
        large.reset(::memfd_create("daedalus-call", MFD_CLOEXEC | MFD_ALLOW_SEALING));
        if (!large || ::pwrite(large.get(), body.data(), body.size(), 0) != static_cast<ssize_t>(body.size()))
            return fail(ENOMEM);
        request.flags |= proto::kRequestLarge;
        fds.push_back(large.get());
        message = {};
    }
    for (const auto& fd : asked.planes.fds) fds.push_back(fd.get());
    const std::function<bool()> ended = [&] { return thread.hasSignal() || !call.isWaiting(); };
    auto answered = ask(thread, call.fd(0), session, request, message, fds, asked.nonblocking ? nullptr : ended);
    if (answered && large && (answered->head.flags & proto::kReplyCopyBack) != 0) {
        answered->body.resize(body.size());
        const ssize_t got = ::pread(large.get(), answered->body.data(), answered->body.size(), 0);
        answered->body.resize(got > 0 ? static_cast<size_t>(got) : 0);
    }
    return answered;
}

void Calls::answerIoctl(Notification& call, ThreadView& thread, Session& session, IoctlRequest& request, Answered& answered) {
    int error = answered.head.error;
    if (error == EFAULT && request.gatherError != 0) error = request.gatherError;
    const bool back = (answered.head.flags & proto::kReplyCopyBack) != 0 && (_IOC_DIR(request.cmd) & _IOC_READ) != 0;
    if (back && !takeBody(request.payload, answered.body)) error = EFAULT;
    if (error == 0 && request.role == proto::MemoryRole::Take) {
        const std::scoped_lock locked(session.mutex);
        if (!giveBack(request.payload, thread, session.bounces)) error = EFAULT;
    }
    const auto scatterAll = [&] {
        return request.compat ? request.compat->scatter(call.tid(), request.address, request.payload)
                              : scatter(call.tid(), request.address, request.payload);
    };
    if (back && !scatterAll()) error = EFAULT;
    // Last of all: what was put into the program stays there.
    for (size_t i = 0; i < answered.fds.size() && i < proto::kMaxReplyFds && error == 0; ++i) {
        const auto& place = answered.head.fds[i];
        const auto number = call.install(answered.fds[i].get(), (place.flags & O_CLOEXEC) != 0);
        if (!number)
            error = number.error().value;
        else if (!writeProcess(call.tid(), request.address + place.offset, std::as_bytes(std::span(&*number, 1))))
            error = EFAULT;
    }
    if (error != 0) {
        call.answerError(error);
    } else {
        call.answer(0);
    }
}

}  // namespace daedalus::transport::notify
