#include "careful_copy.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "daedalus/base/unique_fd.h"

namespace daedalus::transport {

Result<> carefulCopy(void* to, const void* from, size_t size) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return fail(errno);
    const UniqueFd out(ends[0]);
    const UniqueFd in(ends[1]);
    for (size_t done = 0; done < size;) {
        // Every pipe holds so much.
        constexpr size_t kPiece = 4096;
        const ssize_t put = ::write(in.get(), static_cast<const std::byte*>(from) + done, std::min(kPiece, size - done));
        if (put <= 0) return fail(EFAULT);
        const ssize_t got = ::read(out.get(), static_cast<std::byte*>(to) + done, static_cast<size_t>(put));
        if (got != put) return fail(EFAULT);
        done += static_cast<size_t>(put);
    }
    return {};
}

}  // namespace daedalus::transport
