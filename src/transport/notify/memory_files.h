// The memory that a program brings along with its buffers: USERPTR planes by memfds that stand for them, DMABUF planes by
// their descriptors.
#pragma once

#include <linux/videodev2.h>

#include <cstdint>
#include <map>
#include <span>
#include <tuple>
#include <vector>

#include "daedalus/base/unique_fd.h"
#include "daedalus/ioctl/call.h"
#include "proto/wire.h"
#include "thread_view.h"

namespace daedalus::transport::notify {

/// A memfd that the daemon has too, mapped.
class Bounce {
public:
    /// New memory of at least `length` bytes; empty if there is none. `fd` is its descriptor.
    [[nodiscard]] static Bounce make(size_t length, uint32_t serial, UniqueFd& fd);
    Bounce() = default;
    ~Bounce();
    Bounce(Bounce&& other) noexcept;
    Bounce& operator=(Bounce&& other) noexcept;
    Bounce(const Bounce&) = delete;
    Bounce& operator=(const Bounce&) = delete;

    [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
    [[nodiscard]] uint32_t serial() const { return serial_; }

private:
    std::span<std::byte> bytes_;
    uint32_t serial_ = 0;
};

/// The bounces of one session, by whether the buffer is OUTPUT's, its index and the plane.
struct Bounces {
    std::map<std::tuple<bool, uint32_t, uint32_t>, Bounce> planes;
    /// Above those of the preload library, which may serve the same session.
    uint32_t lastSerial = 1U << 31;
};

/// The planes of one QBUF or PREPARE_BUF on their way to the daemon.
struct GivenPlanes {
    std::vector<proto::PlaneMemory> headers;
    std::vector<UniqueFd> fds;
    std::map<uint32_t, Bounce> fresh;  ///< by plane: takes the old one's place when the call has succeeded

    /// Looks at the planes of `call`; copies what goes to the device. A plane whose memory is bad is left out, and the daemon
    /// says what that means. `afresh`: the daemon lacks bounces that it should have.
    [[nodiscard]] static GivenPlanes of(const ioctl::Payload& call, ThreadView& thread, Bounces& bounces, bool afresh);
    void commit(const ioctl::Payload& call, Bounces& bounces);
};

/// After DQBUF: copies a CAPTURE buffer's payload to the program's memory. False if that is gone.
[[nodiscard]] bool giveBack(const ioctl::Payload& call, const ThreadView& thread, const Bounces& bounces);

}  // namespace daedalus::transport::notify
