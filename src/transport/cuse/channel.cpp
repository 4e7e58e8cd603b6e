#include "channel.h"

#include <fcntl.h>
#include <poll.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "daedalus/base/log.h"
#include "daedalus/base/unique_fd.h"
#include "daedalus/v4l2/node_name.h"

namespace daedalus::transport::cuse {
namespace {

constexpr const char* kCuse = "/dev/cuse";
/// videodev has the first minors of its major, and takes them all at once when it is loaded: ours come after them, so
/// that neither keeps the other out.
constexpr unsigned kFirstMinor = v4l2::kNodeNumbers;

void logLine(fuse_log_level level, const char* format, va_list arguments) {
    char line[512];
    const int length = std::vsnprintf(line, sizeof line, format, arguments);
    if (length <= 0) return;
    std::string_view text(line);
    while (text.ends_with('\n')) text.remove_suffix(1);
    if (level <= FUSE_LOG_ERR) {
        log::warn("libfuse: {}", text);
    } else {
        log::debug("libfuse: {}", text);
    }
}

}  // namespace

Result<std::unique_ptr<Channel>> Channel::open(const std::string& name, unsigned number, const cuse_lowlevel_ops& operations,
                                               void* user) {
    const std::string deviceName = "DEVNAME=" + name;
    const char* words[] = {deviceName.c_str()};
    cuse_info info{};
    info.dev_info_argc = 1;
    info.dev_info_argv = words;
    // Unrestricted: who may be read directly is known only call by call, and the kernel takes a retry from no other node.
    info.flags = CUSE_UNRESTRICTED_IOCTL;
    info.dev_major = v4l2::kVideoMajor;
    info.dev_minor = kFirstMinor + number;
    auto channel = tryOpen(info, operations, user);
    if (channel || channel.error().value != EBUSY) return channel;
    info.dev_major = 0;
    info.dev_minor = 0;
    return tryOpen(info, operations, user);
}

Result<std::unique_ptr<Channel>> Channel::tryOpen(const cuse_info& info, const cuse_lowlevel_ops& operations, void* user) {
    ::fuse_set_log_func(logLine);
    UniqueFd device(::open(kCuse, O_RDWR | O_CLOEXEC | O_NONBLOCK));
    // ENODEV and ENXIO: the file is there, the module behind it is not.
    if (!device) return fail(errno == ENODEV || errno == ENXIO ? ENOENT : errno);

    std::string program = "daedalus";
    char* words[] = {program.data(), nullptr};
    fuse_args arguments = FUSE_ARGS_INIT(1, words);
    fuse_session* session = ::cuse_lowlevel_new(&arguments, &info, &operations, user);
    ::fuse_opt_free_args(&arguments);
    if (!session) return fail(ENOMEM);
    std::unique_ptr<Channel> channel(new Channel(session));
    // The name by which libfuse takes over a descriptor.
    if (::fuse_session_mount(session, ("/dev/fd/" + std::to_string(device.get())).c_str()) != 0) return fail(ENOMEM);
    std::ignore = device.release();

    // CUSE_INIT is there from the start; the device exists, or does not, when its answer is written.
    if (auto answered = channel->dispatch(); !answered) return fail(answered.error());
    pollfd state{channel->fd(), POLLIN, 0};
    if (::poll(&state, 1, 0) < 0 || (state.revents & POLLERR) != 0) return fail(EBUSY);
    return channel;
}

Channel::~Channel() {
    ::fuse_session_exit(session_);
    ::fuse_session_destroy(session_);
    std::free(buffer_.mem);  // NOLINT(cppcoreguidelines-no-malloc): libfuse allocated it
}

int Channel::fd() const { return ::fuse_session_fd(session_); }

Result<> Channel::dispatch() {
    const int size = ::fuse_session_receive_buf(session_, &buffer_);
    if (::fuse_session_exited(session_)) return fail(ENODEV);
    if (size == -EAGAIN || size == -EINTR) return {};
    if (size < 0) return fail(-size);
    if (size > 0) ::fuse_session_process_buf(session_, &buffer_);
    return {};
}

}  // namespace daedalus::transport::cuse
