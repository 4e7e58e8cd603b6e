#include "src/transport/socket/session.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include "daedalus/base/log.h"
#include "proto/wire.h"

namespace daedalus::transport::socket {
namespace {

constexpr uint32_t kInMask = POLLIN | POLLRDNORM | POLLERR;
constexpr uint32_t kOutMask = POLLOUT | POLLWRNORM | POLLERR;
/// Longer than any living client takes from a reply to the byte that it was told to eat.
constexpr std::chrono::seconds kEatingTime{1};
/// SO_PASSRIGHTS of Linux 6.16.
constexpr int kPassRights = 83;

/// Our end and the client's.
Result<std::pair<UniqueFd, UniqueFd>> makePair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return fail(errno);
    // A file that lies unread in our end, sent through itself, would never be closed.
    const int no = 0;
    std::ignore = ::setsockopt(ends[0], SOL_SOCKET, kPassRights, &no, sizeof no);
    return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

/// What no other socket of this kernel has ever had; 0: `fd` is none.
uint64_t cookieOf(int fd) {
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    return ::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0 ? cookie : 0;
}

Result<> bindName(int fd, uint64_t daemon, uint64_t id) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    ::snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "%s%016" PRIx64 ":%016" PRIx64, proto::kFileNamePrefix, daemon, id);
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + proto::kFileNameLength);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&name), length) != 0) return fail(errno);
    return {};
}

}  // namespace

Session::Session(EventLoop& loop, uint64_t id, std::unique_ptr<ioctl::File> file, UniqueFd end)
    : loop_(loop), id_(id), owner_(file->owner()), end_(std::move(end)), file_(std::move(file)) {}

Session::~Session() = default;

Result<Session::Made> Session::make(EventLoop& loop, uint64_t daemon, uint64_t id, std::unique_ptr<ioctl::File> file) {
    auto ends = makePair();
    if (!ends) return fail(ends.error());
    auto& [ours, theirs] = *ends;
    if (auto bound = bindName(theirs.get(), daemon, id); !bound) return fail(bound.error());
    // The kernel raises this to its minimum, where one filler is enough to make the end unwritable.
    const int smallest = 1;
    if (::setsockopt(theirs.get(), SOL_SOCKET, SO_SNDBUF, &smallest, sizeof smallest) != 0) return fail(errno);

    const std::shared_ptr<Session> session(new Session(loop, id, std::move(file), std::move(ours)));
    // Without the mode, a process that inherits the file or receives it does not know it until it calls an ioctl.
    std::ignore = ::fchmod(theirs.get(), proto::kFileMode);
    session->clientCookie_ = cookieOf(theirs.get());
    session->update();
    if (!session->wantOut_) {
        // Here the client's end is still ours, so that nobody needs to be asked.
        const std::array<char, proto::kFillerBytes> filler{};
        if (::send(theirs.get(), filler.data(), filler.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
            session->fillersAsked_ = filler.size();
        }
    }
    session->file_->onReadiness([raw = session.get()] { raw->update(); });
    return Made{session, std::move(theirs)};
}

Result<> Session::onHangUp(std::function<void()> callback) {
    onHangUp_ = std::move(callback);
    auto watch = loop_.watch(end_.get(), EventLoop::HangUp, [this](uint32_t events) {
        if ((events & EventLoop::HangUp) != 0) {
            watch_ = {};
            onHangUp_();
        } else {
            drainFillers();
        }
    });
    if (!watch) return fail(watch.error());
    watch_ = std::move(*watch);
    return {};
}

bool Session::isClientEnd(int fd) const { return clientCookie_ != 0 && cookieOf(fd) == clientCookie_; }

bool Session::hungUp() const {
    pollfd entry{lifeline_ ? lifeline_.get() : end_.get(), POLLRDHUP, 0};
    return ::poll(&entry, 1, 0) > 0;
}

void Session::close() {
    if (!file_) return;
    watch_ = {};
    file_->onReadiness([] {});
    file_.reset();
    updatePriority(false);
}

void Session::hangUp() {
    wantIn_ = true;
    wantOut_ = true;
    // Of an end that is shut down nothing tells when the other one goes. A pipe's end that waits there to be received does.
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC | O_NONBLOCK) == 0) {
        lifeline_ = UniqueFd(pipe[0]);
        const UniqueFd other(pipe[1]);
        char byte = proto::kErrorByte;
        iovec part{&byte, 1};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* const entry = CMSG_FIRSTHDR(&message);
        entry->cmsg_level = SOL_SOCKET;
        entry->cmsg_type = SCM_RIGHTS;
        entry->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(entry), &pipe[1], sizeof(int));
        if (::sendmsg(end_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) != 1) lifeline_.reset();
    }
    if (lifeline_ && onHangUp_)
        if (auto watch = loop_.watch(lifeline_.get(), EventLoop::HangUp, [this](uint32_t) { onHangUp_(); }))
            watch_ = std::move(*watch);
    ::shutdown(end_.get(), SHUT_RDWR);
}

