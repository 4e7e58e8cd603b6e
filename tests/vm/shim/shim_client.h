// What the tests of the kernel shim share: commands, calls that are held, memfds.
#pragma once

#include <sys/ioctl.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <string>
#include <thread>

#include "daedalus/base/unique_fd.h"
#include "proto/daedalus_shim.h"
#include "toy_node.h"

namespace daedalus::test {

constexpr int kSealed = F_SEAL_SHRINK | F_SEAL_SEAL;

/// 0 or the errno.
template <typename Argument>
int command(int fd, unsigned long number, Argument* argument) {
    return ::ioctl(fd, number, argument) >= 0 ? 0 : errno;
}

/// A new control file; invalid if the module is not loaded.
[[nodiscard]] UniqueFd openControl();
/// A memfd of `size` bytes with these seals.
[[nodiscard]] UniqueFd makeMemory(size_t size, int seals = kSealed);
/// 0 or the errno of BIND.
[[nodiscard]] int bind(int control, uint64_t file, uint64_t offset, int memory);
/// 0 or the errno of UNBIND.
[[nodiscard]] int unbind(int control, uint64_t file, uint64_t offset);
/// The name that the shim has given to the open file `fd`; 0 if there is none.
[[nodiscard]] uint64_t fileOf(int fd);

/// A mapping; unmapped in the end.
class Mapping {
public:
    Mapping(int fd, uint64_t offset, size_t size, int flags = MAP_SHARED, int protection = PROT_READ | PROT_WRITE);
    ~Mapping();
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    /// 0, or why there is no mapping.
    [[nodiscard]] int error() const { return error_; }
    [[nodiscard]] volatile uint32_t* words() const { return static_cast<volatile uint32_t*>(address_); }

private:
    size_t size_;
    void* address_;
    int error_;
};

/// A thread that is in an ioctl which the node answers when it is released.
class HeldCall {
public:
    /// Returns when the node holds the call. `argument`: for the call, or null for its own.
    HeldCall(int control, int fd, ToyArgument* argument = nullptr);
    ~HeldCall();
    HeldCall(const HeldCall&) = delete;
    HeldCall& operator=(const HeldCall&) = delete;

    /// As fileOf().
    [[nodiscard]] uint64_t file() const { return file_; }
    /// 0 or the errno of GIVE, with the number at ToyArgument::fd unless `at` says otherwise.
    [[nodiscard]] int give(int fd, uint32_t flags, uint32_t openFlags = 0, uint32_t at = offsetof(ToyArgument, fd)) const;
    /// Lets the node answer with `result`; the call's errno, or 0.
    [[nodiscard]] int release(int result = 0);
    /// The descriptor that the call gave, or -1.
    [[nodiscard]] UniqueFd given() { return UniqueFd(std::exchange(own_.fd, -1)); }

private:
    int control_;
    int fd_;
    ToyArgument own_{0, -1};
    ToyArgument* argument_;
    std::atomic<int> error_ = -1;
    uint64_t file_;
    std::thread thread_;
};

}  // namespace daedalus::test
