#include "thread_view.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <string_view>

namespace daedalus::transport::notify {
namespace {

/// Two descriptors each.
constexpr size_t kMostViews = 128;
/// PIDFD_THREAD of Linux 6.9.
constexpr unsigned kThread = O_EXCL;

/// The value behind "Key:" of a status file, read as `base`.
uint64_t field(std::string_view status, std::string_view key, int base) {
    const size_t at = status.find(key);
    if (at == std::string_view::npos) return 0;
    const size_t first = status.find_first_not_of(" \t", at + key.size());
    uint64_t value = 0;
    if (first != std::string_view::npos) std::from_chars(status.data() + first, status.data() + status.size(), value, base);
    return value;
}

}  // namespace

Result<std::shared_ptr<ThreadView>> ThreadView::open(pid_t tid) {
    UniqueFd folder(::open(("/proc/" + std::to_string(tid)).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder) return fail(ESRCH);
    return std::shared_ptr<ThreadView>(new ThreadView(tid, std::move(folder)));
}

bool ThreadView::isThere() const { return ::faccessat(folder_.get(), "comm", F_OK, 0) == 0; }

std::optional<std::string> ThreadView::link(const std::string& name) const {
    std::array<char, 4096> target;
    const ssize_t length = ::readlinkat(folder_.get(), name.c_str(), target.data(), target.size());
    if (length < 0) return std::nullopt;
    return std::string(target.data(), static_cast<size_t>(length));
}

ino_t ThreadView::socketInode(int fd) const {
    constexpr std::string_view kSocket = "socket:[";
    const auto target = link("fd/" + std::to_string(fd));
    if (!target || !target->starts_with(kSocket)) return 0;
    return std::strtoull(target->c_str() + kSocket.size(), nullptr, 10);
}

std::string ThreadView::read(const char* name) const {
    const UniqueFd file(::openat(folder_.get(), name, O_RDONLY | O_CLOEXEC));
    std::array<char, 4096> text;
    const ssize_t length = file ? ::read(file.get(), text.data(), text.size()) : -1;
    return {text.data(), length > 0 ? static_cast<size_t>(length) : 0};
}

std::optional<unsigned> ThreadView::openFlags(int fd) const {
    const std::string info = read(("fdinfo/" + std::to_string(fd)).c_str());
    if (info.empty()) return std::nullopt;
    constexpr int kOctal = 8;
    return static_cast<unsigned>(field(info, "\nflags:", kOctal));
}

int ThreadView::process() {
    const std::scoped_lock locked(mutex_);
    if (process_) return process_.get();
    process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, tid_, kThread)));
    if (!process_) {
        const auto pid = static_cast<pid_t>(field(read("status"), "\nTgid:", 10));
        process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    }
    return process_.get();
}

Result<UniqueFd> ThreadView::take(int fd) {
    UniqueFd copy(static_cast<int>(::syscall(SYS_pidfd_getfd, process(), fd, 0)));
    if (!copy) return fail(errno);
    return copy;
}

bool ThreadView::isNonblocking(int fd) {
    const auto copy = take(fd);
    return copy && (::fcntl(copy->get(), F_GETFL) & O_NONBLOCK) != 0;
}

bool ThreadView::hasSignal(std::optional<uint64_t> blocked) const {
    const std::string status = read("status");
    // Ended meanwhile: nobody waits any more.
    if (status.empty()) return true;
    constexpr int kHex = 16;
    const uint64_t pending = field(status, "\nSigPnd:", kHex) | field(status, "\nShdPnd:", kHex);
    return (pending & ~blocked.value_or(field(status, "\nSigBlk:", kHex))) != 0;
}

Result<std::shared_ptr<ThreadView>> ThreadViews::of(pid_t tid) {
    const std::scoped_lock locked(mutex_);
    if (const auto found = views_.find(tid); found != views_.end() && found->second->isThere()) return found->second;
    if (views_.size() >= kMostViews) views_.clear();
    auto view = ThreadView::open(tid);
    if (view) views_.insert_or_assign(tid, *view);
    return view;
}

}  // namespace daedalus::transport::notify
