// What the kernel shows of one thread of a program.
#pragma once

#include <sys/types.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "daedalus/base/result.h"
#include "daedalus/base/unique_fd.h"

namespace daedalus::transport::notify {

/// One thread, by its folder in /proc, which is held open: when the thread has ended it shows nothing, and never another
/// thread of the same number. Any thread.
class ThreadView {
public:
    /// Of the thread `tid`. ESRCH: there is none, or it cannot be seen.
    [[nodiscard]] static Result<std::shared_ptr<ThreadView>> open(pid_t tid);

    [[nodiscard]] pid_t tid() const { return tid_; }
    /// False once the thread has ended.
    [[nodiscard]] bool isThere() const;
    /// What a link of the folder shows ("fd/7", "cwd"); nothing if there is none.
    [[nodiscard]] std::optional<std::string> link(const std::string& name) const;
    /// The inode of the socket behind a descriptor; 0 if it is none.
    [[nodiscard]] ino_t socketInode(int fd) const;
    /// A descriptor of the thread's open file: EBADF, or what keeps us from it.
    [[nodiscard]] Result<UniqueFd> take(int fd);
    /// What open() and fcntl() set: O_NONBLOCK, O_PATH, O_CLOEXEC ... Nothing if that cannot be seen.
    [[nodiscard]] std::optional<unsigned> openFlags(int fd) const;
    /// True if O_NONBLOCK is set on the thread's file. False if that cannot be seen.
    [[nodiscard]] bool isNonblocking(int fd);
    /// True if a signal is there that ends a wait. `blocked`: the mask that counts instead of the thread's own.
    [[nodiscard]] bool hasSignal(std::optional<uint64_t> blocked = {}) const;

private:
    ThreadView(pid_t tid, UniqueFd folder) : tid_(tid), folder_(std::move(folder)) {}
    [[nodiscard]] std::string read(const char* name) const;
    [[nodiscard]] int process();

    const pid_t tid_;
    const UniqueFd folder_;
    std::mutex mutex_;
    UniqueFd process_;  ///< guarded by mutex_; opened when it is needed first
};

/// The views of threads that called lately. Any thread.
class ThreadViews {
public:
    /// Of the thread that has this number now. ESRCH as ThreadView::open().
    [[nodiscard]] Result<std::shared_ptr<ThreadView>> of(pid_t tid);

private:
    std::mutex mutex_;
    std::unordered_map<pid_t, std::shared_ptr<ThreadView>> views_;  ///< guarded by mutex_
};

}  // namespace daedalus::transport::notify
