// One ioctl on its way from a transport to the dispatcher, and its answer on the way back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daedalus/base/unique_fd.h"
#include "daedalus/ioctl/file.h"
#include "daedalus/memory/memory.h"

namespace daedalus::ioctl {

/// The argument of an ioctl and all that its pointers lead to, as bytes. The pointer fields keep the client's values; the
/// dispatcher replaces them while the handler runs and puts them back.
struct Payload {
    /// One nested array; see proto/follow.h for its place. In the order of NestedRef: the argument's own array first.
    struct Nested {
        uint32_t parent = 0;
        uint32_t offset = 0;
        std::vector<std::byte> bytes;
    };
    std::vector<std::byte> argument;  ///< _IOC_SIZE(cmd) bytes
    std::vector<Nested> nested;
};

/// Whether O_NONBLOCK is set on the file of a call. A transport to which that is dear to know gives a function, which is asked
/// at most once, and only if the answer depends on it.
class Nonblocking {
public:
    Nonblocking(bool set = false) : set_(set) {}  // NOLINT(google-explicit-constructor): it stands for a bool
    explicit Nonblocking(std::function<bool()> ask) : ask_(std::move(ask)) {}
    [[nodiscard]] bool isSet() const { return ask_ ? ask_() : set_; }

private:
    bool set_ = false;
    std::function<bool()> ask_;
};

/// The descriptors of the client that makes a call, as far as they are files of ours. Loop thread, while the call is handled.
class ClientFiles {
public:
    virtual ~ClientFiles() = default;
    /// The file behind the client's descriptor of that number; null if it is none of ours.
    [[nodiscard]] virtual File* find(int number) = 0;
};

/// One ioctl, as a transport hands it in. Self-contained.
struct Call {
    uint32_t cmd = 0;
    Payload payload;
    Nonblocking nonblocking;
    /// The client's argument (or what it points to) could not be read: EFAULT, unless the ioctl is unknown.
    bool faulted = false;
    /// How to reach the client's own memory; null if the transport brought none (USERPTR and DMABUF then fail with EINVAL).
    std::shared_ptr<memory::ClientMemory> clientMemory;
    /// The files that its argument names by their descriptors; null where the transport knows none.
    std::shared_ptr<ClientFiles> clientFiles;
};

/// A descriptor that the answer hands to the client: the transport installs it in the client's process (close-on-exec if the
/// flags say O_CLOEXEC) and writes its number as a 32-bit integer at `offset` of the argument.
struct PassedFd {
    uint32_t offset = 0;
    int flags = 0;
    UniqueFd fd;
};

/// A new file that the answer hands to the client: the transport makes a descriptor of it, as of a PassedFd.
struct PassedFile {
    uint32_t offset = 0;
    int flags = 0;
    std::unique_ptr<File> file;
};

/// The answer to a Call.
struct Answer {
    int error = 0;          ///< errno for the client, 0 = success
    bool copyBack = false;  ///< write the payload back to the client (also on some errors: G_EXT_CTRLS)
    bool hasty = false;     ///< a call on a file that waits would have waited for a better one
    Payload payload;        ///< the Call's payload, changed
    std::vector<PassedFd> fds;
    std::vector<PassedFile> files;
};

/// The obligation to answer one Call exactly once. Move-only; dropping it unanswered answers EIO. Loop thread.
class Reply {
public:
    using Sink = std::function<void(Answer&&)>;
    explicit Reply(Sink sink) : sink_(std::move(sink)) {}
    Reply(Reply&& other) noexcept : sink_(std::exchange(other.sink_, nullptr)) {}
    Reply& operator=(Reply&& other) noexcept {
        if (this != &other) {
            drop();
            sink_ = std::exchange(other.sink_, nullptr);
        }
        return *this;
    }
    Reply(const Reply&) = delete;
    Reply& operator=(const Reply&) = delete;
    ~Reply() { drop(); }

    void answer(Answer&& answer) { std::exchange(sink_, nullptr)(std::move(answer)); }

private:
    void drop() {
        if (sink_)
            std::exchange(sink_, nullptr)(Answer{.error = EIO, .copyBack = false, .payload = {}, .fds = {}, .files = {}});
    }
    Sink sink_;
};

}  // namespace daedalus::ioctl
