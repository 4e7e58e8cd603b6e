// What tests need that bring memory of their own to a node.
#pragma once

#include <linux/videodev2.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdint>

#include "v4l2_client.h"

namespace daedalus::test {

/// False where the kernel refuses access to other processes' memory (a filter of the tests does).
inline bool kernelReachesMemory() {
    char byte = 0;
    char copy = 0;
    const iovec local{&copy, 1};
    const iovec remote{&byte, 1};
    return ::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0) == 1;
}

/// True where the node hears of each mmap(). Over CUSE others map what it has bound, and tell nobody.
inline bool isToldOfMappings() { return TestNode::transport() != "cuse" && TestNode::transport() != "shim"; }

/// REQBUFS of any kind of memory; maps nothing. 0, or the errno.
inline int request(V4l2Client& client, uint32_t type, uint32_t memory, uint32_t count) {
    v4l2_requestbuffers request{};
    request.type = type;
    request.memory = memory;
    request.count = count;
    return client.ioctl(VIDIOC_REQBUFS, &request);
}

}  // namespace daedalus::test
