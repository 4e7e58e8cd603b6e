#include "src/preload/client_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "src/preload/next.h"
#include "src/preload/process.h"
#include "src/preload/real.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

namespace daedalus::preload {
namespace {

/// Sandboxes may refuse process_vm_*; a pipe makes the kernel copy as carefully, only slower.
std::atomic<bool> refused{false};
constexpr size_t kPipeChunk = 4096;

bool isRefusal(int error) { return error == ENOSYS || error == EPERM || error == EACCES; }

bool copyThroughPipe(uint64_t into, uint64_t from, size_t length) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    bool good = true;
    for (size_t done = 0; good && done < length;) {
        const size_t chunk = length - done < kPipeChunk ? length - done : kPipeChunk;
        good =
            DAEDALUS_NEXT(write)(ends[1], reinterpret_cast<const void*>(from + done), chunk) == static_cast<ssize_t>(chunk) &&
            DAEDALUS_NEXT(read)(ends[0], reinterpret_cast<void*>(into + done), chunk) == static_cast<ssize_t>(chunk);
        done += chunk;
    }
    realClose(ends[0]);
    realClose(ends[1]);
    return good;
}

using Transfer = ssize_t (*)(pid_t, const iovec*, unsigned long, const iovec*, unsigned long, unsigned long);

/// `local` is copied to or from `remote`, which are both of this process.
bool transfer(Transfer function, uint64_t local, uint64_t remote, size_t length, bool toRemote) {
    const KeepErrno keep;
    size_t done = 0;
    while (!refused.load(std::memory_order_relaxed) && done < length) {
        const iovec ours{reinterpret_cast<void*>(local + done), length - done};
        const iovec theirs{reinterpret_cast<void*>(remote + done), length - done};
        const ssize_t got = function(::getpid(), &ours, 1, &theirs, 1, 0);
        if (got > 0) {
            done += static_cast<size_t>(got);
        } else if (got < 0 && isRefusal(errno)) {
            refused.store(true, std::memory_order_relaxed);
        } else {
            return false;
        }
    }
    if (done == length) return true;
    return toRemote ? copyThroughPipe(remote + done, local + done, length - done)
                    : copyThroughPipe(local + done, remote + done, length - done);
}

}  // namespace

bool copyIn(void* into, uint64_t from, size_t length) {
    return transfer(::process_vm_readv, reinterpret_cast<uint64_t>(into), from, length, false);
}

bool copyOut(uint64_t into, const void* from, size_t length) {
    return transfer(::process_vm_writev, reinterpret_cast<uint64_t>(from), into, length, true);
}

bool isMemory(uint64_t address, size_t length, bool writable) {
    const KeepErrno keep;
    if (length == 0) return true;
    if (address + length < address) return false;
    const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
    const uint64_t first = address / page * page;
    const uint64_t end = (address + length + page - 1) / page * page;
    const int advice = writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
    if (::madvise(reinterpret_cast<void*>(first), 0, advice) == 0) {
        int result = 0;
        do {
            result = ::madvise(reinterpret_cast<void*>(first), end - first, advice);
        } while (result != 0 && errno == EINTR);
        return result == 0;
    }
    // Linux before 5.14: look at both ends only.
    char byte = 0;
    return copyIn(&byte, address, 1) && copyIn(&byte, address + length - 1, 1);
}

}  // namespace daedalus::preload