void Session::update() {
    if (lifeline_) return;
    const uint32_t readiness = file_->readiness();
    if ((readiness & POLLHUP) != 0) {
        // A poll() that waits for POLLPRI ends by the first of the two.
        hangUp();
        return updatePriority(true);
    }
    // An event is told before the buffer that it announces, so that a client which wakes in between sees it.
    updatePriority((readiness & POLLPRI) != 0);
    if ((readiness & ioctl::kOnlyForPriority) != 0) return;
    wantIn_ = (readiness & kInMask) != 0;
    if (wantIn_ && !showsIn_) {
        const char byte = (readiness & POLLERR) != 0 ? proto::kErrorByte : proto::kReadyByte;
        showsIn_ = ::send(end_.get(), &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
    }
    const bool wantOut = (readiness & kOutMask) != 0;
    if (wantOut != wantOut_) {
        wantOut_ = wantOut;
        if (wantOut) {
            drainFillers();
        } else {
            watchFillers();
        }
    }
}

void Session::drainFillers() {
    if (fillersAsked_ == 0) return;
    std::array<char, 4 * proto::kFillerBytes> sink;
    ssize_t taken = 0;
    // A client that writes on and on is read on in later turns.
    constexpr int kAtOnce = 8;
    for (int i = 0; i < kAtOnce && (taken = ::recv(end_.get(), sink.data(), sink.size(), MSG_DONTWAIT)) > 0; ++i) {
        fillersAsked_ -= std::min(fillersAsked_, static_cast<size_t>(taken));
    }
    watchFillers();
}

// A filler that a client was asked for may come when the end shall be writable again already: it must not stay then.
void Session::watchFillers() {
    if (watch_) watch_.setEvents(wantOut_ && fillersAsked_ > 0 ? EventLoop::HangUp | EventLoop::Readable : EventLoop::HangUp);
}

void Session::eatSent() {
    ++eatsUnderWay_;
    lastEat_ = std::chrono::steady_clock::now();
}

uint32_t Session::takeReplyFlags(bool verify) {
    // The file tells of changes when the calls that wait for them have had their turn; this reply is sent before that.
    if (file_) update();
    uint32_t flags = 0;
    if (!wantIn_) {
        // A byte that nobody is about to eat was left by a client that died. A client that is idle since has eaten long ago.
        int unread = 0;
        const bool left = verify && !showsIn_ && ::ioctl(end_.get(), SIOCOUTQ, &unread) == 0 && unread > 0 &&
                          (eatsUnderWay_ == 0 || std::chrono::steady_clock::now() - lastEat_ > kEatingTime);
        if (showsIn_ || left) flags |= proto::kReplyEat;
        showsIn_ = false;
    }
    if (!wantOut_) {
        // A filler too many does no harm.
        int waiting = 0;
        const bool lost = verify && fillersAsked_ > 0 && ::ioctl(end_.get(), FIONREAD, &waiting) == 0 && waiting == 0;
        if (fillersAsked_ == 0 || lost) {
            flags |= proto::kReplyFill;
            fillersAsked_ += proto::kFillerBytes;
        }
    }
    return flags;
}

Result<int> Session::priorityFd() {
    if (!priorityTheirs_) {
        auto ends = makePair();
        if (!ends) return fail(ends.error());
        priorityOurs_ = std::move(ends->first);
        priorityTheirs_ = std::move(ends->second);
        updatePriority((file_->readiness() & POLLPRI) != 0);
    }
    return priorityTheirs_.get();
}

void Session::updatePriority(bool wanted) {
    if (!priorityTheirs_ || wanted == showsPriority_) return;
    if (wanted) {
        showsPriority_ = ::send(priorityOurs_.get(), "", 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
        if (!showsPriority_) {
            log::error(
                "session {:016x}: poll() cannot report POLLPRI, since this kernel has no out-of-band bytes on unix "
                "sockets ({}); use Linux 5.15 or newer with CONFIG_AF_UNIX_OOB",
                id_, std::strerror(errno));
        }
        return;
    }
    std::array<char, 16> sink;
    std::ignore = ::recv(priorityTheirs_.get(), sink.data(), 1, MSG_OOB | MSG_DONTWAIT);
    // Some kernels leave an empty marker behind, which the next plain read takes away.
    std::ignore = ::recv(priorityTheirs_.get(), sink.data(), sink.size(), MSG_DONTWAIT);
    showsPriority_ = false;
}

UniqueFd Session::takePriority() {
    priorityTheirs_.reset();
    return std::move(priorityOurs_);
}

}  // namespace daedalus::transport::socket
