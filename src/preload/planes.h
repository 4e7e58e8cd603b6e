// The memory that a program brings along with its buffers: USERPTR planes by bounces, DMABUF planes by their descriptors.
#pragma once

#include <linux/videodev2.h>

#include <cstddef>
#include <cstdint>

#include "proto/wire.h"
#include "src/preload/sessions.h"

namespace daedalus::preload {

/// The planes of one QBUF or PREPARE_BUF on their way to the daemon.
class GivenPlanes {
public:
    GivenPlanes() = default;
    ~GivenPlanes();
    GivenPlanes(const GivenPlanes&) = delete;
    GivenPlanes& operator=(const GivenPlanes&) = delete;

    /// Looks at the `count` planes; for USERPTR finds or makes the bounces and copies what goes to the device. `afresh`: the
    /// daemon lacks bounces that it should have, so all are made anew. A plane whose memory is bad is left out, and the daemon
    /// answers EFAULT or EINVAL for it.
    void collect(uint64_t session, const v4l2_buffer& buffer, const v4l2_plane* planes, uint32_t count, bool afresh);
    /// The call succeeded: new bounces take the place of old ones.
    void commit(uint64_t session, const v4l2_buffer& buffer);

    [[nodiscard]] const proto::PlaneMemory* headers() const { return headers_; }
    [[nodiscard]] uint32_t count() const { return count_; }
    [[nodiscard]] const int* fds() const { return fds_; }
    [[nodiscard]] size_t fdCount() const { return fdCount_; }

private:
    void addUserptr(SessionRecord& record, const v4l2_buffer& buffer, uint32_t index, const v4l2_plane& plane, bool afresh);
    void clear();

    proto::PlaneMemory headers_[kMaxPlanes];
    int fds_[kMaxPlanes];
    bool ownFd_[kMaxPlanes];
    Bounce fresh_[kMaxPlanes];  ///< by plane; memory set where a new one was made
    uint32_t count_ = 0;
    size_t fdCount_ = 0;
};

/// After DQBUF: copies a CAPTURE buffer's payload from its bounces to the program's memory. False if that is gone.
bool takePlanes(uint64_t session, const v4l2_buffer& buffer, const v4l2_plane* planes, uint32_t count);

}  // namespace daedalus::preload
