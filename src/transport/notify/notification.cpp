#include "notification.h"

#include <fcntl.h>
#include <sys/ioctl.h>

namespace daedalus::transport::notify {

bool Notification::isWaiting() const { return ::ioctl(listener_, SECCOMP_IOCTL_NOTIF_ID_VALID, &id_) == 0; }

Result<int> Notification::install(int fd, bool closeOnExec) const {
    seccomp_notif_addfd add{};
    add.id = id_;
    add.srcfd = static_cast<uint32_t>(fd);
    add.newfd_flags = closeOnExec ? O_CLOEXEC : 0;
    const int number = ::ioctl(listener_, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
    if (number < 0) return fail(errno);
    return number;
}

Result<> Notification::replace(int number, int fd, bool closeOnExec) const {
    seccomp_notif_addfd add{};
    add.id = id_;
    add.srcfd = static_cast<uint32_t>(fd);
    add.newfd = static_cast<uint32_t>(number);
    add.newfd_flags = closeOnExec ? O_CLOEXEC : 0;
    add.flags = SECCOMP_ADDFD_FLAG_SETFD;
    if (::ioctl(listener_, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0) return fail(errno);
    return {};
}

void Notification::answerWith(int fd, bool closeOnExec) {
    seccomp_notif_addfd add{};
    add.id = id_;
    add.srcfd = static_cast<uint32_t>(fd);
    add.newfd_flags = closeOnExec ? O_CLOEXEC : 0;
    add.flags = SECCOMP_ADDFD_FLAG_SEND;
    if (::ioctl(listener_, SECCOMP_IOCTL_NOTIF_ADDFD, &add) >= 0) {
        answered_ = true;
    } else {
        answerError(errno);
    }
}

bool Notification::answer(int64_t value) { return send(value, 0, 0); }

bool Notification::answerError(int error) { return send(0, -error, 0); }

void Notification::letRun() { send(0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE); }

bool Notification::send(int64_t value, int error, uint32_t flags) {
    seccomp_notif_resp response{};
    response.id = id_;
    response.val = value;
    response.error = error;
    response.flags = flags;
    answered_ = true;
    return ::ioctl(listener_, SECCOMP_IOCTL_NOTIF_SEND, &response) == 0;
}

}  // namespace daedalus::transport::notify
