// One system call that waits for its answer.
#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>

#include <cstdint>

#include "daedalus/base/result.h"
#include "filter.h"

namespace daedalus::transport::notify {

/// A trapped call, from its arrival to its answer. Owned by one thread. Dropping it unanswered lets the kernel run the call.
class Notification {
public:
    Notification(int listener, const seccomp_notif& notif)
        : listener_(listener),
          id_(notif.id),
          tid_(static_cast<pid_t>(notif.pid)),
          data_(notif.data),
          call_(trapped(notif.data.arch, notif.data.nr)) {}
    ~Notification() {
        if (!answered_) letRun();
    }
    Notification(const Notification&) = delete;
    Notification& operator=(const Notification&) = delete;

    [[nodiscard]] pid_t tid() const { return tid_; }
    [[nodiscard]] const Trapped& call() const { return call_; }
    [[nodiscard]] uint64_t argument(unsigned index) const { return data_.args[index]; }
    [[nodiscard]] int fd(unsigned index) const { return static_cast<int>(data_.args[index]); }

    /// False once the thread no longer waits: it was killed.
    [[nodiscard]] bool isWaiting() const;
    /// Puts a copy of `fd` into the program; its number there.
    [[nodiscard]] Result<int> install(int fd, bool closeOnExec) const;
    /// Puts a copy of `fd` over the program's descriptor `number`.
    [[nodiscard]] Result<> replace(int number, int fd, bool closeOnExec) const;
    /// As install(), and the call returns that number.
    void answerWith(int fd, bool closeOnExec);
    /// The call returns `value`. False if nobody waits any more.
    bool answer(int64_t value);
    /// The call fails. False if nobody waits any more.
    bool answerError(int error);
    /// The kernel runs the call as if it had not been trapped.
    void letRun();

private:
    bool send(int64_t value, int error, uint32_t flags);

    const int listener_;
    const uint64_t id_;
    const pid_t tid_;
    const seccomp_data data_;
    const Trapped call_;
    bool answered_ = false;
};

}  // namespace daedalus::transport::notify
