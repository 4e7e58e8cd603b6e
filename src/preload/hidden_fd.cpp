#include "src/preload/hidden_fd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <initializer_list>

#include "proto/wire.h"
#include "src/preload/kernel.h"

namespace daedalus::preload {
namespace {

/// Sockets of one kernel have different inodes. 0: no socket.
uint64_t inodeOf(int fd) {
    struct stat status;
    return kernel(SYS_fstat, fd, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

}  // namespace

HiddenFd HiddenFd::of(int number) {
    HiddenFd known;
    known.expect(number, inodeOf(number));
    return known;
}

void HiddenFd::adopt(int fd) {
    *this = of(fd);
    // Where the limit of descriptors is low, as high as it goes.
    for (const int lowest : {proto::kLowestHiddenFd, proto::kLowestHiddenFd / 4}) {
        if (fd >= lowest) return;
        const long high = kernel(SYS_fcntl, fd, F_DUPFD_CLOEXEC, lowest);
        if (high < 0) continue;
        kernel(SYS_close, fd);
        number_ = static_cast<int>(high);
        return;
    }
}

int HiddenFd::get() const { return number_ >= 0 && inodeOf(number_) == inode_ ? number_ : -1; }

HiddenFd HiddenFd::duplicate(int at) const {
    HiddenFd copy;
    const long number = kernel(SYS_fcntl, number_, F_DUPFD_CLOEXEC, at >= 0 ? at : proto::kLowestHiddenFd);
    if (number < 0) return copy;
    copy.number_ = static_cast<int>(number);
    copy.inode_ = inode_;
    return copy;
}

void HiddenFd::close() {
    if (get() >= 0) kernel(SYS_close, number_);
    number_ = -1;
}

}  // namespace daedalus::preload
