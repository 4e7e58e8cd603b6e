#include "arena.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace daedalus::fuzz {

// One page that may not be touched, the pages, one more, the same pages read-only, one more.
Arena::Arena() : file_(::memfd_create("arena", MFD_CLOEXEC)) {
    require(file_ && ::ftruncate(file_.get(), kBytes) == 0, "no memory for the arena");
    void* const all = ::mmap(nullptr, 2 * kBytes + 3 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(all != MAP_FAILED, "no memory for the arena");
    whole_ = static_cast<std::byte*>(all);
    base_ = whole_ + kPage;
    const void* const writable = ::mmap(base_, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file_.get(), 0);
    const void* const readOnly = ::mmap(base_ + kBytes + kPage, kBytes, PROT_READ, MAP_SHARED | MAP_FIXED, file_.get(), 0);
    require(writable != MAP_FAILED && readOnly != MAP_FAILED, "no memory for the arena");
}

Arena::~Arena() { ::munmap(whole_, 2 * kBytes + 3 * kPage); }

uint64_t Arena::pointer(Input& input, size_t offset, size_t size) {
    const uint64_t good = address(offset);
    const uint64_t end = address(kBytes);
    const uint8_t choice = input.byte();
    if (choice < 232) return good;
    switch (choice % 8) {
        case 0:
            return 0;
        case 1:
            return end;  // not there at all
        case 2:
            return end - std::min<uint64_t>(size, 1 + input.byte());  // runs off the end
        case 3:
            return address(0) - 1 - input.byte();  // begins before the start
        case 4:
            return good + kBytes + kPage;  // read-only
        case 5:
            return ~uint64_t{0} - input.half();
        case 6:
            return uint64_t{1} << 47;
        default:
            return 1 + input.byte();
    }
}

void Arena::clear() { std::memset(base_, 0, kBytes); }

UniqueFd makeMemfd(size_t size, std::span<const std::byte> content) {
    UniqueFd fd(::memfd_create("client", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return {};
    if (!content.empty() && ::pwrite(fd.get(), content.data(), std::min(size, content.size()), 0) < 0) return {};
    ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    return fd;
}

UniqueFd makeFd(Input& input) {
    constexpr size_t kUsual = 65536;
    const uint8_t choice = input.byte();
    if (choice < 160) return makeMemfd(kUsual);
    switch (choice % 12) {
        case 0: {  // not sealed
            UniqueFd fd(::memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING));
            std::ignore = ::ftruncate(fd.get(), kUsual);
            return fd;
        }
        case 1: {  // not to be sealed
            UniqueFd fd(::memfd_create("loose", MFD_CLOEXEC));
            std::ignore = ::ftruncate(fd.get(), kUsual);
            return fd;
        }
        case 2:
            return makeMemfd(0);
        case 3:
            return makeMemfd(size_t{1} << 40);
        case 4:
            return makeMemfd(1 + input.byte());
        case 5: {  // sealed against writing
            UniqueFd fd = makeMemfd(kUsual);
            ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE);
            return fd;
        }
        case 6:
            return UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC));
        case 7:
            return UniqueFd(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
        case 8:
            return UniqueFd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
        case 9:
            return UniqueFd(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
        case 10:
            return UniqueFd(::eventfd(0, EFD_CLOEXEC));
        default:
            return UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    }
}

}  // namespace daedalus::fuzz
