#include "shim.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "daedalus/base/log.h"
#include "daedalus/ioctl/call_traits.h"
#include "daedalus/v4l2/uapi.h"
#include "proto/daedalus_shim.h"

namespace daedalus::transport::cuse {
namespace {

/// How long udev may take to let us open our own device.
constexpr std::chrono::seconds kUdevTime{3};
constexpr std::chrono::milliseconds kPause{10};

template <class Argument>
int command(int control, unsigned long number, Argument* argument) {
    return ::ioctl(control, number, argument) >= 0 ? 0 : errno;
}

/// Opens the device and attaches it; 0 or an errno. After fork(): allocates nothing.
int attachNode(int control, const char* nodePath) {
    const auto end = std::chrono::steady_clock::now() + kUdevTime;
    int node = -1;
    while ((node = ::open(nodePath, O_RDWR | O_CLOEXEC | O_NONBLOCK)) < 0) {
        if ((errno != EACCES && errno != EPERM && errno != ENOENT) || std::chrono::steady_clock::now() > end) return errno;
        ::usleep(std::chrono::microseconds(kPause).count());
    }
    const daedalus_shim_attach attach{node, ioctl::exportingCall()};
    return command(control, DAEDALUS_SHIM_ATTACH, &attach);
}

/// What the new process does: it holds nothing of the daemon's but `control`, and ends with it.
[[noreturn]] void attachAndEnd(int control, const char* nodePath, pid_t daemon) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const bool alone = ::getppid() == daemon &&
                       (control == 0 || ::close_range(0, static_cast<unsigned>(control) - 1, 0) == 0) &&
                       ::close_range(static_cast<unsigned>(control) + 1, ~0U, 0) == 0;
    ::_exit(alone ? attachNode(control, nodePath) : errno);
}

/// Starts attachAndEnd(); its process, or -1 with errno.
pid_t startAttacher(int control, const std::string& nodePath) {
    const pid_t daemon = ::getpid();
    // The daemon's signal handlers are not for the new process, which stays deaf but to SIGKILL.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    const pid_t started = ::fork();
    if (started == 0) attachAndEnd(control, nodePath.c_str(), daemon);
    const int error = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    errno = error;
    return started;
}

const char* adviceFor(int error) {
    switch (error) {
        case EPERM:
            return "the module serves only daemons with CAP_SYS_PTRACE";
        case EACCES:
        case ENOENT:
            return "the daemon must be able to open its own device; join the group that owns it";
        default:
            return "`dmesg` may say why";
    }
}

}  // namespace

Shim::Shim(EventLoop& loop, std::string nodePath) : loop_(loop), nodePath_(std::move(nodePath)) {}

Shim::~Shim() {
    if (attacher_ <= 0) return;
    // It waits for an answer no longer, since the device has ended.
    ::kill(attacher_, SIGKILL);
    (void)::waitpid(attacher_, nullptr, 0);
}

void Shim::begin() {
    if (state_ != State::Idle) return;
    control_.reset(::open(DAEDALUS_SHIM_DEVICE, O_RDWR | O_CLOEXEC));
    if (!control_) {
        // Without the module; it may come later.
        if (errno == ENOENT || errno == ENODEV || errno == ENXIO) return;
        return refuse(DAEDALUS_SHIM_DEVICE, errno, "be root, or give the daemon's user the file by a udev rule");
    }
    uint32_t version = 0;
    (void)command(control_.get(), DAEDALUS_SHIM_GET_VERSION, &version);
    if (version != DAEDALUS_SHIM_VERSION) return leave(version);
    attacher_ = startAttacher(control_.get(), nodePath_);
    if (attacher_ < 0) return refuse("daedalus-shim", errno, "the daemon must be able to start a process");
    state_ = State::Attaching;
    attacherFd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, attacher_, 0)));
    auto watch = loop_.watch(attacherFd_.get(), EventLoop::Readable, [this](uint32_t) { reap(0); });
    if (!watch) return refuse("daedalus-shim", watch.error().value, adviceFor(watch.error().value));
    watch_ = std::move(*watch);
}

void Shim::finish(const std::function<void(std::chrono::milliseconds atMost)>& serve) {
    while (state_ == State::Attaching && !reap(WNOHANG)) serve(kPause);
}

bool Shim::reap(int waitFlags) {
    int status = 0;
    const pid_t ended = ::waitpid(attacher_, &status, waitFlags);
    if (ended == 0) return false;
    const int error = ended < 0 ? errno : WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
    attacher_ = 0;
    watch_ = {};
    attacherFd_.reset();
    if (error != 0) {
        refuse("daedalus-shim", error, adviceFor(error));
    } else {
        state_ = State::Attached;
        log::info("{}: the kernel module daedalus-shim adds mmap and EXPBUF for programs that open it from now on", nodePath_);
    }
    return true;
}

void Shim::leave(uint32_t version) {
    control_.reset();
    // Once for each module that is not ours: every client that opens the device comes by here.
    if (std::exchange(foreignVersion_, version) == version) return;
    log::warn(
        "{}: serving without mmap and EXPBUF: the kernel module daedalus-shim speaks version {} of its protocol, this daemon "
        "version {}; unload it (`rmmod daedalus-shim`) and load the one that came with this daemon",
        nodePath_, version, DAEDALUS_SHIM_VERSION);
}

void Shim::refuse(const std::string& thing, int error, const char* advice) {
    state_ = State::Refused;
    control_.reset();
    log::warn("{}: serving without mmap and EXPBUF: {}: {}; {}", nodePath_, thing, std::strerror(error), advice);
}

Result<> Shim::bind(uint64_t file, uint64_t offset, int memfd) {
    const daedalus_shim_bind bind{file, offset, memfd, 0};
    if (const int error = command(control_.get(), DAEDALUS_SHIM_BIND, &bind); error != 0) return fail(error);
    return {};
}

void Shim::unbind(uint64_t file, uint64_t offset) {
    const daedalus_shim_bind bind{file, offset, -1, 0};
    (void)command(control_.get(), DAEDALUS_SHIM_UNBIND, &bind);
}

Result<> Shim::give(uint64_t file, const ioctl::PassedFd& passed) {
    const bool isMemory = ::fcntl(passed.fd.get(), F_GET_SEALS) >= 0;
    const daedalus_shim_give give{.file = file,
                                  .fd = passed.fd.get(),
                                  .at = passed.offset,
                                  .open_flags = static_cast<uint32_t>(passed.flags),
                                  .flags = isMemory ? DAEDALUS_SHIM_GIVE_DMABUF : 0};
    if (const int error = command(control_.get(), DAEDALUS_SHIM_GIVE, &give); error != 0) return fail(error);
    return {};
}

std::optional<CuseExtension::OwnCall> Shim::ownCall(pid_t tid, uint32_t cmd, uint64_t argument) {
    if (!control_) return std::nullopt;
    // The first clients may come before we have learnt that the device is attached.
    if (cmd == DAEDALUS_SHIM_NAME) return OwnCall{0, argument};
    if (cmd == DAEDALUS_SHIM_HELLO && isOwn(tid)) return OwnCall{DAEDALUS_SHIM_YES(argument), std::nullopt};
    return std::nullopt;
}

}  // namespace daedalus::transport::cuse
