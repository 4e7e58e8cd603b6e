// A client of an open file of the kernel, or of what the preload library passes off as one.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cerrno>

#include "daedalus/base/unique_fd.h"
#include "test_node.h"

namespace daedalus::test {

/// Passes on each call as the system call of its name.
class FdClient : public Client {
public:
    explicit FdClient(UniqueFd fd) : fd_(std::move(fd)) {}
    int ioctl(unsigned long cmd, void* argument) override { return ::ioctl(fd_.get(), cmd, argument) == 0 ? 0 : errno; }
    void* mmap(size_t length, int protection, uint64_t offset) override {
        return ::mmap(nullptr, length, protection, MAP_SHARED, fd_.get(), static_cast<off_t>(offset));
    }
    short poll(short events, int timeoutMs) override {
        pollfd one{fd_.get(), events, 0};
        return ::poll(&one, 1, timeoutMs) > 0 ? one.revents : short{0};
    }
    void setNonblocking(bool nonblocking) override { ::fcntl(fd_.get(), F_SETFL, nonblocking ? O_NONBLOCK : 0); }
    [[nodiscard]] int fd() const override { return fd_.get(); }

private:
    UniqueFd fd_;
};

}  // namespace daedalus::test
