#include "shim_client.h"

#include <unistd.h>

#include <chrono>

namespace daedalus::test {
namespace {

constexpr auto kPause = std::chrono::milliseconds(2);

}  // namespace

UniqueFd openControl() { return UniqueFd(::open(DAEDALUS_SHIM_DEVICE, O_RDWR | O_CLOEXEC)); }

UniqueFd makeMemory(size_t size, int seals) {
    UniqueFd memory(::memfd_create("shim-test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (::ftruncate(memory.get(), static_cast<off_t>(size)) != 0 || ::fcntl(memory.get(), F_ADD_SEALS, seals) != 0) return {};
    return memory;
}

int bind(int control, uint64_t file, uint64_t offset, int memory) {
    const daedalus_shim_bind bind{file, offset, memory, 0};
    return command(control, DAEDALUS_SHIM_BIND, &bind);
}

int unbind(int control, uint64_t file, uint64_t offset) {
    const daedalus_shim_bind bind{file, offset, -1, 0};
    return command(control, DAEDALUS_SHIM_UNBIND, &bind);
}

uint64_t fileOf(int fd) {
    uint64_t name = 0;
    return command(fd, kToyName, &name) == 0 ? name : 0;
}

Mapping::Mapping(int fd, uint64_t offset, size_t size, int flags, int protection)
    : size_(size), address_(::mmap(nullptr, size, protection, flags, fd, static_cast<off_t>(offset))) {
    error_ = address_ == MAP_FAILED ? errno : 0;
}

Mapping::~Mapping() {
    if (error_ == 0) ::munmap(address_, size_);
}

HeldCall::HeldCall(int control, int fd, ToyArgument* argument)
    : control_(control), fd_(fd), argument_(argument ? argument : &own_), file_(fileOf(fd)) {
    thread_ = std::thread([this] { error_ = command(fd_, kToyHold, argument_); });
    for (int32_t held = 0; error_ < 0 && command(fd_, kToyHeld, &held) == 0 && held == 0;) std::this_thread::sleep_for(kPause);
}

HeldCall::~HeldCall() {
    if (thread_.joinable()) (void)release();
    if (own_.fd >= 0) ::close(own_.fd);
}

int HeldCall::give(int fd, uint32_t flags, uint32_t openFlags, uint32_t at) const {
    const daedalus_shim_give give{file_, fd, at, openFlags, flags};
    return command(control_, DAEDALUS_SHIM_GIVE, &give);
}

int HeldCall::release(int result) {
    // The call may not have reached the node yet.
    while (error_ < 0) {
        ToyArgument argument{result, -1};
        if (::ioctl(fd_, kToyRelease, &argument) < 0) break;
        if (argument.value == 0) std::this_thread::sleep_for(kPause);
    }
    thread_.join();
    return error_;
}

}  // namespace daedalus::test
