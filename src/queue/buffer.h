// One buffer of a queue.
#pragma once

#include <array>

#include "daedalus/queue/queue.h"

namespace daedalus::queue {

struct Queue::Buffer {
    struct Plane {
        memory::MemoryRef memory;
        memory::Budget::Share share;  ///< of the session's memory
        PlaneInfo info;
    };

    uint32_t index = 0;
    BufferState state = BufferState::Dequeued;
    bool prepared = false;
    bool shared = false;  ///< mapped or exported: V4L2_BUF_FLAG_MAPPED
    bool last = false;
    int32_t requestFd = -1;
    uint32_t field = V4L2_FIELD_NONE;
    uint32_t sequence = 0;
    Metadata metadata;
    uint32_t planeCount = 0;
    std::array<Plane, VIDEO_MAX_PLANES> planes;
    std::array<uint32_t, VIDEO_MAX_PLANES> minLength{};
};

}  // namespace daedalus::queue
