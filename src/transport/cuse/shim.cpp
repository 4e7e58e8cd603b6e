#include "shim.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "daedalus/base/log.h"
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

/// Opens the device and attaches it; 0 or an errno.
int attachNode(int control, const std::string& nodePath) {
    UniqueFd node;
    const auto end = std::chrono::steady_clock::now() + kUdevTime;
    for (;;) {
        node.reset(::open(nodePath.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
        if (node || (errno != EACCES && errno != EPERM && errno != ENOENT) || std::chrono::steady_clock::now() > end) break;
        std::this_thread::sleep_for(kPause);
    }
    if (!node) return errno;
    const daedalus_shim_attach attach{node.get(), 0};
    return command(control, DAEDALUS_SHIM_ATTACH, &attach);
}

const char* adviceFor(int error) {
    switch (error) {
        case EPERM:
            return "the module serves only daemons with CAP_SYS_PTRACE, whose thread ids are those of /dev/cuse";
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
    if (thread_.joinable()) thread_.join();
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
    if (version != DAEDALUS_SHIM_VERSION) return refuse(DAEDALUS_SHIM_DEVICE, EPROTO, "load the module of this version");
    state_ = State::Attaching;
    result_ = -1;
    thread_ = std::thread([this] { attach(); });
}

void Shim::attach() {
    attacher_ = ::gettid();
    const int result = attachNode(control_.get(), nodePath_);
    attacher_ = 0;
    loop_.post([this, alive = std::weak_ptr(alive_)] {
        if (alive.lock()) ended();
    });
    result_ = result;
}

void Shim::finish(const std::function<void(std::chrono::milliseconds atMost)>& serve) {
    while (state_ == State::Attaching && result_ < 0) serve(kPause);
    ended();
}

void Shim::ended() {
    if (state_ != State::Attaching) return;
    thread_.join();
    if (result_ != 0) return refuse("daedalus-shim", result_, adviceFor(result_));
    state_ = State::Attached;
    log::info("{}: the kernel module daedalus-shim adds mmap and EXPBUF for programs that open it from now on", nodePath_);
}

void Shim::refuse(const std::string& thing, int error, const char* advice) {
    state_ = State::Refused;
    control_.reset();
    log::warn("{}: serving without mmap and EXPBUF: {}: {}; {}", nodePath_, thing, std::strerror(error), advice);
}

Result<uint64_t> Shim::fileOf(pid_t tid) {
    daedalus_shim_file ask{tid, 0, 0};
    const int error = state_ == State::Attached ? command(control_.get(), DAEDALUS_SHIM_GET_FILE, &ask) : ESRCH;
    if (error != 0) return fail(error);
    return ask.file;
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

Result<> Shim::give(uint64_t file, pid_t tid, const ioctl::PassedFd& passed) {
    const bool isMemory = ::fcntl(passed.fd.get(), F_GET_SEALS) >= 0;
    const daedalus_shim_give give{.file = file,
                                  .tid = tid,
                                  .fd = passed.fd.get(),
                                  .at = passed.offset,
                                  .open_flags = static_cast<uint32_t>(passed.flags),
                                  .flags = isMemory ? DAEDALUS_SHIM_GIVE_DMABUF : 0,
                                  .reserved = 0};
    if (const int error = command(control_.get(), DAEDALUS_SHIM_GIVE, &give); error != 0) return fail(error);
    return {};
}

std::optional<int> Shim::ownCall(pid_t tid, uint32_t cmd, uint64_t argument) {
    // A client that says HELLO would spend the only try.
    if (cmd != DAEDALUS_SHIM_HELLO || !isOwn(tid)) return std::nullopt;
    const daedalus_shim_confirm confirm{argument, tid, 0};
    return command(control_.get(), DAEDALUS_SHIM_CONFIRM, &confirm);
}

}  // namespace daedalus::transport::cuse
